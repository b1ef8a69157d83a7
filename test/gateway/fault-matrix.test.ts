import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Config } from '../../src/config/config.ts'
import { readPrices } from '../../src/config/models.ts'
import type { HealthRow } from '../../src/core/model.ts'
import type { Page, UsageRow } from '../../src/store/store.ts'
import { assertClean, codeOf } from '../support/bills.ts'
import { allCells, type Cell, cellName, leftOut, meaningOf } from '../support/fault-cells.ts'
import { type FaultUpstream, faultUpstream } from '../support/fault-upstream.ts'
import { type Got, RATES, REST_MS, stateOf, wrongOf } from '../support/fault-verdict.ts'
import { type World, world } from '../support/world.ts'

/**
 * Every fault of upstream, at every place, in every manner: what the client sees, what the accounts are
 * afterwards, who pays what, and that nothing is left behind. Each cell has an account of its own that
 * fails and a model of its own by which it is chosen; one account that is well stands behind those cells
 * that have a second one. One gateway, so that a cell that harms others shows.
 */

const AT_ONCE = 24
/** Only a cell that hangs waits so long. */
const HANGS_MS = 15_000
const SILENCE_MS = 1_000
/** The HTTP client looks at the time of connecting once a second or so. */
const OVER_CONNECT_MS = 4_000
const MAX_TOKENS = 200

test('every cell of the fault matrix: status, state of accounts, bill, nothing left, no hang', async (t) => {
  const { product, cells } = allCells()
  printCounts(t, product, cells)
  assert.equal(product.length, 2_240)
  // 16 whole answers, 8 without a status, 4 x 5 places of the good answer, 2 x 5 of 15 errors; each
  // streaming or not, with a second account or not.
  assert.equal(cells.length, (16 + 8 + 20 + 150) * 4)
  const patient = cells.filter(isUnconnected)
  assert.equal(patient.length, 4)
  await t.test('with an upstream that can be connected to', (t) =>
    runCells(
      t,
      cells.filter((cell) => !isUnconnected(cell)),
      SILENCE_MS,
    ),
  )
  await t.test('with connections that are never made', (t) => runCells(t, patient, OVER_CONNECT_MS))
})

function isUnconnected({ place, manner }: Cell): boolean {
  return place === 'refuse' && manner === 'stall'
}

async function runCells(
  t: TestContext,
  cells: readonly Cell[],
  firstByteMs: number,
): Promise<void> {
  const upstream = await faultUpstream(t, cells)
  const w = await matrixWorld(t, cells, { upstream, firstByteMs })
  const answers = await inTurn(cells, (_cell, index) => ask(w, cells, index, 'first'))
  await assertClean(w)
  const rows = await usageByModel(w)
  const health = await healthByAccount(w, cells)
  const problems = cells.flatMap((cell, index) => {
    const accountId = w.accountIds[accountOf(index)]
    const wrong = wrongOf(cell, {
      model: modelOf(index),
      accountId,
      wellId: w.accountIds.well,
      got: answers[index],
      rows: rows.get(modelOf(index)) ?? [],
      health: health.get(accountId) ?? [],
    })
    return wrong.map((line) => `${cellName(cell)}: ${line}`)
  })
  problems.push(...(health.get(w.accountIds.well) ?? []).map((row) => `well is ${row.state}`))
  problems.push(...(await leftBehind(w, upstream)))
  assert.deepEqual(problems, [], `${problems.length} findings in ${cells.length} cells`)
  assert.equal((await w.store.listUsage({ limit: 1 })).total, cells.length, 'usage rows')

  await slotsAreFree(w, cells, upstream)
  await assertClean(w)
  await w.stop(0)
  assert.equal(
    await comesTo(() => upstream.open().all),
    0,
    'connections to upstream after the stop',
  )
}

