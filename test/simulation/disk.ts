import { InvariantError } from '../../src/core/invariant.ts'
import type { Store } from '../../src/store/store.ts'
import { StoreError } from '../../src/store/store.ts'
import type { VirtualTime } from './virtual-time.ts'

/** The hot writes: those that a daemon waits for. */
const WRITES = ['openHold', 'resizeHold', 'settleHold', 'voidHold'] as const
const NOTES = ['noteProgress', 'noteRefusal', 'noteThread'] as const

/** How the disk behaves now. */
export type Weather = 'fine' | 'slow' | 'busy' | 'full'

/**
 * The store as a process sees it through its disk: writes take time, may be refused, and after the process
 * died nothing comes back, though it may have been written.
 */
export class Disk {
  weather: Weather = 'fine'
  #isDead = false
  readonly #time: VirtualTime
  readonly #random: () => number

  constructor(time: VirtualTime, random: () => number) {
    this.#time = time
    this.#random = random
  }

  /** The process that used it is gone: what was under way is lost, or written and never told. */
  kill(): void {
    this.#isDead = true
  }

  over(store: Store): Store {
    const wrapped: Record<string, unknown> = {}
    for (const name of WRITES) {
      wrapped[name] = (...args: never[]) =>
        this.#write(() => (store[name] as (...args: never[]) => Promise<unknown>)(...args))
    }
    for (const name of NOTES) {
      wrapped[name] = (...args: never[]) => {
        if (!this.#isDead && this.weather === 'fine')
          (store[name] as (...args: never[]) => void)(...args)
      }
    }
    return new Proxy(store, {
      get: (target, name) =>
        typeof name === 'string' && name in wrapped
          ? wrapped[name]
          : (target as unknown as Record<string | symbol, unknown>)[name],
    })
  }

  async #write(act: () => Promise<unknown>): Promise<unknown> {
    const commitMs = this.weather === 'slow' ? 500 + this.#random() * 7_000 : this.#random() * 6
    await this.#sleep(commitMs)
    if (this.#isDead) return new Promise(() => {})
    if (this.weather === 'full') throw new StoreError('full', 'no space left')
    if (this.weather === 'busy' && this.#random() < 0.5) throw new StoreError('busy', 'locked')
    let result: unknown
    try {
      result = await act()
    } catch (error) {
      if (error instanceof InvariantError) throw error
      throw error
    }
    await this.#sleep(this.#random() * 2)
    if (this.#isDead) return new Promise(() => {})
    return result
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#time.after(ms, resolve)
    })
  }
}
