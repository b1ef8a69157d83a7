import type { Key } from '../core/model.ts'

/** The counters of a key's limits at one instant. */
export interface KeyLoad {
  readonly inFlight: number
  /** Milliseconds until the key's RPM lets one more through; 0 when unlimited or free. */
  readonly rpmWaitMs: number
}

export type Admission =
  | { readonly kind: 'admitted' }
  | { readonly kind: 'rpm_exceeded'; readonly limit: number; readonly retryAfterMs: number }
  | { readonly kind: 'concurrency_exceeded'; readonly limit: number }

/** May one more request of this key begin now? Rate first, then concurrency. */
export function admit(key: Pick<Key, 'rpmLimit' | 'concurrencyLimit'>, load: KeyLoad): Admission {
  if (key.rpmLimit !== null && load.rpmWaitMs > 0) {
    return { kind: 'rpm_exceeded', limit: key.rpmLimit, retryAfterMs: load.rpmWaitMs }
  }
  if (key.concurrencyLimit !== null && load.inFlight >= key.concurrencyLimit) {
    return { kind: 'concurrency_exceeded', limit: key.concurrencyLimit }
  }
  return { kind: 'admitted' }
}