function printCounts(t: TestContext, product: readonly Cell[], cells: readonly Cell[]): void {
  const reasons = new Map<string, number>()
  for (const cell of product) {
    const why = leftOut(cell)
    if (why !== null) reasons.set(why, (reasons.get(why) ?? 0) + 1)
  }
  t.diagnostic(`${cells.length} cells of a product of ${product.length}`)
  for (const [why, count] of reasons) t.diagnostic(`${count} left out: ${why}`)
}

function modelOf(index: number): string {
  return `cell-model-${index}`
}

function accountOf(index: number): string {
  return `cell-${index}`
}

function matrixWorld(
  t: TestContext,
  cells: readonly Cell[],
  { upstream, firstByteMs }: { upstream: FaultUpstream; firstByteMs: number },
): Promise<World> {
  const shared = cells.flatMap(({ hasSecond }, index) => (hasSecond ? [modelOf(index)] : []))
  return world(t, {
    accounts: [...cells.map((_cell, index) => accountOf(index)), 'well'],
    account(name) {
      if (name === 'well') {
        const models = [...shared, 'well-model']
        return { baseUrl: upstream.wellUrl, priority: 2, concurrencyLimit: AT_ONCE, models }
      }
      const index = Number(name.slice('cell-'.length))
      const baseUrl = upstream.baseUrlOf(index)
      return { baseUrl, priority: 1, concurrencyLimit: 1, models: [modelOf(index)] }
    },
    creditMicro: 1_000_000_000,
    config(config) {
      const models = [...cells.map((_cell, index) => modelOf(index)), 'well-model']
      return impatient(config, models, firstByteMs)
    },
  })
}

/** Waits are short, rests are long and begin with the first failure, so that a failure that counts shows. */
function impatient(config: Config, models: readonly string[], firstByteMs: number): Config {
  const rest = { firstMs: REST_MS, maxMs: REST_MS }
  const { input, output, cacheRead, cacheWrite5m, cacheWrite1h } = RATES
  const price = {
    input,
    output,
    cache_read: cacheRead,
    cache_write_5m: cacheWrite5m,
    cache_write_1h: cacheWrite1h,
  }
  const prices = readPrices(Object.fromEntries(models.map((model) => [model, price])))
  assert.ok(prices.kind === 'ok')
  return {
    ...config,
    // Half of all requests here are tried twice.
    retry: { ...config.retry, budgetPercent: 100 },
    upstream: {
      ...config.upstream,
      timeouts: {
        ...config.upstream.timeouts,
        connectMs: SILENCE_MS,
        firstByteMs,
        firstByteUnaryMs: firstByteMs,
        idleMs: SILENCE_MS,
      },
    },
    cooldown: {
      ...config.cooldown,
      overloaded: rest,
      rateLimited: rest,
      serverError: { ...rest, tripAfter: 1 },
    },
    models: { ...config.models, changes: prices.value },
  }
}

