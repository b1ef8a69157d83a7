import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Slot } from '../../src/pool/pool.ts'
import { Pool } from '../../src/pool/pool.ts'
import { type AccountPlan, accountOf } from '../../src/simulate/account.ts'
import { Agenda, START_MS } from '../../src/simulate/agenda.ts'
import { type Caller, Desk } from '../../src/simulate/desk.ts'
import { leastBusyOf } from '../../src/simulate/least-busy.ts'
import { POLICY } from '../../src/simulate/run.ts'

const PLAN: AccountPlan = { name: 'a', weight: 1, priority: 1, concurrencyLimit: 1, rpmLimit: null }

function world(plan: Partial<AccountPlan> = {}, line = { maxPerKey: 32, maxLength: 64 }) {
  const agenda = new Agenda(START_MS)
  const pool = new Pool({ clock: agenda.clock, random: () => 0.5, policy: POLICY })
  const account = accountOf({ ...PLAN, ...plan }, START_MS)
  pool.reload([{ account, credential: '', proxy: null }], [])
  const desk = new Desk<Caller>({
    agenda,
    pool,
    model: 'm',
    modelClass: 'm',
    longestWaitMs: 10_000,
    line,
    pick(candidates, { tried }) {
      const choice = leastBusyOf(candidates, tried)
      return choice.kind === 'account' ? choice : { kind: 'wait', forMs: choice.retryAfterMs }
    },
  })
  const seen: string[] = []
  const ask = (name: string, atMs: number, holdMs: number) =>
    agenda.add(START_MS + atMs, () => {
      const caller = {
        keyId: name[0],
        scope: '',
        tried: new Set<string>(),
        again: null,
        waitedMs: 0,
      }
      const note = (what: string) => seen.push(`${name} ${what} ${agenda.nowMs - START_MS}`)
      desk.seek(caller, {
        served(slot: Slot) {
          note('served')
          agenda.add(agenda.nowMs + holdMs, () => slot.release())
        },
        turnedAway: () => note('away'),
      })
    })
  return { agenda, desk, ask, seen, pool }
}

test('who finds the account full waits in line and is served the moment a slot gets free, keys in turn', async () => {
  const { agenda, ask, seen } = world()
  ask('x1', 0, 2_500)
  ask('x2', 1, 1_000)
  ask('x3', 2, 1_000)
  ask('y1', 3, 1_000)
  await agenda.run()
  assert.deepEqual(seen, ['x1 served 0', 'x2 served 2500', 'y1 served 3500', 'x3 served 4500'])
})

test('nobody waits longer than allowed, and a full line is told so at once', async () => {
  const { agenda, ask, seen, desk } = world({}, { maxPerKey: 1, maxLength: 1 })
  ask('x1', 0, 30_000)
  ask('x2', 1_000, 1)
  ask('y1', 2_000, 1)
  await agenda.run()
  assert.deepEqual(seen, ['x1 served 0', 'y1 away 2000', 'x2 away 11000'])
  assert.equal(desk.waiting, 0)
})

test('a wait that would be too long is not begun; one for requests per minute ends by the clock', async () => {
  const { agenda, ask, seen } = world({ rpmLimit: 10, concurrencyLimit: null })
  for (let k = 0; k < 10; k++) ask(`x${k}`, 0, 1)
  ask('y', 1, 1)
  await agenda.run()
  assert.equal(seen.filter((line) => line.includes('served 0')).length, 10)
  const last = seen.at(-1) ?? ''
  assert.match(last, /^y (served|away) \d+$/)
  const {
    agenda: second,
    ask: askSlow,
    seen: told,
  } = world({ rpmLimit: 1, concurrencyLimit: null })
  askSlow('x', 0, 1)
  askSlow('y', 1, 1)
  await second.run()
  assert.deepEqual(told, ['x served 0', 'y away 1'])
})

test('who waits for the account that knows its prompt does not stop others of its key', async () => {
  const agenda = new Agenda(START_MS)
  const pool = new Pool({ clock: agenda.clock, random: () => 0.5, policy: POLICY })
  const accounts = ['a', 'b'].map((name) => accountOf({ ...PLAN, name }, START_MS))
  pool.reload(
    accounts.map((account) => ({ account, credential: '', proxy: null })),
    [],
  )
  const seen: string[] = []
  // Everybody wants `a`, the first and the third so much that they wait for it.
  const desk = new Desk<Caller & { readonly name: string }>({
    agenda,
    pool,
    model: 'm',
    modelClass: 'm',
    longestWaitMs: 10_000,
    line: { maxPerKey: 32, maxLength: 64 },
    pick(candidates, { name }) {
      const [a, b] = candidates.map(({ inFlight }) => inFlight === 0)
      if (a) return { kind: 'account', id: 'a' }
      if (b && name === 'other') return { kind: 'account', id: 'b' }
      return { kind: 'wait', forMs: 1_000, ...(name === 'other' ? {} : { at: 'a' }) }
    },
  })
  for (const [k, name] of ['warm-1', 'warm-2', 'other', 'warm-3'].entries()) {
    agenda.add(START_MS + k, () => {
      const caller = {
        name,
        keyId: 'x',
        scope: '',
        tried: new Set<string>(),
        again: null,
        waitedMs: 0,
      }
      desk.seek(caller, {
        served(slot, { id }) {
          seen.push(`${name} ${id} ${agenda.nowMs - START_MS}`)
          agenda.add(agenda.nowMs + 3_000, () => slot.release())
        },
        turnedAway: () => seen.push(`${name} away`),
      })
    })
  }
  await agenda.run()
  assert.deepEqual(seen, ['warm-1 a 0', 'other b 2', 'warm-2 a 3000', 'warm-3 a 6000'])
})

test('events happen in the order of their time, and equal ones in the order of their coming', async () => {
  const agenda = new Agenda(START_MS)
  const seen: number[] = []
  const times = Array.from({ length: 300 }, (_, k) => (k * 7_919) % 101)
  for (const [k, atMs] of times.entries()) agenda.add(START_MS + atMs, () => seen.push(k))
  await agenda.run()
  const wanted = times.map((_, k) => k).toSorted((a, b) => times[a] - times[b] || a - b)
  assert.deepEqual(seen, wanted)
  assert.equal(agenda.nowMs, START_MS + 100)
})
