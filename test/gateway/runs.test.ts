import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Call } from '../../src/gateway/exchange.ts'
import { RecordingSpace } from '../../src/gateway/recording.ts'
import { Runs } from '../../src/gateway/runs.ts'

/** A retry of request `id` by `key`. */
function call(id: string, key = 'key_1', isRetry = true): Call {
  const live = { key: { id: key } }
  // Only what names a run is looked at.
  return { requestId: id, live, target: '/v1/messages', rawHeaders: [], isRetry } as unknown as Call
}

const body = (text: string) => Buffer.from(text)
const answer = (bytes: number) => ({
  status: 200,
  headers: {},
  accountId: 'acct_1',
  body: [Buffer.alloc(bytes)],
  balanceMicro: 7,
})

test('a run is found by a retry of the same key and bytes, and not before its client left', async () => {
  const runs = new Runs()
  assert.equal(runs.find(call('b'), body('x')), null)
  const run = runs.abandon(call('a'), body('x'), null)
  assert.equal(runs.find(call('b'), body('x')), run)
  assert.equal(runs.find(call('b', 'key_1', false), body('x')), null)
  assert.equal(runs.find(call('b', 'key_2'), body('x')), null)
  runs.abandon(call('z', 'key_2'), body('z'), null)
  assert.equal(
    runs.find(call('b', 'key_2'), body('x')),
    null,
    'that key has runs, but not this one',
  )
  assert.equal(runs.find(call('b'), body('y')), null)
  run.end(answer(10))
  run.end(null)
  assert.equal((await run.whole)?.balanceMicro, 7)
  assert.equal(runs.find(call('c'), body('x')), run, 'kept after its end')
})

test('a run that comes to nothing is forgotten at once', async () => {
  const runs = new Runs()
  const run = runs.abandon(call('a'), body('x'), null)
  run.end(null)
  assert.equal(await run.whole, null)
  assert.equal(runs.find(call('b'), body('x')), null)
  assert.deepEqual(runs.size, { runs: 0, bytes: 0 })
})

test('a stream that runs is handed to one retry, one that has ended to every one', () => {
  const runs = new Runs()
  const adopt = async () => null
  const run = runs.abandon(call('a'), body('x'), adopt)
  assert.equal(runs.find(call('b'), body('x')), run)
  assert.equal(runs.find(call('c'), body('x')), null)
  const ended = runs.abandon(call('d'), body('y'), adopt)
  ended.end(answer(5))
  assert.equal(runs.find(call('e'), body('y')), ended)
  assert.equal(runs.find(call('f'), body('y')), ended)
})

test('what is kept is bounded in bytes and in number; the oldest goes first', () => {
  const runs = new Runs()
  const mebibyte = 1024 * 1024
  for (let i = 0; i < 100; i++)
    runs.abandon(call(`a${i}`), body(`${i}`), null).end(answer(mebibyte))
  assert.deepEqual(runs.size, { runs: 64, bytes: 64 * mebibyte })
  assert.equal(runs.find(call('z'), body('35')), null)
  assert.notEqual(runs.find(call('z'), body('36')), null)
  for (let i = 0; i < 1_500; i++) runs.abandon(call(`b${i}`), body(`b${i}`), null)
  assert.equal(runs.size.runs, 1_000)
  assert.equal(runs.size.bytes, 0)
})

test('recordings share one space, and one that is too long is lost whole', () => {
  const space = new RecordingSpace()
  const one = space.begin()
  one?.add(Buffer.alloc(1_000_000))
  assert.equal(one?.chunks?.length, 1)
  assert.equal(space.bytes, 1_000_000)
  one?.add(Buffer.alloc(2_000_000))
  assert.equal(one?.chunks, null)
  assert.equal(space.bytes, 0)
  const many = Array.from({ length: 40 }, () => {
    const recording = space.begin()
    recording?.add(Buffer.alloc(2_000_000))
    return recording
  })
  assert.ok(many.filter((recording) => recording?.chunks?.length === 1).length <= 33)
  assert.ok(space.bytes <= 64 * 1024 * 1024)
  for (const recording of many) recording?.drop()
  for (const recording of many) recording?.drop()
  assert.equal(space.bytes, 0)
})
