import type { Clock } from '../core/clock.ts'
import type { WaitingRoom } from '../pool/waiting-room.ts'

/** After a look around the line is left alone for so many times as long as that took. */
const PAUSE_FACTOR = 4
/** A look may seem long because others had the processor: no slot stays free for longer than this. */
const LONGEST_PAUSE_MS = 100

/**
 * Serves the line whenever something may have changed: an answer ended, a rest is over, somebody came. A look asks
 * everybody in line, and in a long line everybody has a reason to look; so looks take a fifth of the time or so,
 * and one that comes too early is made up for at the end of the pause.
 */
export class LookAround {
  readonly #room: WaitingRoom
  readonly #clock: Clock
  #pauseUntilMs = Number.NEGATIVE_INFINITY
  #due: NodeJS.Timeout | null = null

  constructor(room: WaitingRoom, clock: Clock) {
    this.#room = room
    this.#clock = clock
  }

  /** A look is still to come: whoever comes now goes behind those who wait for it. */
  get isDue(): boolean {
    return this.#due !== null
  }

  /** Serves who can be served: at once, or when the pause ends. */
  serve(): void {
    if (this.#due !== null || this.#room.size === 0) return
    const beganMs = this.#clock.monotonicMs()
    const leftMs = this.#pauseUntilMs - beganMs
    if (leftMs > 0) {
      this.#due = setTimeout(() => {
        this.#due = null
        this.serve()
      }, Math.ceil(leftMs))
      return
    }
    this.#room.serve()
    const endedMs = this.#clock.monotonicMs()
    this.#pauseUntilMs = endedMs + Math.min(PAUSE_FACTOR * (endedMs - beganMs), LONGEST_PAUSE_MS)
  }
}
