import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { cacheValueOf } from '../../src/billing/cache-value.ts'
import { hourLabel } from '../../src/core/calendar.ts'
import { createIdMaker } from '../../src/core/ids.ts'
import type { UsageRecord } from '../../src/core/model.ts'
import type { Store, UsageDimension, UsageFilter, UsageSummaryRow } from '../../src/store/store.ts'
import { ROLLUP_MS } from '../../src/store/store.ts'
import {
  addUser,
  by,
  type Cleanup,
  createWorld,
  freshDatabase,
  makeId,
  newAccount,
  newHold,
  newKey,
  open,
  recordOf,
  violationsOf,
  voidOf,
} from './world.ts'

const BEGIN_MS = Date.UTC(2026, 10, 22, 10)
const SPAN_MS = 5 * ROLLUP_MS
const MODELS = ['claude-sonnet-4-6', 'claude-haiku-4-5', 'x[1]?*']

interface Seen {
  readonly record: UsageRecord
  readonly user: string
  readonly key: string
  readonly account: string | null
  readonly atMs: number
}

/** 120 requests of two users around quarters of an hour, some exactly on them, and what was written of each. */
async function busyWorld(t: Cleanup) {
  const path = await freshDatabase(t)
  const store = await open(t, path, 'local')
  const accounts = ['main', 'spare'].map((name) => newAccount({ name }))
  for (const account of accounts) await store.addAccount(account, by())
  const alice = await addUser(store, { name: 'alice', creditMicro: 900_000_000 })
  const bob = await addUser(store, { name: 'bob', creditMicro: 900_000_000 })
  const phone = newKey({ userId: alice.userId, name: 'phone' })
  await store.createKey(phone, by())
  const owners = [
    { user: 'alice', key: 'alice/laptop', ...alice },
    { user: 'alice', key: 'alice/phone', userId: alice.userId, keyId: phone.id },
    { user: 'bob', key: 'bob/laptop', ...bob },
  ]
  const seen: Seen[] = []
  for (let i = 0; i < 120; i++) {
    const random = (n: number) => Math.floor(Math.random() * n)
    const atMs = BEGIN_MS + (i % 4 === 0 ? random(5) * ROLLUP_MS : random(SPAN_MS))
    const requestId = createIdMaker(
      (bytes) => randomBytes(bytes),
      () => atMs,
    )('request')
    const owner = owners[random(3)]
    const model = MODELS[random(3)]
    const hold = newHold(
      { ...owner, bootId: makeId('boot') },
      { requestId, model, openedAtMs: atMs, stream: random(2) === 0 },
    )
    const record = recordFor(hold, accounts[random(2)].id, random)
    if (record.attempts.length === 0) store.noteRefusal(record)
    else {
      await store.openHold(hold)
      await (record.status === 'rejected' ? store.voidHold(record) : store.settleHold(record))
    }
    const names = new Map(accounts.map(({ id, name }) => [id, name]))
    seen.push({
      record,
      user: owner.user,
      key: owner.key,
      account: names.get(record.accountId ?? '') ?? null,
      atMs,
    })
  }
  return { store, seen, owners, accounts }
}

function recordFor(
  hold: Parameters<typeof recordOf>[0],
  accountId: string,
  random: (n: number) => number,
): UsageRecord {
  const attempt = {
    accountId,
    outcome: 'ok',
    httpStatus: 200,
    durationMs: 1,
    upstreamRequestId: null,
    listCostMicro: random(5_000),
  }
  const tokens = {
    input: random(99),
    output: random(99),
    cacheRead: 5,
    cacheWrite5m: 1,
    cacheWrite1h: 2,
  }
  const paid = { tokens, accountId, costMicro: random(9_000), attempts: [attempt] }
  switch (random(5)) {
    case 0:
      return voidOf(hold, { httpStatus: [429, 402, 404, 403][random(4)], holdMicro: 0 })
    case 1:
      return voidOf(hold, { accountId, attempts: [{ ...attempt, httpStatus: 529 }] })
    case 2:
      return recordOf(hold, {
        ...paid,
        status: ['interrupted', 'complete'][random(2)] as UsageRecord['status'],
        httpStatus: [200, 499][random(2)],
        errorCode: ['insufficient_credit', 'key_spend_limit', 'upstream_interrupted'][random(3)],
      })
    case 3:
      return recordOf(hold, { ...paid, attempts: [attempt, attempt] })
    default:
      return recordOf(hold, paid)
  }
}

const sum = (seen: readonly Seen[], of: (record: UsageRecord) => number) =>
  seen.reduce((total, { record }) => total + of(record), 0)

const isCut = ({ httpStatus, status }: UsageRecord) => httpStatus < 400 && status === 'interrupted'
const isUnpaid = (record: UsageRecord) =>
  isCut(record) && record.errorCode !== 'upstream_interrupted' && record.errorCode !== null
