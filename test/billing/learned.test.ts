import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FIRST_GUESSES, Learned, PROMPT_BYTES_PER_TOKEN } from '../../src/billing/learned.ts'

const CLASS = 'opus-5'

function taught(values: readonly number[]): Learned {
  const learned = new Learned()
  for (const value of values) {
    learned.sawPrompt(CLASS, value * 10_000, 10_000)
    learned.sawOutput(CLASS, value * 1_000, 1_000)
    learned.sawSpeed(CLASS, value * 1_000, 1_000)
  }
  return learned
}

test('a few receipts teach nothing yet', () => {
  const learned = taught(Array.from({ length: 49 }, () => 3))
  assert.equal(learned.promptBytesPerToken(CLASS), PROMPT_BYTES_PER_TOKEN)
  assert.equal(learned.outputBytesPerToken(CLASS, 'middle'), 4)
  assert.equal(
    learned.tokensPerSecond(CLASS, 'middle'),
    FIRST_GUESSES.tokensPerSecond(CLASS, 'middle'),
  )
})

test('many receipts move the cautious end and the middle to what they say', () => {
  const values = Array.from({ length: 2_000 }, (_, i) => 3 + i / 2_000)
  const learned = taught(values)
  const prompt = learned.promptBytesPerToken(CLASS)
  assert.ok(prompt > 2.7 && prompt <= 3.01, `${prompt}`)
  const middle = learned.outputBytesPerToken(CLASS, 'middle')
  assert.ok(Math.abs(middle - 3.5) < 0.1, `${middle}`)
  assert.ok(learned.outputBytesPerToken(CLASS, 'cautious') <= 3.01)
  assert.ok(learned.tokensPerSecond(CLASS, 'cautious') >= 3.99)
  assert.equal(
    learned.promptBytesPerToken('haiku-5-5'),
    PROMPT_BYTES_PER_TOKEN,
    'others learn nothing',
  )
})

test('short prompts, short answers and nonsense teach nothing', () => {
  const learned = new Learned()
  for (let i = 0; i < 1_000; i++) {
    learned.sawPrompt(CLASS, 100, 90)
    learned.sawPrompt(CLASS, 5_000, 0)
    learned.sawOutput(CLASS, 0, 500)
    learned.sawOutput(CLASS, 10, 9)
    learned.sawSpeed(CLASS, 500, 0)
  }
  assert.equal(learned.serialize(), '[]')
})

test('old receipts fade', () => {
  const learned = taught(Array.from({ length: 20_000 }, () => 2))
  for (let i = 0; i < 60_000; i++) learned.sawOutput(CLASS, 4_000, 1_000)
  const middle = learned.outputBytesPerToken(CLASS, 'middle')
  assert.ok(Math.abs(middle - 4) < 0.1, `${middle}`)
})

test('what was learned survives being stored, and garbage is ignored', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.1, max: 50, noNaN: true }), { maxLength: 500 }),
      (values) => {
        const learned = taught(values)
        const again = new Learned()
        again.restore(learned.serialize())
        assert.equal(again.serialize(), learned.serialize())
      },
    ),
    { numRuns: 20 },
  )
  const learned = new Learned()
  for (const text of [
    '',
    '{',
    '{}',
    '[1]',
    '[["prompt x",[[1,-5]]]]',
    '[["prompt x",[["a",1]]]]',
    '[["other x",[[1,1]]]]',
  ]) {
    learned.restore(text)
  }
  assert.equal(learned.serialize(), '[]')
})
