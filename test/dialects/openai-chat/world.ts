import { createHash } from 'node:crypto'
import type {
  AnswerTranslator,
  Translated,
  Translation,
  TranslationContext,
  TranslationSettings,
} from '../../../src/dialects/dialect.ts'
import { DEFAULT_TRANSLATION_SETTINGS } from '../../../src/dialects/dialect.ts'
import { capabilitiesOf } from '../../../src/dialects/openai/capabilities.ts'
import { openaiChat } from '../../../src/dialects/openai-chat/index.ts'

/** The model of every request that does not say otherwise. */
export const MODEL = 'claude-opus-5-5'

export const ABOUT = { requestId: 'ccr_test', createdS: 1_795_332_247 }

export const digest = {
  sha1: (text: string) => createHash('sha1').update(text).digest('hex'),
  sha256: (text: string) => createHash('sha256').update(text).digest('hex'),
}

/** One alias, `gpt-4o`; every other name is a model's own. */
export function contextOf(settings: Partial<TranslationSettings> = {}): TranslationContext {
  return {
    keyId: 'key_test',
    digest,
    modelOf: (name) => {
      const id = name === 'gpt-4o' ? MODEL : name
      return { id, capabilities: capabilitiesOf(id) }
    },
    settings: { ...DEFAULT_TRANSLATION_SETTINGS, ...settings },
  }
}

export function translate(json: unknown, settings: Partial<TranslationSettings> = {}): Translation {
  const { translator } = openaiChat
  if (translator === undefined) throw new Error('chat has a translator')
  return translator.translate(json, contextOf(settings))
}

/** The translation of a request that must pass. */
export function passed(json: unknown, settings: Partial<TranslationSettings> = {}): Translated {
  const translation = translate(json, settings)
  if (translation.kind !== 'ok') throw new Error(`refused: ${translation.message}`)
  return translation
}

/** The refusal of a request that must not pass. */
export function refused(json: unknown, settings: Partial<TranslationSettings> = {}) {
  const translation = translate(json, settings)
  if (translation.kind !== 'refused') throw new Error('passed')
  return translation
}

/** An upstream body as the tests read it. */
export interface Upstream {
  readonly [field: string]: unknown
  readonly messages: readonly {
    readonly role: string
    readonly content: readonly { readonly [field: string]: unknown }[]
  }[]
}

/** The body that goes upstream for a request that must pass. */
export function upstreamOf(json: unknown, settings: Partial<TranslationSettings> = {}): Upstream {
  return JSON.parse(passed(json, settings).body)
}

/** Upstream's events as it writes them; a string stands for itself. */
export function sse(events: readonly unknown[]): string {
  return events
    .map((event) =>
      typeof event === 'string'
        ? event
        : `event: ${(event as { type: string }).type}\ndata: ${JSON.stringify(event)}\n\n`,
    )
    .join('')
}

/** An answer's own bytes for the bytes of upstream's stream, cut at these places. */
export function answerTo(
  translated: Translated,
  upstream: string,
  cuts: readonly number[] = [],
): { readonly answer: AnswerTranslator; readonly written: string } {
  const answer = translated.openAnswer(ABOUT)
  const bytes = Buffer.from(upstream)
  const written: Buffer[] = []
  let from = 0
  for (const cut of [...cuts, bytes.length]) {
    written.push(Buffer.from(answer.push(bytes.subarray(from, cut))))
    from = cut
  }
  return { answer, written: Buffer.concat(written).toString() }
}

/** The payloads of a chat stream, whose every line must be `data: …` and a blank line. */
export function payloadsOf(stream: string): unknown[] {
  if (stream === '') return []
  if (!stream.endsWith('\n\n')) throw new Error('the stream ends in half an event')
  return stream
    .slice(0, -2)
    .split('\n\n')
    .map((line) => {
      if (!line.startsWith('data: ') || line.includes('\n')) throw new Error(`odd line: ${line}`)
      const data = line.slice('data: '.length)
      return data === '[DONE]' ? data : JSON.parse(data)
    })
}
