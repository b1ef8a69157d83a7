import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { ScriptedAnswer, ScriptedEvent } from '../support/openai.ts'
import { refuses, scriptedUpstream, streams } from '../support/openai.ts'
import { world } from '../support/world.ts'

/**
 * The cases of the catalogue that are more than translation: whole requests, what each of them sent upstream and
 * by which account, whole answers, receipts. `expected` is written anew by `UPDATE_GOLDEN=1` and read by a person.
 */
const FOLDER = fileURLToPath(new URL('../golden/openai-gateway', import.meta.url))
const TRANSLATED = fileURLToPath(new URL('../golden/openai-chat', import.meta.url))
const RESPONSES = fileURLToPath(new URL('../golden/openai-responses', import.meta.url))

interface GoldenCase {
  readonly title: string
  /** What the key may use; everything where absent. */
  readonly models?: readonly string[]
  readonly requests: readonly {
    readonly path: string
    readonly headers?: Readonly<Record<string, string>>
    /** Absent: a GET. */
    readonly body?: object
  }[]
  /** Upstream's answers in their order, the last one for ever. */
  readonly upstream: readonly (
    | { readonly events: readonly ScriptedEvent[] }
    | { readonly status: number; readonly type: string; readonly message: string }
  )[]
  readonly expected?: unknown
}

const SHOWN = ['content-type', 'x-should-retry', 'retry-after', 'x-cc-warnings', 'request-id']

for (const name of readdirSync(FOLDER)) {
  const path = join(FOLDER, name)
  const golden = JSON.parse(readFileSync(path, 'utf8')) as GoldenCase
  test(`${name.replace('.json', '')}: ${golden.title}`, async (t) => {
    const upstream = await scriptedUpstream(t, golden.upstream.map(answerOf))
    const w = await world(t, {
      account: () => ({ baseUrl: upstream.url }),
      key: { models: golden.models ?? ['*'] },
    })
    const accounts = new Map<unknown, string>()
    const expected: unknown[] = []
    for (const { path: asked, headers, body } of golden.requests) {
      const before = upstream.requests.length
      const response = await fetch(w.url + asked, {
        method: body === undefined ? 'GET' : 'POST',
        headers: { authorization: `Bearer ${w.key}`, ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      const text = await response.text()
      const sent = upstream.requests.slice(before).map((request) => {
        const key = request.headers['x-api-key']
        if (!accounts.has(key)) accounts.set(key, `account ${accounts.size + 1}`)
        return { by: accounts.get(key), body: request.body }
      })
      const told = SHOWN.filter((header) => response.headers.has(header)).map((header) => [
        header,
        masked(response.headers.get(header) ?? ''),
      ])
      expected.push({
        sent,
        status: response.status,
        headers: Object.fromEntries(told),
        answer: JSON.parse(masked(text)),
        ...(body === undefined
          ? {}
          : { receipt: await receipt(response.headers.get('x-cc-request-id') ?? '') }),
      })
    }
    async function receipt(requestId: string) {
      const { status, errorCode, tokens, costMicro, attempts } = await w.usage(requestId)
      const outcomes = attempts.map(({ outcome }) => outcome)
      return { status, errorCode, tokens, costMicro, attempts: outcomes }
    }
    if (process.env.UPDATE_GOLDEN === '1')
      writeFileSync(path, `${JSON.stringify({ ...golden, expected }, null, 1)}\n`)
    else assert.deepEqual(expected, golden.expected)
  })
}

test('every case of the catalogue has its file', () => {
  const names = [FOLDER, TRANSLATED, RESPONSES].flatMap((folder) => readdirSync(folder))
  const missing = Array.from({ length: 60 }, (_, i) => `C${String(i + 1).padStart(2, '0')}-`)
  assert.deepEqual(
    missing.filter((start) => !names.some((name) => name.startsWith(start))),
    [],
  )
})

function answerOf(answer: GoldenCase['upstream'][number]): ScriptedAnswer {
  if ('events' in answer) return streams(answer.events)
  return refuses(answer.status, answer.type, answer.message)
}

/** Without what differs from run to run. */
function masked(text: string): string {
  return text
    .replace(/ccr_[0-9a-z]{26}/g, 'ccr_…')
    .replace(/"created":[1-9]\d{9}/g, '"created":1')
    .replace(/ in about \d+ s/, ' in about N s')
}
