import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { TranslationSettings } from '../../../src/dialects/dialect.ts'
import { answerTo, payloadsOf, sse, translate } from './world.ts'

/**
 * Whole request, whole upstream request, whole answer, whole stream. Each file is a case; `expected` is
 * written anew by `UPDATE_GOLDEN=1` and then read by a person.
 */
const FOLDER = fileURLToPath(new URL('../../golden/openai-chat', import.meta.url))

interface GoldenCase {
  readonly title: string
  readonly settings?: Partial<TranslationSettings>
  readonly request: Record<string, unknown>
  /** Upstream's events: the data of each, or raw text. Without `message_stop` the stream just ends. */
  readonly events?: readonly unknown[]
  readonly expected?: unknown
}

for (const name of readdirSync(FOLDER).toSorted()) {
  const path = join(FOLDER, name)
  const golden: GoldenCase = JSON.parse(readFileSync(path, 'utf8'))
  test(`${name.replace('.json', '')}: ${golden.title}`, () => {
    const expected = run(golden)
    if (process.env.UPDATE_GOLDEN === '1')
      writeFileSync(path, `${layout({ ...golden, expected })}\n`)
    else assert.deepEqual(expected, golden.expected)
  })
}

function run({ request, settings, events }: GoldenCase): unknown {
  const translation = translate({ ...request, stream: true }, settings)
  if (translation.kind === 'refused') return { refused: translation }
  const { ignored, warnings, betas, autoCache, autoCacheTtl } = translation
  const sent = {
    upstream: JSON.parse(translation.body),
    ...(ignored.length === 0 ? {} : { ignored }),
    ...(warnings.length === 0 ? {} : { warnings }),
    ...(betas.length === 0 ? {} : { betas }),
    autoCache: autoCache === 'off' ? autoCache : `${autoCache}, ${autoCacheTtl}`,
  }
  if (events === undefined) return sent
  const stream = answerTo(translation, sse(events))
  const whole = translate({ ...request, stream: false }, settings)
  assert.equal(whole.kind === 'ok' && whole.body, translation.body)
  const unstreamed = whole.kind === 'ok' ? answerTo(whole, sse(events)) : null
  assert.equal(unstreamed?.written, '', 'nothing is written before a whole answer is there')
  const { state } = stream.answer
  assert.equal(unstreamed?.answer.state, state)
  const body = unstreamed?.answer.body() ?? null
  return {
    ...sent,
    state,
    stream: payloadsOf(stream.written),
    ...(body === null ? {} : { answer: JSON.parse(body) }),
    ...(state === 'failed' ? { failure: unstreamed?.answer.failure } : {}),
    ...(state === 'paused' ? { pausedContent: stream.answer.pausedContent } : {}),
  }
}

/** JSON that people read: what fits stands in one line, and so does every chunk of a stream. */
function layout(value: unknown, indent = '', name = ''): string {
  const flat = JSON.stringify(value)
  const isLine = name === 'stream' || name === 'events'
  if (typeof value !== 'object' || value === null) return flat
  if (flat.length + indent.length < 96) return flat
  const inner = `${indent}  `
  if (Array.isArray(value)) {
    const items = value.map((item) => (isLine ? JSON.stringify(item) : layout(item, inner)))
    return `[\n${inner}${items.join(`,\n${inner}`)}\n${indent}]`
  }
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .map(([key, member]) => `${JSON.stringify(key)}: ${layout(member, inner, key)}`)
  return `{\n${inner}${members.join(`,\n${inner}`)}\n${indent}}`
}
