import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CustomInputReader, customText } from '../../../src/dialects/openai/custom-input.ts'

function read(json: string, cuts: readonly number[]): string[] {
  const reader = new CustomInputReader()
  const places = cuts.map((cut) => cut % (json.length + 1)).sort((a, b) => a - b)
  const pieces: string[] = []
  let from = 0
  for (const place of [...places, json.length]) {
    pieces.push(reader.push(json.slice(from, place)))
    from = place
  }
  return [...pieces, reader.end()]
}

/** JSON of a call as models write it: escapes of every kind, blanks between the tokens. */
const calls = fc
  .tuple(fc.string({ unit: 'binary' }), fc.boolean(), fc.constantFrom('', ' ', '\n'))
  .map(([text, isEscaped, blank]) => {
    const escaped = (c: string) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`
    const value = isEscaped ? `"${text.replace(/[\s\S]/g, escaped)}"` : JSON.stringify(text)
    return { text, json: `{${blank}"input"${blank}:${blank}${value}${blank}}` }
  })

test('the pieces of a custom tool’s text are its text, however the JSON is cut', () => {
  fc.assert(
    fc.property(calls, fc.array(fc.nat(), { maxLength: 8 }), ({ text, json }, cuts) => {
      const pieces = read(json, cuts)
      assert.equal(pieces.join(''), text)
      assert.equal(customText(json), text)
    }),
    { numRuns: 2_000 },
  )
})

test('no piece ends in half a character', () => {
  const json = '{"input":"a\\ud83d\\ude00b😀c"}'
  for (let cut = 0; cut <= json.length; cut++)
    for (const piece of read(json, [cut])) assert.ok(piece.isWellFormed(), `cut at ${cut}`)
})

test('JSON of another shape is the text itself', () => {
  for (const json of ['{"patch":"x"}', '[1]', 'plain', '{"input":5}', `{"a":"${'x'.repeat(90)}"}`])
    assert.equal(read(json, [1, 9, 40]).join(''), json)
})

test('a text of a megabyte in small pieces takes no longer than it should', () => {
  const reader = new CustomInputReader()
  let length = reader.push('{"input":"').length
  for (let i = 0; i < 100_000; i++) length += reader.push('ten chars\\n').length
  assert.equal(length, 1_000_000)
})