/** Does the same with each, so many at a time; the answers are in order. */
async function inTurn<T, R>(
  items: readonly T[],
  act: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const worker = async () => {
    for (let index = next++; index < items.length; index = next++) {
      results[index] = await act(items[index], index)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return results
}

async function ask(w: World, cells: readonly Cell[], index: number, round: string): Promise<Got> {
  return post(w, modelOf(index), cells[index].stream, round)
}

async function post(w: World, model: string, stream: boolean, round: string): Promise<Got> {
  const response = await fetch(`${w.url}/v1/messages`, {
    method: 'POST',
    headers: { 'x-api-key': w.key, 'anthropic-version': '2023-06-01' },
    body: JSON.stringify({
      model,
      stream,
      max_tokens: MAX_TOKENS,
      system: [
        {
          type: 'text',
          text: `The ${round} round. ${'Words of a long prompt. '.repeat(60)}`,
          cache_control: { type: 'ephemeral', ttl: '1h' },
        },
      ],
      messages: [{ role: 'user', content: 'Hello, world!' }],
    }),
    signal: AbortSignal.timeout(HANGS_MS),
  }).catch((error: unknown) => new Response(`hangs or broke: ${String(error)}`, { status: 599 }))
  const text = await response.text().catch((error: unknown) => `broke: ${String(error)}`)
  return { status: response.status, headers: response.headers, text }
}

/** All usage rows; every model is asked once. */
async function usageByModel(w: World): Promise<Map<string, UsageRow[]>> {
  const found = new Map<string, UsageRow[]>()
  let afterId: string | null = null
  let hasMore = true
  while (hasMore) {
    const page: Page<UsageRow> = await w.store.exportUsage({}, { limit: 500, afterId })
    for (const row of page.rows) found.set(row.model, [...(found.get(row.model) ?? []), row])
    afterId = page.rows.at(-1)?.requestId ?? null
    hasMore = page.hasMore
  }
  return found
}

/** What the daemon wrote down; it does so once a second, all at a time. */
async function healthByAccount(
  w: World,
  cells: readonly Cell[],
): Promise<Map<string, HealthRow[]>> {
  const expected = cells.filter((cell) => stateOf(cell, meaningOf(cell)) !== null).length
  let rows: readonly HealthRow[] = []
  const untilMs = performance.now() + 3_000
  do {
    rows = await w.store.loadHealth()
    if (rows.length >= expected) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  } while (performance.now() < untilMs)
  const found = new Map<string, HealthRow[]>()
  for (const row of rows) found.set(row.accountId, [...(found.get(row.accountId) ?? []), row])
  return found
}

/** Money that is still held, requests that still run, connections that wait for the rest of an answer. */
async function leftBehind(w: World, upstream: FaultUpstream): Promise<string[]> {
  const left: string[] = []
  const wallet = await w.wallet()
  if (wallet.heldMicro !== 0) left.push(`${wallet.heldMicro} held`)
  const unfinished = await comesTo(() => upstream.open().unfinished)
  if (unfinished !== 0)
    left.push(`${unfinished} connections to upstream wait for the rest of an answer`)
  const inFlight = await comesTo(() => w.daemon.inFlight())
  if (inFlight !== 0) left.push(`${inFlight} requests in flight`)
  return left
}

/** The figure once it is zero, or what is left of it after a while. */
async function comesTo(figure: () => number): Promise<number> {
  for (let i = 0; i < 100 && figure() !== 0; i++)
    await new Promise((resolve) => setTimeout(resolve, 20))
  return figure()
}

/** Each failing account has one slot: once its rest is over and upstream is well, it serves again. */
async function slotsAreFree(
  w: World,
  cells: readonly Cell[],
  upstream: FaultUpstream,
): Promise<void> {
  await Promise.all(
    Object.values(w.accountIds).map((id) =>
      w.store.clearCooldown(id, { actor: 'test', nowMs: Date.now() }),
    ),
  )
  upstream.heal()
  const again = await inTurn(cells, (_cell, index) => ask(w, cells, index, 'second'))
  const lost = cells.flatMap((cell, index) => {
    const { status, headers, text } = again[index]
    // Where nobody listens the rescue shows nothing; what is limited then has lost its slot.
    const isFree =
      cell.place === 'refuse'
        ? cell.hasSecond || codeOf(text) === meaningOf(cell).alone.code
        : status === 200 && headers.get('x-cc-account-id') === w.accountIds[accountOf(index)]
    return isFree ? [] : [`${cellName(cell)}: ${status} ${text.slice(0, 200)}`]
  })
  assert.deepEqual(lost, [], 'slots that were not given back')

  upstream.gather(AT_ONCE)
  const all = await Promise.all(
    Array.from({ length: AT_ONCE }, () => post(w, 'well-model', false, 'third')),
  )
  assert.deepEqual(
    all.map(({ status }) => status),
    Array(AT_ONCE).fill(200),
    'every slot of the account that is well',
  )
}
