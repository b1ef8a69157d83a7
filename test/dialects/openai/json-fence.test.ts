import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FenceReader, withoutFence } from '../../../src/dialects/openai/json-fence.ts'

test('a fence around the whole text goes, anything else stays', () => {
  assert.equal(withoutFence('```json\n{"a":1}\n```'), '{"a":1}')
  assert.equal(withoutFence('\n ```JSON  \n[1,\n 2]\n\n```\n'), '[1,\n 2]')
  assert.equal(withoutFence('```\n{"a":"```"}\n```'), '{"a":"```"}')
  // Cut off in the middle: what there is of the JSON.
  assert.equal(withoutFence('```json\n{"a":'), '{"a":')
  for (const text of [
    '{"a":1}\n',
    '',
    ' ',
    '``',
    '```',
    '```js',
    '```python\n1\n```',
    'See ```\n1\n```',
  ])
    assert.equal(withoutFence(text), text)
  const late = `${' '.repeat(100)}\`\`\`json\n1\n\`\`\``
  assert.equal(withoutFence(late), late)
})

test('the pieces without the fence are the whole text without it, however it is cut', () => {
  const bit = fc.constantFrom('`', '```', '```json\n', '\n```', ' ', '\n', '{"a":', '1}', 'j', 'x')
  fc.assert(
    fc.property(fc.array(fc.array(bit, { maxLength: 4 }), { maxLength: 8 }), (pieces) => {
      const texts = pieces.map((bits) => bits.join(''))
      const reader = new FenceReader()
      const read = texts.map((text) => reader.push(text)).join('') + reader.end()
      assert.equal(read, withoutFence(texts.join('')))
    }),
    { numRuns: 2_000 },
  )
})
