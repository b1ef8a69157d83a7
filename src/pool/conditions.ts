import type { AccountCondition } from '../core/account-state.ts'
import type { Health } from './cooldown.ts'
import { type Entry, ownWaitMs } from './live-account.ts'

/**
 * An account as `accountStateOf` judges it, from what the pool itself knows; caps are no part of that. Of the own
 * limits the tokens per minute count here as well.
 */
export function conditionOf(
  entry: Entry,
  parts: ReadonlyMap<string, Health>,
  monotonicMs: number,
): AccountCondition {
  const { account } = entry.live
  const { id: accountId, credentialVersion } = account
  const isFull = ownWaitMs(entry, monotonicMs) > 0
  return {
    ...account,
    health: [...parts].map(([modelClass, health]) => ({
      accountId,
      modelClass,
      credentialVersion,
      state: health.state,
      reason: health.reason,
      httpStatus: health.httpStatus,
      upstreamRequestId: health.upstreamRequestId,
      sinceMs: health.sinceMs,
      untilMs: health.untilMs,
      step: health.step,
    })),
    inFlight: entry.inFlight,
    // Whichever of its limits per minute it is that is used up.
    rpmLimit: isFull ? 0 : null,
    requests1m: 0,
  }
}
