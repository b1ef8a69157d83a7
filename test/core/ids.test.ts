import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { IdKind } from '../../src/core/ids.ts'
import { createIdMaker, ID_PREFIX, idFloor, idTimeMs, ulidTime } from '../../src/core/ids.ts'

const kinds = Object.keys(ID_PREFIX) as IdKind[] // the table's own keys
const anyTime = fc.integer({ min: 0, max: 2 ** 48 - 1 })
const anyBytes = fc.uint8Array({ minLength: 16, maxLength: 16 })

test('an id carries its kind and its time, and nothing that needs escaping', () => {
  fc.assert(
    fc.property(fc.constantFrom(...kinds), anyTime, anyBytes, (kind, timeMs, bytes) => {
      const id = createIdMaker(
        () => bytes,
        () => timeMs,
      )(kind)
      assert.match(id, /^[a-z]+_[0-9a-hjkmnp-tv-z]{26}$/)
      assert.ok(id.startsWith(ID_PREFIX[kind]))
      assert.equal(idTimeMs(id), timeMs)
      assert.ok(id >= idFloor(kind, timeMs))
      assert.ok(id < idFloor(kind, timeMs + 1))
    }),
  )
})

test('ids sort in the order of making, whatever the clock and the dice do', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: -3, max: 3 }), anyBytes), {
        minLength: 2,
        maxLength: 50,
      }),
      (moves) => {
        let at = 0
        let timeMs = 1_800_000_000_000
        const makeId = createIdMaker(
          () => moves[at][1],
          () => timeMs,
        )
        let last = ''
        for (at = 0; at < moves.length; at++) {
          timeMs += moves[at][0]
          const id = makeId('request')
          assert.ok(id > last, `${id} after ${last}`)
          last = id
        }
      },
    ),
  )
})

test('a hundred thousand ids of one millisecond never run over into its time', () => {
  const makeId = createIdMaker(
    () => new Uint8Array(16).fill(255),
    () => 1_800_000_000_000,
  )
  let last = ''
  for (let i = 0; i < 100_000; i++) {
    const id = makeId('entry')
    assert.ok(id > last)
    last = id
  }
  assert.equal(idTimeMs(last), 1_800_000_000_000)
})

test('the spelling of times never changes: ids in books must stay in order', () => {
  assert.equal(ulidTime(0), '0000000000')
  assert.equal(ulidTime(1_700_000_000_000), '01hf7yat00')
  assert.equal(ulidTime(2 ** 48 - 1), '7zzzzzzzzz')
})

test('what is no id of ours has no time', () => {
  for (const text of [
    '',
    'ccr_',
    'ccr_01HF7YAT000000000000000000',
    'req_011CS',
    `ccr_${'u'.repeat(26)}`,
  ])
    assert.equal(idTimeMs(text), null, text)
  fc.assert(
    fc.property(fc.string(), (text) => {
      assert.equal(idTimeMs(text), null)
    }),
  )
})
