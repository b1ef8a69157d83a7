/** The part of each new time in the usual one. */
const NEW_SHARE = 0.2
/** What nobody has tried lately loses half of its weight in so long: a slow time must not stick for want of tries. */
const HALF_LIFE_MS = 60_000
/** After so long nothing is known any more. */
const FORGOTTEN_MS = 10 * 60_000

interface Usual {
  ms: number
  atMs: number
}

/**
 * The usual time until an account's answers begin, by model class: an exponentially weighted mean. It fades while
 * nothing new is learned, so that an account that was slow is tried again. Times are monotonic milliseconds.
 */
export class FirstTokenTimes {
  readonly #byClass = new Map<string, Usual>()

  /** An answer began so long after its request was sent. */
  began(modelClass: string, afterMs: number, nowMs: number): void {
    const usual = this.#byClass.get(modelClass)
    if (usual === undefined || nowMs - usual.atMs >= FORGOTTEN_MS) {
      this.#byClass.set(modelClass, { ms: afterMs, atMs: nowMs })
      return
    }
    usual.ms += (afterMs - usual.ms) * NEW_SHARE
    usual.atMs = nowMs
  }

  /** The usual time, faded by the time since it was learned; null: nothing is known. */
  usualMs(modelClass: string, nowMs: number): number | null {
    const usual = this.#byClass.get(modelClass)
    if (usual === undefined) return null
    const ageMs = Math.max(0, nowMs - usual.atMs)
    return ageMs >= FORGOTTEN_MS ? null : usual.ms * 2 ** (-ageMs / HALF_LIFE_MS)
  }
}
