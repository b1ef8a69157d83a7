import type { AccountCondition } from '../core/account-state.ts'
import type { Health } from './cooldown.ts'
import { type Entry, ownWaitMs } from './live-account.ts'

/**
 * An account as `accountStateOf` judges it, from what the pool itself knows; caps are no part of
 * that.
 */
export function conditionOf(
  entry: Entry,
  parts: ReadonlyMap<string, Health>,
  monotonicMs: number,
): AccountCondition {
  const { account } = entry.live
  const { id: accountId, credentialVersion } = account
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
    rpmLimit: null,
    requests1m: 0,
    isTpmUsedUp: ownWaitMs(entry, monotonicMs) > 0,
  }
}
