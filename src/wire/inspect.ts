import type { BodyFacts, ValueType } from './body-facts.ts'

/** What one scan of a body found. `position` is a byte offset. */
export type Inspection =
  | { readonly kind: 'ok'; readonly facts: BodyFacts }
  | { readonly kind: 'invalid_json'; readonly message: string; readonly position: number }
  /** Valid JSON, but not an object. */
  | { readonly kind: 'not_an_object'; readonly type: ValueType }
  /** `path` as `messages[2].content[0].type`. */
  | { readonly kind: 'duplicate_key'; readonly path: string }
  | { readonly kind: 'too_complex'; readonly reason: 'depth' | 'tokens' }

/** Limits of S8, and the UTF-8 check to use. */
export interface InspectOptions {
  /** Nesting that still passes; 64 by default, the body itself being level 1. */
  readonly maxDepth?: number
  /** Structural tokens that still pass; 200,000 by default. */
  readonly maxTokens?: number
  /** Pass `isUtf8` of `node:buffer`: it is some 20 times faster than the built-in check. */
  readonly isUtf8?: (bytes: Uint8Array) => boolean
}

/** Checks a body as a JSON parser would and gathers its facts, in one scan. Never throws. */
export function inspect(body: Buffer, options: InspectOptions = {}): Inspection {
  throw new Error(`not yet ${body.length} ${options.maxDepth}`)
}
