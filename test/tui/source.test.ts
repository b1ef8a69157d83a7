import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StoreError } from '../../src/store/store.ts'
import { type Before, perform } from '../../src/tui/actions.ts'
import { modelOf } from '../../src/tui/model.ts'
import { statusBlock } from '../../src/tui/plain.ts'
import { Source } from '../../src/tui/source.ts'
import { seededDatabase } from './seed.ts'
import { mockupSnapshot, NOW } from './world.ts'

const CALM = { inFlight: 0, isResting: false, untilMs: null }

test('the past is read once, then each new row exactly once', async (t) => {
  const world = await seededDatabase()
  t.after(world.close)
  for (let i = 0; i < 7; i++) await world.exchange({ agoMs: i * 10_000 })
  const source = new Source(world.store, Date.now)
  const total = async () => {
    const snapshot = await source.read()
    return snapshot.traffic.last(60, Date.now()).reduce((sum, minute) => sum + minute.requests, 0)
  }
  assert.equal(await total(), 7)
  assert.equal(await total(), 7)
  await world.exchange()
  assert.equal(await total(), 8)
  // Long requests are written late, below ids already seen.
  await world.exchange({ agoMs: 120_000 })
  assert.equal(await total(), 9)
  assert.equal(await total(), 9)
})

test('a database that was empty at the start is followed from its first request on', async (t) => {
  const world = await seededDatabase()
  t.after(world.close)
  const source = new Source(world.store, Date.now)
  assert.equal(modelOf(await source.read(), Date.now()).rates?.requestsPerMinute, 0)
  await world.exchange()
  await world.exchange({ httpStatus: 529 })
  const model = modelOf(await source.read(), Date.now())
  assert.equal(model.rates?.requestsPerMinute, 2)
  assert.equal(model.rates?.errorShare, 0.5)
  assert.equal(model.daemon.kind, 'serving')
  assert.equal(model.keys[0]?.label, 'alice/laptop')
})

test('the sum of today follows each request at once', async (t) => {
  const world = await seededDatabase()
  t.after(world.close)
  // A sum that takes long is not read at every look: what is new is added to it.
  const sums: number[] = []
  const store = new Proxy(world.store, {
    get(target, name) {
      if (name !== 'sumUsage') {
        const value = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      }
      return async (window: Parameters<typeof target.sumUsage>[0]) => {
        const totals = await target.sumUsage(window)
        await new Promise((resolve) => setTimeout(resolve, 100))
        sums.push(totals.requests)
        return totals
      }
    },
  })
  await world.exchange()
  const source = new Source(store, Date.now)
  const today = async () => modelOf(await source.read(), Date.now()).today
  const first = await today()
  assert.equal(first?.requests, 1)
  await world.exchange()
  const second = await today()
  assert.equal(second?.requests, 2)
  assert.equal(second?.costMicro, 2 * (first?.costMicro ?? 0))
  assert.deepEqual(sums, [1])
})

test('an hour of rows is read in parts, newest first', async (t) => {
  const world = await seededDatabase()
  t.after(world.close)
  for (let i = 0; i < 26; i++) await world.exchange({ agoMs: 1_000 + i })
  const source = new Source(world.store, Date.now, {
    limits: { page: 5, pagesPerLook: 4, pastRows: 1_000 },
  })
  const seen = async () => {
    const { traffic } = await source.read()
    return traffic.last(60, Date.now()).reduce((sum, minute) => sum + minute.requests, 0)
  }
  assert.equal(await seen(), 20)
  assert.equal(await seen(), 26)
})

test('disable, enable and clear change the database, say what happened and leave an audit row', async (t) => {
  const world = await seededDatabase()
  t.after(world.close)
  const account = { id: world.accounts.spare, name: 'spare' }
  const by = { actor: 'tui:ann', nowMs: Date.now() }
  const act = async (kind: 'disable' | 'enable' | 'clear', before: Before = CALM) =>
    (await perform(world.store, { kind, account }, by, before)).text
  const isDisabled = async () => {
    const found = await world.store.findAccount('spare')
    return found.kind === 'found' && found.value.disabledAtMs !== null
  }
  const running = { ...CALM, inFlight: 2 }
  assert.equal(
    await act('disable', running),
    'spare disabled. 2 requests are still finishing. Undo: e',
  )
  assert.equal(await isDisabled(), true)
  assert.equal(await act('disable'), 'spare is already disabled')
  assert.match(await act('enable'), /^spare enabled/)
  assert.equal(await isDisabled(), false)
  const untilMs = by.nowMs + 42_000
  await world.store.setCooldown(account.id, untilMs, by)
  assert.match(
    await act('clear', { ...CALM, isResting: true, untilMs }),
    /cooldown ended \(was 0:42 left\)/,
  )
  const [summary] = (await world.store.listAccounts(by.nowMs)).filter(
    (each) => each.name === 'spare',
  )
  assert.equal(summary.cooldownUntilMs, null)
  const audit = await world.store.listAudit({ limit: 10 })
  assert.ok(audit.filter(({ actor }) => actor === 'tui:ann').length >= 3)
})

test('a busy database becomes a message, a bug does not', async () => {
  const failing = (error: Error) => ({
    setAccountDisabled: () => Promise.reject(error),
    clearCooldown: () => Promise.reject(error),
  })
  const effect = { kind: 'enable', account: { id: 'acct_1', name: 'main' } } as const
  const by = { actor: 'tui:ann', nowMs: NOW }
  const message = await perform(failing(new StoreError('busy', 'locked')), effect, by, CALM)
  assert.deepEqual(
    [message.tone, message.text],
    ['bad', '! main was not changed: the database is busy. Try again.'],
  )
  await assert.rejects(perform(failing(new TypeError('bug')), effect, by, CALM), TypeError)
})

test('the plain block says in words what the screen shows', () => {
  const block = statusBlock(modelOf(mockupSnapshot(), NOW), { nowMs: NOW, zone: 'UTC' })
  assert.deepEqual(
    block.split('\n').map((line) => line.replace(/[▁-█]+/, '~')),
    [
      '● serving   https://api.example.com   up 3d 4h   0.1.0   pid 4121',
      'Accounts    3 healthy · 1 cooling (spare, 0:42) · 1 disabled',
      'Traffic     70 req/min ~ · 0.3% errors · 1 refused · 9 in flight · p50 first token 614 ms',
      'Today       2,918 requests · $128.40 · cache hit 71%',
      'Attention   ci-bot has $3.02 left (~5 min): ccgate credit grant ci-bot 20',
      '',
    ],
  )
})
