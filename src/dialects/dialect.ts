import type { BodyFacts } from '../wire/body-facts.ts'
import type { AutoCache } from './openai/cache-control.ts'
import type { ModelCapabilities } from './openai/capabilities.ts'
import type { TranslatedError } from './openai/error-shape.ts'
import type { Digest } from './openai/ids.ts'
import type { Refusal } from './openai/refusal.ts'
import type { Repair } from './openai/repair.ts'
import type { Bill } from './openai/usage.ts'

export type { TranslatedError } from './openai/error-shape.ts'

/** A client format. A new one is a new folder, and a line in `index.ts` with the path that speaks it. */
export interface Dialect {
  /** Whose ways its headers and errors follow. */
  readonly name: 'anthropic' | 'openai'
  /** Which API it is, as records of usage say it. */
  readonly api: string
  /**
   * Checks what ccgate itself uses of a body that goes upstream; the rest passes untouched. Where there is a
   * translator, the body is the translated one.
   */
  readRequest(body: Uint8Array, facts: BodyFacts): ReadRequest
  /** The whole body of an error answer. */
  renderError(error: WireError): string
  /** An error inside a running stream, after which the stream closes. */
  renderStreamError(error: WireError): string
  /** Upstream's error answer, where a stream without an answer has begun: its end. */
  renderStreamRefusal(refusal: UpstreamRefusal): string
  /** Says in a stream that something is still coming; it means nothing to clients. */
  readonly ping: string
  /** Absent: what the client sends and gets is upstream's own format. */
  readonly translator?: Translator
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

/** An error answer of upstream's. */
export interface UpstreamRefusal {
  readonly status: number
  readonly bodyText: string
  /** Of the gateway's request. */
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

/** Makes Anthropic requests of another format's, and that format's answers of Anthropic's streams. */
export interface Translator {
  /** Never throws, whatever the parsed body holds. Pure: the same body gives the same bytes. */
  translate(json: unknown, context: TranslationContext): Translation
  /** Upstream's error answer (status and body) as this format says it. */
  translateError(status: number, bodyText: string): TranslatedError
  /** The whole body of an error answer. */
  renderFailure(failure: TranslatedError): string
  readonly bodies: BodyChanges
}

/** What the gateway may change in a translated body while it tries; bodies are texts. */
export interface BodyChanges {
  /** Switches automatic caching on, for a body that has none. */
  withAutoCache(body: string, ttl: '5m' | '1h'): string
  /** Puts the content of a paused answer behind the history, for the next round. */
  withPausedContent(body: string, content: readonly unknown[]): string
  /**
   * What to send instead of a body that upstream answered with this status and message; null: nothing helps.
   * To be tried once per kind, on the same account, and never held against its health.
   */
  repair(body: string, status: number, message: string): Repair | null
}

/** What translation needs to know beyond the body. */
export interface TranslationContext {
  /** The id of the caller's key: ids of end users are hashed with it. */
  readonly keyId: string
  readonly digest: Digest
  /** The model that a client's name means (aliases applied), and what it accepts. */
  readonly modelOf: (name: string) => {
    readonly id: string
    readonly capabilities: ModelCapabilities
  }
  readonly settings: TranslationSettings
}

/** The operator's wishes. */
export interface TranslationSettings {
  /** `web_search_options` and web search tools are honoured. */
  readonly webSearch: boolean
  readonly autoCache: 'off' | 'seen' | 'always'
  /** What happens to a forced tool choice that the model does not accept. */
  readonly forcedToolChoice: 'degrade' | 'reject'
  readonly repairToolHistory: boolean
  /** `service_tier` `priority` and `fast` ask for upstream's fast mode. */
  readonly priorityIsFast: boolean
}

export const DEFAULT_TRANSLATION_SETTINGS: TranslationSettings = {
  webSearch: false,
  autoCache: 'seen',
  forcedToolChoice: 'degrade',
  repairToolHistory: false,
  priorityIsFast: false,
}

export type Translation = Translated | Refusal

/** A request as it goes upstream, and how its answer comes back. */
export interface Translated {
  readonly kind: 'ok'
  /** JSON of `POST /v1/messages`, always with `stream: true`; `anthropic-version` is 2023-06-01. */
  readonly body: string
  /** What `anthropic-beta` must say. */
  readonly betas: readonly string[]
  /** Names for `X-CC-Ignored-Params`. */
  readonly ignored: readonly string[]
  /** Words for `X-CC-Warnings`. */
  readonly warnings: readonly string[]
  /** Whether the client wants a stream. */
  readonly stream: boolean
  /**
   * `if_seen`: where the prefix table has seen the body's prefix within its life, `bodies.withAutoCache`
   * marks it, for `autoCacheTtl`. `on` is marked already.
   */
  readonly autoCache: AutoCache
  readonly autoCacheTtl: '5m' | '1h'
  /** The client's `prompt_cache_key`, a hint which account may be warm; null without one. */
  readonly cacheKey: string | null
  /** Begins the answer; called when upstream's `message_start` is here. */
  openAnswer(about: AnswerContext): AnswerTranslator
}

/** What an answer says about itself. */
export interface AnswerContext {
  /** `ccr_…`: the ids of the answer are made of it. */
  readonly requestId: string
  /** Unix seconds. */
  readonly createdS: number
  /** Unix seconds at the end, for formats that say when an answer was complete. */
  readonly nowS?: () => number
  /** What its user pays for it; asked when its usage is written. */
  readonly bill?: () => Bill
}

/** One answer: upstream's events in, the client's bytes out. Not reusable. */
export interface AnswerTranslator {
  /**
   * Takes upstream's bytes in any chunking and answers what the client gets for the events that are whole
   * (nothing where it does not stream). The success ending comes with upstream's `message_stop` and never
   * otherwise; an upstream `error` event comes out as the format's own, and nothing follows it.
   */
  push(bytes: Buffer): Buffer
  /**
   * `open`: runs; `paused`: upstream wants to be called again with `pausedContent` behind the history
   * (`pause_turn`); `done`: ended well; `failed`: an error event came, or the ending had no stop reason.
   */
  readonly state: 'open' | 'paused' | 'done' | 'failed'
  /** The answer so far, as content of the assistant's message; null where it is not `paused`. */
  readonly pausedContent: readonly unknown[] | null
  /** Ends a running stream with an error of ours, in the format's words; nothing follows it. */
  fail(error: WireError): Buffer
  /** Ends a paused answer without another round: what there is is the answer. */
  finishPaused(): Buffer
  /** Why it `failed`; a client that does not stream gets it as its answer. Null otherwise. */
  readonly failure: TranslatedError | null
  /** The body of an answer that does not stream; null until `done`. */
  body(): string | null
}
