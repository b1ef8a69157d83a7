import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { PrefixTable } from '../../src/pool/prefix-table.ts'
import { createRandom } from '../../src/sandbox/random.ts'

const NOW_MS = 1_795_000_000_000
const LATER_MS = NOW_MS + 300_000

/** A hash as a keyed one looks: all four words are chance. */
function hashOf(random: () => number): Int32Array {
  return Int32Array.from({ length: 4 }, () => Math.floor(random() * 2 ** 32) | 0)
}

function placesOf(table: PrefixTable, hashes: Int32Array, nowMs = NOW_MS): string[] {
  const places: string[] = []
  table.find(hashes, 0, nowMs, ({ place }) => places.push(place))
  return places.toSorted()
}

const entry = (hashes: Int32Array, more: object = {}) => ({
  hashes,
  at: 0,
  place: 'a',
  owner: 1,
  tokens: 600,
  endsAtMs: LATER_MS,
  ...more,
})

test('while nothing is crowded out, the table is a map from prefix and place to end and tokens', () => {
  const anyStep = fc.record({
    what: fc.constantFrom('put', 'touch', 'remove', 'pass'),
    which: fc.nat(5),
    place: fc.constantFrom('a', 'b'),
    seconds: fc.nat(400),
  })
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 60 }), fc.nat(), (steps, seed) => {
      const random = createRandom(seed)
      const hashes = Array.from({ length: 6 }, () => hashOf(random))
      const table = new PrefixTable(64)
      const model = new Map<string, number>()
      let nowMs = NOW_MS
      for (const { what, which, place, seconds } of steps) {
        const endsAtMs = nowMs + seconds * 1_000
        const one = entry(hashes[which], { place, endsAtMs })
        const name = `${which} ${place}`
        const known = model.get(name) ?? 0
        if (what === 'pass') nowMs = endsAtMs
        else if (what === 'put') {
          assert.equal(table.put(one, nowMs), true)
          model.set(name, endsAtMs)
        } else if (what === 'touch') {
          table.touch(one, nowMs)
          if (known > nowMs) model.set(name, Math.max(known, endsAtMs))
        } else {
          table.remove(one)
          model.delete(name)
        }
        for (let k = 0; k < hashes.length; k++) {
          const expected = ['a', 'b'].filter((p) => (model.get(`${k} ${p}`) ?? 0) > nowMs)
          assert.deepEqual(placesOf(table, hashes[k], nowMs), expected)
        }
      }
    }),
  )
})

test('however much is put in, memory stays what it was', () => {
  const random = createRandom(1)
  const table = new PrefixTable(256)
  for (let k = 0; k < 20_000; k++) {
    const endsAtMs = LATER_MS + Math.floor(random() * 1e6)
    table.put(entry(hashOf(random), { owner: k % 7, endsAtMs }), NOW_MS)
    assert.ok(table.size <= 256)
  }
  assert.equal(table.bytes, 256 * 32)
})

test("nobody's entries leave for an owner with more than twice as many", () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 60 }), (seed, count) => {
      const random = createRandom(seed)
      const table = new PrefixTable(64)
      const theirs: Int32Array[] = []
      let mine = Array.from({ length: count }, () => hashOf(random))
      const alive = (list: Int32Array[]) => list.filter((one) => placesOf(table, one).length === 1)
      for (const hashes of mine) table.put(entry(hashes, { owner: 1 }), NOW_MS)
      mine = alive(mine)
      for (let k = 0; k < 300; k++) {
        const before = alive(theirs).length
        const hashes = hashOf(random)
        theirs.push(hashes)
        table.put(entry(hashes, { owner: 2, endsAtMs: LATER_MS + 3_600_000 }), NOW_MS)
        const left = alive(mine)
        if (left.length < mine.length) assert.ok(mine.length * 2 > before)
        mine = left
      }
    }),
    { numRuns: 50 },
  )
})

test('a flood leaves alone what lay in a table with room', () => {
  const random = createRandom(2)
  const table = new PrefixTable(1_024)
  const mine = Array.from({ length: 100 }, () => hashOf(random))
  for (const hashes of mine) table.put(entry(hashes, { owner: 1 }), NOW_MS)
  for (let k = 0; k < 50_000; k++) {
    table.put(entry(hashOf(random), { owner: 2, endsAtMs: LATER_MS + 3_600_000 }), NOW_MS)
  }
  assert.ok(mine.every((hashes) => placesOf(table, hashes).length === 1))
})

test('where only smaller owners lie, a large one stays out', () => {
  const random = createRandom(8)
  const table = new PrefixTable(4_096)
  const crowd = Array.from({ length: 16 }, () => Int32Array.of(100, ...hashOf(random).subarray(1)))
  for (const [owner, hashes] of crowd.entries()) table.put(entry(hashes, { owner }), NOW_MS)
  for (let k = 0; k < 500; k++) table.put(entry(hashOf(random), { owner: 99 }), NOW_MS)
  const late = Int32Array.of(100, 1, 2, 3)
  const longer = { endsAtMs: LATER_MS + 60_000 }
  assert.equal(table.put(entry(late, { ...longer, owner: 99 }), NOW_MS), false)
  assert.ok(crowd.every((hashes) => placesOf(table, hashes).length === 1))
  assert.equal(table.put(entry(late, { ...longer, owner: 100 }), NOW_MS), true)
})