const isError = (record: UsageRecord) =>
  record.httpStatus >= 500 || (isCut(record) && !isUnpaid(record))
const isRefused = (record: UsageRecord) =>
  isUnpaid(record) || [429, 402, 404, 403].includes(record.httpStatus)

/** The sums as one adds them up by hand. */
function totals(seen: readonly Seen[]) {
  return {
    requests: seen.length,
    costMicro: sum(seen, (record) => record.costMicro),
    tokens: {
      input: sum(seen, ({ tokens }) => tokens.input),
      output: sum(seen, ({ tokens }) => tokens.output),
      cacheRead: sum(seen, ({ tokens }) => tokens.cacheRead),
      cacheWrite5m: sum(seen, ({ tokens }) => tokens.cacheWrite5m),
      cacheWrite1h: sum(seen, ({ tokens }) => tokens.cacheWrite1h),
    },
  }
}

/** Instants that matter: on quarters, beside them, and anywhere. */
const instant = fc
  .tuple(fc.integer({ min: -1, max: 6 }), fc.constantFrom(-1, 0, 1, 77_777, 450_000))
  .map(([quarter, off]) => BEGIN_MS + quarter * ROLLUP_MS + off)
const window = fc.tuple(instant, instant).map(([a, b]) => ({
  sinceMs: Math.min(a, b),
  untilMs: Math.max(a, b),
}))
const inside =
  ({ sinceMs = 0, untilMs = Infinity }: Partial<{ sinceMs: number; untilMs: number }>) =>
  ({ atMs }: Seen) =>
    atMs >= sinceMs && atMs < untilMs

test('sums, counts and reports of roll-ups are those of the details', async (t) => {
  const w = await busyWorld(t)
  await sumsAgree(w)
  await countsAgree(w)
  await reportsAgree(w)
  await accountsAgree(w)
  await keysAgree(w)
  assert.deepEqual(await violationsOf(w.store), [])
})

type World = Awaited<ReturnType<typeof busyWorld>>

/** What a monitor that has just started says of the day so far. */
async function accountsAgree({ store, seen }: World): Promise<void> {
  for (const account of await store.listAccounts(BEGIN_MS + SPAN_MS)) {
    const its = seen.filter((one) => one.account === account.name)
    assert.deepEqual(
      [account.requestsToday, account.spendTodayMicro, account.lastUsedAtMs],
      [
        its.length,
        sum(its, (record) => record.costMicro),
        Math.max(...its.map(({ atMs }) => atMs)),
      ],
    )
  }
}

/** 24 hours back from any instant, and this month. */
async function keysAgree({ store, seen }: World): Promise<void> {
  await fc.assert(
    fc.asyncProperty(instant, fc.constantFrom(0, 86_400_000), async (atMs, laterMs) => {
      const nowMs = atMs + laterMs
      // The rows of the future, as seen from there, count in both ways of adding up.
      for (const key of await store.listKeys({ nowMs })) {
        const its = seen.filter((one) => one.key === `${key.userName}/${key.name}`)
        const lately = its.filter((one) => one.atMs >= nowMs - 86_400_000)
        assert.deepEqual(
          [key.spent24hMicro, key.spentMonthMicro],
          [sum(lately, ({ costMicro }) => costMicro), sum(its, ({ costMicro }) => costMicro)],
        )
        assert.equal(key.lastUsedAtMs, Math.max(...its.map((one) => one.atMs)))
        assert.equal(key.lastIp, '203.0.113.7')
      }
    }),
  )
}

async function sumsAgree({ store, seen }: World): Promise<void> {
  await fc.assert(
    fc.asyncProperty(window, async (span) => {
      assert.deepEqual(await store.sumUsage(span), totals(seen.filter(inside(span))))
    }),
  )
}

async function countsAgree({ store, seen, owners, accounts }: World): Promise<void> {
  const maybe = <T>(values: readonly T[]) =>
    fc.option(fc.constantFrom(...values), { nil: undefined, freq: 2 })
  const filter = fc.record({
    window,
    userId: maybe(owners.map(({ userId }) => userId)),
    keyId: maybe(owners.map(({ keyId }) => keyId)),
    accountId: maybe(accounts.map(({ id }) => id)),
    httpStatus: maybe(['2xx', '4xx', '5xx', '404', '1xx']),
    model: maybe([...MODELS, 'claude-*', '*4*6']),
    stream: maybe([true]),
  })
  await fc.assert(
    fc.asyncProperty(filter, async ({ window: span, ...owner }) => {
      const question: Omit<UsageFilter, 'limit'> = { ...span, ...owner }
      const wanted = seen.filter(inside(span)).filter(({ record }) => isWanted(record, question))
      const page = await store.listUsage({ ...question, limit: 1 })
      assert.equal(page.total, wanted.length)
      assert.deepEqual(
        await exported(store, question),
        wanted.map(({ record }) => record.requestId).sort(),
      )
    }),
  )
}

