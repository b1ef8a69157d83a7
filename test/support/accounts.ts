import type { Account } from '../../src/core/model.ts'
import type { Candidate } from '../../src/pool/candidate.ts'

/** An enabled account without limits, named after its id. */
export function account(id: string, more: Partial<Account> = {}): Account {
  return {
    id,
    name: id,
    provider: 'anthropic',
    baseUrl: 'https://api.example.com',
    allowPrivate: false,
    credentialLast4: 'Xk4A',
    credentialFingerprint: 'abcdef',
    priority: 1,
    weight: 1,
    rpmLimit: null,
    concurrencyLimit: null,
    tpmLimit: null,
    models: ['*'],
    tags: [],
    cacheScope: null,
    hours: null,
    proxy: null,
    dayCapMicro: null,
    monthCapMicro: null,
    note: null,
    createdAtMs: 0,
    disabledAtMs: null,
    disabledBy: null,
    disabledReason: null,
    cooldownClearedAtMs: null,
    cooldownUntilMs: null,
    credentialVersion: 1,
    ...more,
  }
}

/** An account as the choice sees it: idle, well and able to serve. */
export function candidate(id: string, more: Partial<Candidate> = {}): Candidate {
  return {
    id,
    priority: 1,
    weight: 1,
    inFlight: 0,
    concurrencyLimit: null,
    rpmWaitMs: 0,
    rest: null,
    servesModel: true,
    idleMs: 1_000,
    ...more,
  }
}
