import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { WaitingRoom } from '../../src/pool/waiting-room.ts'

/** A room in front of `slots` free slots; `served` tells who got one, in order. */
function world(options: { slots?: number; maxPerKey?: number; maxLength?: number } = {}) {
  const { maxPerKey = 32, maxLength = 1_024 } = options
  const room = new WaitingRoom({ maxPerKey, maxLength })
  const served: string[] = []
  const state = { slots: options.slots ?? 0 }
  return {
    room,
    served,
    free(count: number) {
      state.slots += count
      room.serve()
    },
    join: (keyId: string, name: string, scope = '', canServe = () => true) =>
      room.join({
        keyId,
        scope,
        attempt() {
          if (state.slots === 0 || !canServe()) return false
          state.slots--
          served.push(name)
          return true
        },
      }),
  }
}

test('keys take turns, one request each, however many one of them has in line', () => {
  const { join, free, served } = world()
  for (let i = 0; i < 20; i++) join('greedy', `g${i}`)
  join('modest', 'm0')
  join('late', 'l0')
  free(4)
  assert.deepEqual(served, ['g0', 'm0', 'l0', 'g1'])
})

test('a key that was served waits for all others, also from one slot to the next', () => {
  const { join, free, served } = world()
  for (const name of ['a0', 'a1', 'a2']) join('a', name)
  free(1)
  for (const name of ['b0', 'b1']) join('b', name)
  for (let i = 0; i < 4; i++) free(1)
  assert.deepEqual(served, ['a0', 'a1', 'b0', 'a2', 'b1'])
})

test('one that is bound to a full account does not stop those behind it, but its own scope waits', () => {
  const { join, free, served } = world()
  join('a', 'bound first', 'credential x', () => false)
  join('a', 'bound second', 'credential x')
  join('a', 'free')
  free(3)
  assert.deepEqual(served, ['free'])
})

test('the line is bounded, for each key and for all', () => {
  const { join, room } = world({ maxPerKey: 2, maxLength: 3 })
  assert.notEqual(join('a', '1'), null)
  const second = join('a', '2')
  assert.equal(join('a', '3'), null)
  assert.notEqual(join('b', '4'), null)
  assert.equal(join('c', '5'), null)
  second?.leave()
  second?.leave()
  assert.equal(room.size, 2)
  assert.notEqual(join('c', '6'), null)
})

test('whoever comes while serving is heard in the same turn', () => {
  const { room, served, free, join } = world()
  room.join({
    keyId: 'a',
    scope: '',
    attempt() {
      join('b', 'came later')
      free(1)
      return true
    },
  })
  room.serve()
  assert.deepEqual(served, ['came later'])
  assert.equal(room.size, 0)
})

test('nobody waits for more than one turn of every other key, and no slot stays free', () => {
  const step = fc.record({
    keys: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 8 }),
    slots: fc.integer({ min: 0, max: 5 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { room, join, free, served } = world()
      const waiting: { key: number; name: string }[] = []
      const keyOf = new Map<string, number>()
      let name = 0
      for (const { keys, slots } of steps) {
        for (const key of keys) {
          name++
          keyOf.set(String(name), key)
          if (join(`key_${key}`, String(name)) !== null) waiting.push({ key, name: String(name) })
        }
        const before = served.length
        free(slots)
        const now = served.slice(before)
        for (const one of now) {
          const at = waiting.findIndex((waiter) => waiter.name === one)
          const { key } = waiting[at]
          assert.ok(!waiting.slice(0, at).some((waiter) => waiter.key === key), 'in its order')
          waiting.splice(at, 1)
        }
        // Slots of one turn are spread: nobody got two while somebody else got none.
        const counts = Array.from({ length: 5 }, () => 0)
        for (const one of now) counts[keyOf.get(one) ?? 0]++
        const most = Math.max(...counts)
        for (const { key } of waiting) assert.ok(counts[key] >= most - 1, 'in turn')
        assert.equal(room.size, waiting.length)
      }
      free(10_000)
      assert.equal(room.size, 0)
    }),
    { numRuns: 200 },
  )
})

test('what somebody waits for may change: who then waits for something else stops nobody behind it', () => {
  const room = new WaitingRoom({ maxPerKey: 32, maxLength: 32 })
  const served: string[] = []
  let scope = ''
  room.join({
    keyId: 'a',
    get scope() {
      return scope
    },
    attempt() {
      scope = 'account warm'
      return false
    },
  })
  room.join({ keyId: 'a', scope: '', attempt: () => served.push('second') > 0 })
  assert.equal(room.isAhead('a', ''), true)
  room.serve()
  assert.deepEqual([served, room.size, room.isAhead('a', '')], [['second'], 1, false])
})

test('those of one kind are not asked while no account is free for it, and again after somebody was served', () => {
  const room = new WaitingRoom({ maxPerKey: 32, maxLength: 1_024 })
  const free = new Set<string>(['b'])
  const log: string[] = []
  for (const [keyId, kind] of ['a', 'b', 'a', 'b', 'c'].entries()) {
    room.join({
      keyId: `key_${keyId}`,
      scope: '',
      attempt() {
        log.push(`${kind} tries`)
        return free.delete(kind)
      },
      hope: {
        kind,
        isAnyFree() {
          log.push(`${kind}?`)
          return free.has(kind)
        },
      },
    })
  }
  room.serve()
  assert.deepEqual(log, ['a?', 'b?', 'b tries', 'a?', 'b?', 'c?', 'a?', 'b?', 'c?'])
  assert.equal(room.size, 4)
})