function isWanted(record: UsageRecord, filter: Omit<UsageFilter, 'limit'>): boolean {
  const { httpStatus, model, stream } = filter
  const globs = { 'claude-*': /^claude-/, '*4*6': /4.*6$/ } as Record<string, RegExp>
  return (
    [undefined, record.userId].includes(filter.userId) &&
    [undefined, record.keyId].includes(filter.keyId) &&
    [undefined, record.accountId].includes(filter.accountId) &&
    (stream === undefined || record.stream === stream) &&
    (model === undefined || (globs[model]?.test(record.model) ?? record.model === model)) &&
    (httpStatus === undefined ||
      String(record.httpStatus).startsWith(httpStatus.replaceAll('x', '')))
  )
}

/** All ids, read in pages. */
async function exported(store: Store, question: Omit<UsageFilter, 'limit'>) {
  const ids: string[] = []
  for (let afterId: string | null = null, more = true; more; ) {
    const page: Awaited<ReturnType<Store['exportUsage']>> = await store.exportUsage(question, {
      limit: 13,
      afterId,
    })
    ids.push(...page.rows.map((row) => row.requestId))
    more = page.hasMore
    afterId = ids.at(-1) ?? null
  }
  return ids
}

async function reportsAgree({ store, seen, owners }: World): Promise<void> {
  const timeZone = 'Asia/Kathmandu' // 5:45 ahead: its hours begin in the middle of ours
  const nameOf: Partial<Record<UsageDimension, (one: Seen) => string>> = {
    hour: ({ atMs }) => hourLabel(atMs, timeZone),
    user: ({ user }) => user,
    key: ({ key }) => key,
    account: ({ account }) => account ?? '–',
    status: ({ record }) => `${Math.floor(record.httpStatus / 100)}xx`,
    model: ({ record }) =>
      record.costMicro === 0 &&
      (Math.floor(record.httpStatus / 100) === 4 ||
        (record.httpStatus >= 400 && record.attempts.length === 0))
        ? '–'
        : record.model,
  }
  const dimensions = fc.uniqueArray(
    fc.constantFrom(...(Object.keys(nameOf) as UsageDimension[])), // its own keys
    { minLength: 1, maxLength: 2 },
  )
  const owner = fc.option(fc.constantFrom(...owners.map(({ userId }) => userId)), {
    nil: undefined,
  })
  await fc.assert(
    fc.asyncProperty(window, dimensions, owner, async (span, byWhat, userId) => {
      const whole = {
        sinceMs: Math.floor(span.sinceMs / ROLLUP_MS) * ROLLUP_MS,
        untilMs: Math.ceil(span.untilMs / ROLLUP_MS) * ROLLUP_MS,
      }
      const mine = seen
        .filter(inside(whole))
        .filter(({ record }) => userId === undefined || record.userId === userId)
      const expected = [
        ...Map.groupBy(mine, (one) => byWhat.map((name) => nameOf[name]?.(one) ?? '').join('|')),
      ].map(([group, found]) => ({
        group: group.split('|'),
        ...totals(found),
        errors: found.filter(({ record }) => isError(record)).length,
        refused: found.filter(({ record }) => isRefused(record)).length,
        listCostMicro: sum(found, ({ attempts }) =>
          attempts.reduce((total, attempt) => total + attempt.listCostMicro, 0),
        ),
        cache: {
          readSavedMicro: sum(found, (record) => cacheValueOf(record).readSavedMicro),
          writeExtraMicro: sum(found, (record) => cacheValueOf(record).writeExtraMicro),
          lostMicro: sum(found, (record) => cacheValueOf(record).lostMicro),
        },
      }))
      const rows = await store.summarizeUsage({ by: byWhat, timeZone, ...span, userId })
      assert.deepEqual(sorted(rows), sorted(expected))
    }),
  )
}

const sorted = (rows: readonly UsageSummaryRow[]) =>
  rows.toSorted((a, b) => (a.group.join() < b.group.join() ? -1 : 1))

test('no report has the names of models that were refused, neither by us nor upstream', async (t) => {
  const { store, accountId, ...who } = await createWorld(t, 'local')
  const attempt = { accountId, httpStatus: 404, durationMs: 1, upstreamRequestId: null }
  const cases = [
    { httpStatus: 402 },
    { httpStatus: 503 },
    { httpStatus: 404, attempts: [{ ...attempt, outcome: 'rejected', listCostMicro: 0 }] },
  ] as const
  for (const [i, fields] of cases.entries()) {
    const hold = newHold(who, { model: `made-up-${i}` })
    await store.openHold(hold)
    await store.voidHold(voidOf(hold, fields))
  }
  const rows = await store.summarizeUsage({ by: ['model'], timeZone: 'UTC' })
  assert.deepEqual(
    rows.map(({ group, requests }) => [...group, requests]),
    [['–', 3]],
  )
})
