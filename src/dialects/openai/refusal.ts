/** The codes with which a translator refuses a request, as OpenAI's own API spells them. */
export type RefusalCode =
  | 'invalid_json'
  | 'invalid_value'
  | 'json_too_complex'
  | 'missing_required_parameter'
  | 'previous_response_not_found'
  | 'unsupported_parameter'
  | 'unsupported_value'

/** A request that is refused before any upstream call, hold or cooldown. */
export interface Refusal {
  readonly kind: 'refused'
  readonly status: number
  readonly code: RefusalCode
  /** Where, for OpenAI's `param`: `messages[3].content[0].image_url`; null for the whole body. */
  readonly field: string | null
  readonly message: string
}

/**
 * Unwinds a translation; `catchRefusal` makes a value of it. Not an `Error`: clients may send what is
 * refused thousands of times, and a stack trace each would cost more than the translation.
 */
class RefusalStop {
  readonly refusal: Refusal
  constructor(refusal: Refusal) {
    this.refusal = refusal
  }
}

/** Ends the translation with a 400. `message` names the field where it matters, and what to do. */
export function refuse(code: RefusalCode, field: string | null, message: string): never {
  throw new RefusalStop({ kind: 'refused', status: 400, code, field, message })
}

/** Runs a translation; what it refuses comes back as a value, every other throw passes. */
export function catchRefusal<T>(translate: () => T): T | Refusal {
  try {
    return translate()
  } catch (stop) {
    if (stop instanceof RefusalStop) return stop.refusal
    throw stop
  }
}
