import { createHash } from 'node:crypto'
import type {
  AnswerTranslator,
  Translated,
  TranslationContext,
  TranslationSettings,
} from '../../../src/dialects/dialect.ts'
import { DEFAULT_TRANSLATION_SETTINGS } from '../../../src/dialects/dialect.ts'
import { capabilitiesOf } from '../../../src/dialects/openai/capabilities.ts'
import { translator } from '../../../src/dialects/openai-responses/translator.ts'

/** The id of every request here; the ids of answers are made of it. */
export const REQUEST_ID = 'ccr_01jdr0000000000000000000aa'

/** What translation is told, with these settings of the operator. */
export function contextWith(settings: Partial<TranslationSettings> = {}): TranslationContext {
  const digestWith = (kind: string) => (text: string) => createHash(kind).update(text).digest('hex')
  return {
    keyId: 'key_1',
    digest: { sha1: digestWith('sha1'), sha256: digestWith('sha256') },
    modelOf: (name) => ({ id: name, capabilities: capabilitiesOf(name) }),
    settings: { ...DEFAULT_TRANSLATION_SETTINGS, ...settings },
  }
}

/** Translates a body that must be fine. */
export function translated(body: unknown, settings?: Partial<TranslationSettings>): Translated {
  const translation = translator.translate(body, contextWith(settings))
  if (translation.kind === 'refused') throw new Error(JSON.stringify(translation))
  return translation
}

/** The answer to a request, not begun. */
export function openAnswer(request: Translated, requestId = REQUEST_ID): AnswerTranslator {
  return request.openAnswer({ requestId, createdS: 1_795_332_247, nowS: () => 1_795_332_250 })
}

/** An upstream event. */
export type UpstreamEvent = { readonly type: string; readonly [member: string]: unknown }

/** Upstream's bytes for these events. */
export function sse(events: readonly UpstreamEvent[]): Buffer {
  return Buffer.from(
    events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(''),
  )
}

/** One content block, as upstream streams it. */
export type Piece =
  | { readonly text: readonly string[]; readonly citations?: readonly unknown[] }
  | { readonly thinking: readonly string[]; readonly signature: string }
  | { readonly redacted: string }
  | { readonly call: string; readonly name: string; readonly json: readonly string[] }
  | { readonly search: string; readonly query: string }
  | { readonly found: string; readonly content: unknown }

const USAGE = {
  input_tokens: 30,
  cache_creation_input_tokens: 10,
  cache_read_input_tokens: 60,
  output_tokens: 1,
  service_tier: 'standard',
}

/** Everything up to the stop of the last block. */
export function opening(pieces: readonly Piece[], model = 'claude-opus-5-5'): UpstreamEvent[] {
  const message = { id: 'msg_up', type: 'message', role: 'assistant', model, content: [] }
  return [
    { type: 'message_start', message: { ...message, usage: USAGE } },
    { type: 'ping' },
    ...pieces.flatMap(blockEvents),
  ]
}

/** A whole answer. */
export function answerOf(
  pieces: readonly Piece[],
  stopReason: string | null = 'end_turn',
  details: object = {},
): UpstreamEvent[] {
  const usage = { output_tokens: 20, output_tokens_details: { thinking_tokens: 5 } }
  return [
    ...opening(pieces),
    { type: 'message_delta', delta: { stop_reason: stopReason, ...details }, usage },
    { type: 'message_stop' },
  ]
}

function blockEvents(piece: Piece, index: number): UpstreamEvent[] {
  const start = (content_block: object) => ({ type: 'content_block_start', index, content_block })
  const delta = (it: object) => ({ type: 'content_block_delta', index, delta: it })
  const stop = { type: 'content_block_stop', index }
  const json = (partial_json: string) => delta({ type: 'input_json_delta', partial_json })
  if ('text' in piece) {
    const cited = (piece.citations ?? []).map((citation) =>
      delta({ type: 'citations_delta', citation }),
    )
    const texts = piece.text.map((text) => delta({ type: 'text_delta', text }))
    return [start({ type: 'text', text: '' }), ...cited, ...texts, stop]
  }
  if ('thinking' in piece) {
    const texts = piece.thinking.map((thinking) => delta({ type: 'thinking_delta', thinking }))
    const { signature } = piece
    const signed = signature === '' ? [] : [delta({ type: 'signature_delta', signature })]
    return [start({ type: 'thinking', thinking: '', signature: '' }), ...texts, ...signed, stop]
  }
  if ('redacted' in piece) return [start({ type: 'redacted_thinking', data: piece.redacted }), stop]
  if ('call' in piece) {
    const { call: id, name } = piece
    const begun = start({ type: 'tool_use', id, name, input: {} })
    return [begun, ...piece.json.map(json), stop]
  }
  if ('search' in piece) {
    const begun = start({
      type: 'server_tool_use',
      id: piece.search,
      name: 'web_search',
      input: {},
    })
    return [begun, json(JSON.stringify({ query: piece.query })), stop]
  }
  const { found: tool_use_id, content } = piece
  return [start({ type: 'web_search_tool_result', tool_use_id, content }), stop]
}
