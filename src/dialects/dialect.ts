import type { BodyFacts } from '../wire/body-facts.ts'

/** A client format. A new one is a new folder, and a route that speaks it. */
export interface Dialect {
  readonly name: 'anthropic'
  /** Checks what ccgate itself uses of a body; the rest passes untouched. */
  readRequest(body: Uint8Array, facts: BodyFacts): ReadRequest
  /** The whole body of an error answer. */
  renderError(error: WireError): string
  /** An error inside a running stream, after which the stream closes. */
  renderStreamError(error: WireError): string
}

/** An error as every dialect can say it. */
export interface WireError {
  readonly status: number
  readonly code: string
  readonly types: { readonly anthropic: string; readonly openai: string }
  readonly message: string
  readonly field: string | null
  readonly details: Readonly<Record<string, string | number>>
  readonly requestId: string
}

export type ReadRequest =
  | { readonly kind: 'ok'; readonly request: InferenceRequest }
  | { readonly kind: 'refused'; readonly field: string; readonly problem: string }

/** A request as the gateway carries it: what upstream gets, and what was checked of it. */
export interface InferenceRequest {
  /** The bytes that go upstream. */
  readonly body: Uint8Array
  readonly facts: BodyFacts
  readonly model: string
  readonly maxTokens: number
  readonly stream: boolean
}
