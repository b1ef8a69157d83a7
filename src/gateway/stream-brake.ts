import type { LiveStream } from './attempt.ts'

/** Why a stream stands still: its client takes no more, or nothing more of it is paid for. */
export type BrakeReason = 'full' | 'unpaid'

/** Holds a stream up as long as there is a reason to. */
export class StreamBrake {
  #stream: Pick<LiveStream, 'pause' | 'resume'>
  readonly #sinceMs = new Map<BrakeReason, number>()
  #wasHeld = false

  constructor(stream: Pick<LiveStream, 'pause' | 'resume'>) {
    this.#stream = stream
  }

  hold(reason: BrakeReason, nowMs: number): void {
    if (this.#sinceMs.has(reason)) return
    this.#sinceMs.set(reason, nowMs)
    this.#wasHeld = true
    this.#stream.pause()
  }

  release(reason: BrakeReason): void {
    if (this.#sinceMs.delete(reason) && this.#sinceMs.size === 0) this.#stream.resume()
  }

  /** Another stream goes on where this one stopped; it stands still for the same reasons. */
  moveTo(stream: Pick<LiveStream, 'pause' | 'resume'>): void {
    this.#stream = stream
    if (this.#sinceMs.size > 0) stream.pause()
  }

  /** It stood still at some time: how long it took says nothing about who made it. */
  get wasHeld(): boolean {
    return this.#wasHeld
  }

  /** For how long it has been held for this reason; 0 when it is not. */
  heldForMs(reason: BrakeReason, nowMs: number): number {
    return nowMs - (this.#sinceMs.get(reason) ?? nowMs)
  }
}
