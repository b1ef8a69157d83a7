import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { translator } from '../../../src/dialects/openai-responses/translator.ts'
import type { Case } from './cases.ts'
import { CASES } from './cases.ts'
import { contextWith, openAnswer, sse } from './world.ts'

/** `UPDATE_GOLDEN=1` writes the files anew; read the difference before you keep it. */
const IS_UPDATE = process.env.UPDATE_GOLDEN === '1'
const FOLDER = fileURLToPath(new URL('../../golden/openai-responses/', import.meta.url))

for (const it of CASES) {
  test(`the case ${it.name} is translated as its golden file says`, () => {
    const file = join(FOLDER, `${it.name}.txt`)
    const actual = play(it)
    if (IS_UPDATE) {
      mkdirSync(FOLDER, { recursive: true })
      writeFileSync(file, actual)
    }
    assert.equal(actual, readFileSync(file, 'utf8'))
  })
}

test('every golden file belongs to a case', () => {
  const names = CASES.map(({ name }) => `${name}.txt`)
  assert.deepEqual(readdirSync(FOLDER).toSorted(), names.toSorted())
})

/** Request, upstream request, answer in one piece, and stream, one under the other. */
function play({ body, settings, upstream }: Case): string {
  const sections: [string, string][] = [['request', pretty(body)]]
  const context = contextWith(settings)
  const plain = translator.translate({ ...body, stream: false }, context)
  const streamed = translator.translate({ ...body, stream: true }, context)
  if (plain.kind === 'refused') {
    assert.deepEqual(streamed, plain, 'a refusal does not depend on the stream')
    const { status, code, field, message } = plain
    sections.push([`refused with ${status}`, pretty({ message, param: field, code })])
    return joined(sections)
  }
  assert.ok(streamed.kind === 'ok')
  assert.equal(streamed.body, plain.body, 'the upstream request does not depend on the stream')
  const { betas, ignored, warnings, autoCache, autoCacheTtl, cacheKey } = plain
  sections.push(['upstream request', pretty(JSON.parse(plain.body))])
  sections.push([
    'beside it',
    pretty({ betas, ignored, warnings, autoCache, autoCacheTtl, cacheKey }),
  ])
  if (upstream === undefined) return joined(sections)
  const answer = openAnswer(plain)
  assert.equal(answer.push(sse(upstream)).length, 0)
  const whole = answer.body()
  sections.push([`answer (${answer.state})`, whole === null ? 'none\n' : pretty(JSON.parse(whole))])
  sections.push(['stream', openAnswer(streamed).push(sse(upstream)).toString()])
  return joined(sections)
}

function pretty(value: unknown): string {
  return `${JSON.stringify(value, null, 1)}\n`
}

function joined(sections: readonly (readonly [string, string])[]): string {
  return sections.map(([title, text]) => `=== ${title}\n${text}`).join('\n')
}
