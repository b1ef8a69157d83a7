import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changesOfConfig, type SourcedChange } from '../../src/billing/config-changes.ts'

const NOW = 1_000_000

let lastSeq = 0
function stored(source: string, value: unknown, effectiveAtMs = NOW - 1): SourcedChange {
  return { seq: ++lastSeq, kind: 'markup', subject: 'claude-opus-*', value, effectiveAtMs, source }
}
const wanted = (value: unknown) => ({ kind: 'markup', subject: 'claude-opus-*', value }) as const

const written = (
  ...[want, rows]: [readonly ReturnType<typeof wanted>[], readonly SourcedChange[]]
) => changesOfConfig(want, rows, NOW).map(({ value }) => value)

test('what the config says for the first time is written, in force from now on', () => {
  assert.deepEqual(changesOfConfig([wanted([6, 5])], [], NOW), [
    { ...wanted([6, 5]), effectiveAtMs: NOW, source: 'config' },
  ])
})

test('what it said before is not written again, in whatever order its members come', () => {
  assert.deepEqual(written([wanted([6, 5])], [stored('config', [6, 5])]), [])
  assert.deepEqual(
    written([wanted({ a: 1, b: { c: 2, d: 3 } })], [stored('config', { b: { d: 3, c: 2 }, a: 1 })]),
    [],
  )
  assert.deepEqual(written([wanted([7, 5])], [stored('config', [6, 5])]), [[7, 5]])
})

test('what it no longer says is taken back, once', () => {
  const before = stored('config', [6, 5])
  assert.deepEqual(written([], [before]), [null])
  assert.deepEqual(written([], [before, stored('config', null)]), [])
})

test('what a person set since then stays, until the config says something new', () => {
  const rows = [stored('config', [6, 5]), stored('set', [2, 1])]
  assert.deepEqual(written([wanted([6, 5])], rows), [])
  assert.deepEqual(written([], rows), [], 'nothing of the config is in force')
  assert.deepEqual(written([wanted([7, 5])], rows), [[7, 5]])
})

test('a change that is yet to come does not hide what is in force', () => {
  const rows = [stored('config', [6, 5]), stored('set', [2, 1], NOW + 1)]
  assert.deepEqual(written([], rows), [null])
})

test('what the config said while the clock was ahead is in force now, and never again another', () => {
  const early = stored('config', [6, 5], NOW + 100)
  assert.deepEqual(written([wanted([6, 5])], [early]), [[6, 5]])
  assert.deepEqual(written([wanted([6, 5])], [early, stored('config', [6, 5], NOW)]), [])
  // Another value than then: from now on, and also when the early one would have begun.
  const rows = [...changesOfConfig([wanted([7, 5])], [early], NOW)]
  assert.deepEqual(
    rows.map(({ value, effectiveAtMs }) => [value, effectiveAtMs - NOW]),
    [
      [[7, 5], 0],
      [[7, 5], 100],
    ],
  )
  const kept = [early, ...rows.map((row) => ({ ...row, seq: ++lastSeq }))]
  assert.deepEqual(written([wanted([7, 5])], kept), [])
  assert.deepEqual(changesOfConfig([wanted([7, 5])], kept, NOW + 200), [])
  assert.deepEqual(written([], [early]), [null])
})
