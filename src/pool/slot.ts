import { type Entry, type LiveAccount, limitedPartOf, type Taker } from './live-account.ts'
import type { Reservation } from './upstream-limits.ts'

/** A place in an account that one attempt has. `release` or `cancel` it, once; more calls change nothing. */
export interface Slot {
  readonly live: LiveAccount
  /** Which of upstream's limits it counts against, as far as that was known, and since when (monotonic). */
  readonly sent: { readonly bucket: string; readonly atMs: number }
  /** The attempt is over. */
  release(): void
  /** The answer has begun, `afterMs` after it was sent where that was measured: so many tokens of input count. */
  began(inputTokens: number, afterMs?: number): void
  /** So many tokens count against the account's own TPM in all, input that no cache had and output. */
  ended(tokens: number): void
  /** The attempt never left: its part of the account's RPM goes back as well. */
  cancel(): void
}

/** What one attempt takes part in. */
interface Parts {
  readonly entry: Entry
  readonly taker: Taker
  readonly sent: Slot['sent']
  /** The parts of the account's health that it puts to the test. */
  readonly trials: readonly string[]
  /** Its parts of upstream's limits. */
  readonly reservations: readonly Reservation[]
  readonly monotonicMs: () => number
  /** Hears that the slot is free again. */
  readonly onFree: () => void
}

/** Takes a slot, one request of the account's own RPM and the input of its TPM; what it gives back it gives back once. */
export function openSlot(parts: Parts): Slot {
  const { entry, taker, sent, trials, reservations, monotonicMs, onFree } = parts
  const { rpmLimit } = entry.live.account
  entry.inFlight++
  entry.lastUsedMs = sent.atMs
  entry.lastUsedByPart.set(limitedPartOf(taker), sent.atMs)
  if (rpmLimit !== null) entry.window.take(rpmLimit, sent.atMs)
  for (const part of trials) entry.trials.set(part, (entry.trials.get(part) ?? 0) + 1)
  let countedTokens = 0
  const count = (tokens: number) => {
    const { tpmLimit } = entry.live.account
    if (tpmLimit !== null) entry.tokens.take(tokens - countedTokens, tpmLimit, monotonicMs())
    countedTokens = tokens
  }
  count(taker.inputTokens ?? 0)
  let isOpen = true
  let hasBegun = false
  let isTrying = true
  const endTrials = () => {
    if (!isTrying) return
    isTrying = false
    for (const part of trials) entry.trials.set(part, (entry.trials.get(part) ?? 1) - 1)
  }
  const release = (): boolean => {
    if (!isOpen) return false
    isOpen = false
    entry.inFlight--
    for (const reservation of reservations) reservation.giveBack()
    if (!hasBegun) count(0)
    endTrials()
    onFree()
    return true
  }
  return {
    live: entry.live,
    sent,
    began(inputTokens, afterMs) {
      hasBegun = true
      // It has found out what there was to find out, however long its stream flows on.
      endTrials()
      for (const reservation of reservations) reservation.began(inputTokens)
      count(inputTokens)
      if (afterMs !== undefined) entry.firstToken.began(taker.modelClass, afterMs, monotonicMs())
    },
    ended: count,
    release,
    cancel() {
      if (release() && rpmLimit !== null) entry.window.giveBack(rpmLimit)
    },
  }
}
