import type { Account } from '../core/model.ts'

/** What an operator sets of an account, as far as the choice goes by it. */
export interface AccountPlan {
  readonly name: string
  readonly weight: number
  /** Lower is used first. */
  readonly priority: number
  readonly concurrencyLimit: number | null
  readonly rpmLimit: number | null
}

/** An account of that plan which serves every model, with a workspace and an organisation of its own. */
export function accountOf(plan: AccountPlan, nowMs: number): Account {
  return {
    id: plan.name,
    name: plan.name,
    provider: 'anthropic',
    baseUrl: 'https://upstream.invalid',
    allowPrivate: false,
    credentialLast4: '0000',
    credentialFingerprint: '000000',
    priority: plan.priority,
    weight: plan.weight,
    rpmLimit: plan.rpmLimit,
    concurrencyLimit: plan.concurrencyLimit,
    tpmLimit: null,
    models: ['*'],
    tags: [],
    cacheScope: null,
    hours: null,
    proxy: null,
    dayCapMicro: null,
    monthCapMicro: null,
    note: null,
    createdAtMs: nowMs,
    disabledAtMs: null,
    disabledBy: null,
    disabledReason: null,
    cooldownClearedAtMs: null,
    cooldownUntilMs: null,
    credentialVersion: 1,
  }
}
