import type { CooldownPolicy, Evidence, Health } from './cooldown.ts'
import { afterAttempt, HEALTHY, rests } from './cooldown.ts'

/** 529s from two organisations within so long are the model's. */
const TOGETHER_MS = 5_000

/**
 * Tells an overloaded model from an overloaded account: when two organisations are refused with 529 within five
 * seconds, and nobody was served in between, the model class rests, everybody backs off, and no account does. All
 * times are monotonic.
 */
export class ModelOverload {
  readonly #policy: CooldownPolicy
  readonly #random: () => number
  readonly #health = new Map<string, Health>()
  readonly #last = new Map<string, { readonly organization: string; readonly atMs: number }>()

  constructor(options: { readonly random: () => number; readonly policy: CooldownPolicy }) {
    this.#policy = options.policy
    this.#random = options.random
  }

  /** Takes a 529; true when it is the model's, and so no evidence about the account. */
  overloaded(modelClass: string, organization: string, evidence: Evidence, nowMs: number): boolean {
    const before = this.#health.get(modelClass) ?? HEALTHY
    const last = this.#last.get(modelClass)
    this.#last.set(modelClass, { organization, atMs: nowMs })
    const isShared =
      last !== undefined && last.organization !== organization && nowMs - last.atMs < TOGETHER_MS
    if (rests(before, nowMs)) return true
    if (!isShared) return false
    this.#learn(modelClass, evidence, nowMs)
    return true
  }

  /** An answer has begun. */
  succeeded(modelClass: string, evidence: Evidence, nowMs: number): void {
    // A busy pool sees single 529s all the time: while others are served, they are no reason to stop all.
    this.#last.delete(modelClass)
    if (this.#health.has(modelClass)) this.#learn(modelClass, evidence, nowMs)
  }

  /** How long the model class keeps everybody waiting; 0: it does not. */
  restMs(modelClass: string, nowMs: number): number {
    const health = this.#health.get(modelClass)
    if (health === undefined || !rests(health, nowMs)) return 0
    return (health.untilMs ?? nowMs) - nowMs
  }

  #learn(modelClass: string, evidence: Evidence, nowMs: number): void {
    const before = this.#health.get(modelClass) ?? HEALTHY
    const context = { nowMs, jitter: this.#random(), policy: this.#policy }
    const after = afterAttempt(before, evidence, context)
    if (after.state === 'healthy' && after.step === 0) this.#health.delete(modelClass)
    else this.#health.set(modelClass, after)
  }
}
