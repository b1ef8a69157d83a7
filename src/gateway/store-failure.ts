import { GatewayError } from '../core/errors.ts'
import type { StoreError } from '../store/store.ts'

/** What a client is told when the store cannot record its request. */
export function storeFailure(error: StoreError): GatewayError {
  switch (error.reason) {
    case 'full':
      return new GatewayError('storage_full', { retryAfterMs: 5_000, cause: error })
    case 'overloaded':
      return new GatewayError('overloaded', { retryAfterMs: 1_000, cause: error })
    default:
      return new GatewayError('store_unavailable', { retryAfterMs: 5_000, cause: error })
  }
}