test('who comes after a flood finds room at once, at the expense of the flood', () => {
  const random = createRandom(3)
  const table = new PrefixTable(1_024)
  for (let k = 0; k < 10_000; k++) table.put(entry(hashOf(random), { owner: 2 }), NOW_MS)
  const mine = Array.from({ length: 200 }, () => hashOf(random))
  for (const hashes of mine) assert.equal(table.put(entry(hashes, { owner: 1 }), NOW_MS), true)
  assert.ok(mine.every((hashes) => placesOf(table, hashes).length === 1))
})

test('what has ended makes room and no longer counts for its owner', () => {
  const random = createRandom(4)
  const table = new PrefixTable(64)
  for (let k = 0; k < 500; k++) table.put(entry(hashOf(random)), NOW_MS)
  for (let k = 0; k < 64; k++)
    table.put(entry(hashOf(random), { owner: 2, endsAtMs: LATER_MS + 9_000 }), LATER_MS)
  assert.ok(table.size <= 64)
  const late = hashOf(random)
  table.put(entry(late, { endsAtMs: LATER_MS + 9_000 }), LATER_MS)
  assert.deepEqual(placesOf(table, late, LATER_MS), ['a'])
})

test('an end is never told later than it is', () => {
  const random = createRandom(5)
  const table = new PrefixTable(16)
  const hashes = hashOf(random)
  table.put(entry(hashes, { endsAtMs: NOW_MS + 999 }), NOW_MS - 5_000)
  assert.deepEqual(placesOf(table, hashes, NOW_MS - 1), ['a'])
  assert.deepEqual(placesOf(table, hashes, NOW_MS + 1), [])
})

test('an account that tells its workspace takes its entries along', () => {
  const random = createRandom(6)
  const table = new PrefixTable(64)
  const [first, second] = [hashOf(random), hashOf(random)]
  table.put(entry(first, { place: 'acct_1' }), NOW_MS)
  table.put(entry(second, { place: 'wrkspc_1' }), NOW_MS)
  table.rename('acct_1', 'wrkspc_1')
  assert.deepEqual(placesOf(table, first), ['wrkspc_1'])
  table.touch({ ...entry(first, { place: 'wrkspc_1' }), endsAtMs: LATER_MS + 60_000 }, NOW_MS)
  assert.deepEqual(placesOf(table, first, LATER_MS + 1_000), ['wrkspc_1'])
  table.remove(entry(first, { place: 'wrkspc_1' }))
  assert.deepEqual(placesOf(table, first), [])
  assert.deepEqual(placesOf(table, second), ['wrkspc_1'])
  // An answer that was asked for before the account had told.
  table.put(entry(first, { place: 'acct_1' }), NOW_MS)
  table.put(entry(first, { place: 'wrkspc_1' }), NOW_MS)
  assert.deepEqual(placesOf(table, first), ['wrkspc_1'])
  // Its credential is now one of another workspace: what lies in the old one stays there.
  table.rename('acct_1', 'wrkspc_2')
  table.put(entry(second, { place: 'acct_1' }), NOW_MS)
  assert.deepEqual(placesOf(table, first), ['wrkspc_1'])
  assert.deepEqual(placesOf(table, second), ['wrkspc_1', 'wrkspc_2'])
})

test('live entries survive an export, ended ones and foreign bytes do not get in', () => {
  const random = createRandom(7)
  const table = new PrefixTable(64)
  const [live, ended] = [hashOf(random), hashOf(random)]
  table.put(entry(live, { place: 'wörk' }), NOW_MS)
  table.put(entry(ended, { endsAtMs: NOW_MS + 1_000 }), NOW_MS)
  const bytes = table.export(NOW_MS + 2_000)

  const next = new PrefixTable(32)
  assert.equal(next.import(bytes, NOW_MS + 2_000), 1)
  assert.deepEqual(placesOf(next, live, NOW_MS + 2_000), ['wörk'])
  assert.equal(new PrefixTable(32).import(bytes, LATER_MS + 1), 0)
  assert.equal(next.import(new Uint8Array(0), NOW_MS), 0)
  fc.assert(
    fc.property(
      fc.nat(bytes.length - 1),
      fc.integer({ min: 1, max: 255 }),
      fc.nat(),
      (at, flip, cut) => {
        const broken = bytes.slice()
        broken[at] ^= flip
        assert.ok(new PrefixTable(16).import(broken, NOW_MS) <= 2)
        assert.equal(new PrefixTable(16).import(bytes.subarray(0, cut % bytes.length), NOW_MS), 0)
      },
    ),
  )
})

test('a table has a power of two of slots', () => {
  for (const slots of [0, 8, 100, -16]) assert.throws(() => new PrefixTable(slots), RangeError)
})
