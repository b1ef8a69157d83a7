/** Why a scan stopped. */
export type ScanFailure =
  | { readonly kind: 'invalid_json'; readonly message: string; readonly position: number }
  | { readonly kind: 'duplicate_key'; readonly path: string }
  /** Deeper than the limit, more structural tokens, or more members that we do not know. */
  | { readonly kind: 'too_complex'; readonly reason: 'depth' | 'tokens' | 'unknown_keys' }

/**
 * Unwinds a scan; `inspect` catches it and returns the failure as a value. Not an `Error`: a stack
 * trace per bad body would cost more than the scan.
 */
export class ScanStop {
  readonly failure: ScanFailure
  constructor(failure: ScanFailure) {
    this.failure = failure
  }
}

/** Ends the scan: the text is not JSON. `position` is a byte offset. */
export function failJson(message: string, position: number): never {
  throw new ScanStop({ kind: 'invalid_json', message, position })
}
