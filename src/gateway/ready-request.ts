import type {
  AnswerContext,
  AnswerTranslator,
  InferenceRequest,
  Translator,
} from '../dialects/dialect.ts'

/** A request as it goes upstream, and what its client's format has to do with it. */
export interface ReadyRequest {
  readonly request: InferenceRequest
  /** Path and query, and the client's headers as far as they may go up. */
  readonly up: { readonly target: string; readonly rawHeaders: readonly string[] }
  /** What two tries of one request have in common: the client's bytes, or their digest. */
  readonly identity: Uint8Array
  /** null: the client speaks upstream's own. */
  readonly format: ClientFormat | null
}

/** The client's side of a translated request. */
export interface ClientFormat {
  readonly translator: Translator
  /** Whether the client gets a stream; upstream always streams. */
  readonly stream: boolean
  /** What the head of the answer tells of the translation, flat. */
  readonly headers: readonly string[]
  /** Begins the answer. Of a stream it lets go of the request: to be called once. */
  readonly openAnswer: (about: AnswerContext) => AnswerTranslator
}

/** Whether the client gets a stream. */
export function isStreamed({ request, format }: Pick<ReadyRequest, 'request' | 'format'>): boolean {
  return format?.stream ?? request.stream
}
