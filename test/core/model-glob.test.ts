import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { matchesModel } from '../../src/core/model-glob.ts'

const fewLetters = fc.string({
  unit: fc.constantFrom('a', 'b', '-', '.', '*', '(', '4'),
  maxLength: 8,
})

test('a glob matches exactly what the same regular expression does', () => {
  fc.assert(
    fc.property(fewLetters, fewLetters, (glob, model) => {
      const escaped = glob.split('*').map((part) => part.replace(/[^\w]/g, '\\$&'))
      const oracle = new RegExp(`^${escaped.join('[^]*')}$`)
      assert.equal(matchesModel([glob], model), oracle.test(model), `${glob} on ${model}`)
    }),
    { numRuns: 2_000 },
  )
})

test('one match among several is enough; an empty list allows nothing', () => {
  assert.equal(matchesModel(['claude-opus-*', 'claude-haiku-4-5'], 'claude-haiku-4-5'), true)
  assert.equal(matchesModel(['claude-opus-*', 'claude-haiku-4-5'], 'claude-haiku-4-5-x'), false)
  assert.equal(matchesModel([], 'claude-haiku-4-5'), false)
  assert.equal(matchesModel(['*'], 'anything'), true)
})

test('overlapping ends do not match twice', () => {
  assert.equal(matchesModel(['a*a'], 'a'), false)
  assert.equal(matchesModel(['a*a'], 'aa'), true)
  assert.equal(matchesModel(['ab*bc'], 'abc'), false)
})

test('a glob of many stars is decided at once', () => {
  const glob = `${'*a'.repeat(40)}*b`
  assert.equal(matchesModel([glob], 'a'.repeat(5_000)), false)
})
