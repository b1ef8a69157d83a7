import { NOTICE_KINDS } from '../core/account-notices.ts'
import type { Account } from '../core/model.ts'
import { formatUsdFull, type Micro } from '../core/money.ts'
import { type Candidate, carriesOne, type Rest, waitOf } from '../pool/candidate.ts'
import type { LiveAccount, Taker } from '../pool/pool.ts'
import type { Gateway } from './gateway.ts'

/** What a choice of accounts has to know of a request. */
export interface WantedAccount extends Taker {
  readonly requestId: string
  /** What it may cost us at list price; 0 is free. */
  readonly listMicro: Micro
  /** Tags of which its account must carry one: those that its key is confined to; null: any account. */
  readonly tags: readonly string[] | null
}

/** The accounts that may serve a request; those whose own cap it would break rest until that ends. */
export function candidatesOf(gateway: Gateway, want: WantedAccount): readonly Candidate[] {
  const alsoRests =
    want.listMicro === 0 ? undefined : (live: LiveAccount) => restByCap(gateway, want, live)
  return gateway.pool.candidates(want.model, want.modelClass, { ...want, alsoRests })
}

/** Whether some account could serve such a request at once, caps and what it is bound to aside. */
export function isAnyFree({ pool }: Gateway, want: WantedAccount): boolean {
  return pool
    .candidates(want.model, want.modelClass, want)
    .some((one) => one.servesModel && waitOf(one) === 0 && carriesOne(one, want.tags))
}

function restByCap(
  { pool, caps, clock }: Gateway,
  want: WantedAccount,
  { account }: LiveAccount,
): Rest | null {
  if ((account.dayCapMicro ?? account.monthCapMicro) === null) return null
  const reached = caps.check(account, want, clock.nowMs())
  if (reached === null) return null
  const { forMs, isNew } = reached
  if (isNew) {
    const message = `no room for a request of up to ${formatUsdFull(want.listMicro)}: ${capsText(account)}`
    const { requestId } = want
    pool.note({ accountId: account.id, kind: NOTICE_KINDS.cap, message, requestId })
  }
  return { kind: 'capped', forMs }
}

/** `cap of $50.00/day`, `cap of $50.00/day and $900.00/month`. */
function capsText({ dayCapMicro, monthCapMicro }: Account): string {
  const caps = [
    ...(dayCapMicro === null ? [] : [`${formatUsdFull(dayCapMicro)}/day`]),
    ...(monthCapMicro === null ? [] : [`${formatUsdFull(monthCapMicro)}/month`]),
  ]
  return `cap of ${caps.join(' and ')}`
}
