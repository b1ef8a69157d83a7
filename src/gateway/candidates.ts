import { NOTICE_KINDS } from '../core/account-notices.ts'
import type { Account } from '../core/model.ts'
import { formatUsdFull, type Micro } from '../core/money.ts'
import type { Candidate } from '../pool/candidate.ts'
import type { Taker } from '../pool/pool.ts'
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
  const { pool, caps, clock } = gateway
  const candidates = pool.candidates(want.model, want.modelClass, want)
  if (want.listMicro === 0) return candidates
  return candidates.map((candidate) => {
    const live = pool.account(candidate.id)
    if (live === null || (live.account.dayCapMicro ?? live.account.monthCapMicro) === null)
      return candidate
    const reached = caps.check(live.account, want, clock.nowMs())
    if (reached === null) return candidate
    const { forMs, isNew } = reached
    if (isNew) {
      const message = `no room for a request of up to ${formatUsdFull(want.listMicro)}: ${capsText(live.account)}`
      const { requestId } = want
      pool.note({ accountId: candidate.id, kind: NOTICE_KINDS.cap, message, requestId })
    }
    const { rest } = candidate
    const restsLonger = rest !== null && (rest.forMs === null || rest.forMs >= forMs)
    return restsLonger ? candidate : { ...candidate, rest: { kind: 'capped', forMs } }
  })
}

/** `cap of $50.00/day`, `cap of $50.00/day and $900.00/month`. */
function capsText({ dayCapMicro, monthCapMicro }: Account): string {
  const caps = [
    ...(dayCapMicro === null ? [] : [`${formatUsdFull(dayCapMicro)}/day`]),
    ...(monthCapMicro === null ? [] : [`${formatUsdFull(monthCapMicro)}/month`]),
  ]
  return `cap of ${caps.join(' and ')}`
}
