import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import type { Config } from '../../src/config/config.ts'
import { assertClean, codeOf, eventsOf, provenMicro, truthMicro } from '../support/bills.ts'
import { type World, world } from '../support/world.ts'

/**
 * reliability.md 6: what upstream can do wrong, times streaming or not, each once with a healthy second
 * account and once without. `bad` is always asked first; accounts take one request at a time, so a slot
 * that is not given back fails the next cell.
 */

const STATUSES = [
  'status=200',
  'status=400',
  'status=401',
  'status=402',
  'status=403',
  'status=404',
  'status=413',
  'status=429',
  'status=429,retry_after=none,reset=none',
  'status=500',
  'status=502',
  'status=503',
  'status=504',
  'status=529',
] as const
const POINTS = [
  'connect',
  'before_headers',
  'after_headers',
  'in_message_start',
  'mid_event',
  'before_message_stop',
] as const
const MANNERS = ['close', 'reset', 'stall', 'garbage'] as const

interface Cell {
  readonly fault: string
  readonly stream: boolean
  readonly model?: string
}

interface Expected {
  readonly status: number
  /** Our code; null for a good answer or one of upstream's own. */
  readonly code: string | null
  readonly end: 'answer' | 'passed_through' | 'refused' | 'interrupted'
}

/** design.md 8, "Status after attempts", and reliability.md 1.3. */
function expected({ fault, stream }: Cell, hasSecond: boolean): Expected {
  const answer = { status: 200, code: null, end: 'answer' } as const
  const status = /^status=(\d+)/.exec(fault)?.[1]
  if (status === undefined) {
    const isFlowing = stream && /at=(mid_event|before_message_stop)/.test(fault)
    if (isFlowing) return { status: 200, code: 'upstream_interrupted', end: 'interrupted' }
    if (hasSecond) return answer
    return fault.includes('how=stall')
      ? { status: 504, code: 'upstream_timeout', end: 'refused' }
      : { status: 502, code: 'upstream_error', end: 'refused' }
  }
  if (status === '200') return answer
  // The client's own doing: nobody else is asked.
  if (['400', '404', '413'].includes(status))
    return { status: Number(status), code: null, end: 'passed_through' }
  if (hasSecond) return answer
  switch (status) {
    case '403':
      return { status: 403, code: null, end: 'passed_through' }
    case '401':
    case '402':
      return { status: 503, code: 'no_healthy_account', end: 'refused' }
    case '429':
      return { status: 429, code: 'account_rpm_exceeded', end: 'refused' }
    default:
      return { status: 502, code: 'upstream_error', end: 'refused' }
  }
}

const TIMEOUTS = { firstByteMs: 700, firstByteUnaryMs: 700, idleMs: 700 }

function impatient(config: Config): Config {
  const rest = { firstMs: 1, maxMs: 1 }
  return {
    ...config,
    upstream: { ...config.upstream, timeouts: { ...config.upstream.timeouts, ...TIMEOUTS } },
    cooldown: {
      ...config.cooldown,
      overloaded: rest,
      rateLimited: rest,
      serverError: { ...rest, tripAfter: 3 },
    },
  }
}

function matrixWorld(t: TestContext, hasSecond: boolean, concurrencyLimit: number): Promise<World> {
  return world(t, {
    accounts: hasSecond ? ['bad', 'good'] : ['bad'],
    account: (name) => ({ priority: name === 'bad' ? 1 : 2, concurrencyLimit }),
    config: impatient,
  })
}

async function ask(w: World, cell: Cell, hasSecond: boolean): Promise<void> {
  const startedMs = performance.now()
  const response = await w.post({
    stream: cell.stream,
    max_tokens: 300,
    ...(cell.model === undefined ? {} : { model: cell.model }),
  })
  const text = await response.text()
  const label = `${cell.fault} stream=${cell.stream} second=${hasSecond}: ${response.status} ${text.slice(-300)}`
  const want = expected(cell, hasSecond)
  assert.equal(response.status, want.status, label)
  assert.ok(performance.now() - startedMs < 10_000, `no hang: ${label}`)
  const id = response.headers.get('x-cc-request-id') ?? ''
  const row = await w.usage(id)
  const bills = w.sandbox.billed().filter((bill) => bill.requestId === row.upstreamRequestId)
  assert.equal(row.attempts.length > 0, true, label)

  switch (want.end) {
    case 'answer': {
      if (cell.stream) assert.equal(eventsOf(text).at(-1)?.event, 'message_stop', label)
      else assert.equal((JSON.parse(text) as { type: string }).type, 'message', label)
      assert.equal(row.status, 'complete', label)
      assert.equal(row.source, 'exact', label)
      assert.equal(row.costMicro, truthMicro(bills[0]), label)
      const served = cell.fault === 'status=200' ? 'bad' : 'good'
      assert.equal(response.headers.get('x-cc-account-id'), w.accountIds[served], label)
      assert.equal(row.attempts.length, served === 'good' ? 2 : 1, label)
      return
    }
    case 'passed_through':
      assert.equal(codeOf(text), null, label)
      assert.match(text, /"error":\{"type":"[a-z_]+_error|request_too_large/, label)
      break
    case 'refused':
      assert.equal(codeOf(text), want.code, label)
      if (want.status === 429 || want.status === 503) {
        const seconds = Number(response.headers.get('retry-after'))
        assert.ok(Number.isInteger(seconds) && seconds >= 1 && seconds <= 60, label)
      }
      break
    case 'interrupted': {
      const events = eventsOf(text)
      const last = events.at(-1)
      assert.equal(last?.event, 'error', label)
      assert.equal(codeOf(last?.data ?? ''), want.code, label)
      // M17: upstream did not send it, so the client does not get it.
      assert.doesNotMatch(text, /message_stop/, label)
      assert.equal(events[0]?.event, 'message_start', label)
      assert.equal(row.status, 'interrupted', label)
      assert.equal(row.source, 'partial', label)
      assert.ok(row.costMicro >= provenMicro(bills[0]), label)
      assert.ok(row.costMicro <= row.holdMicro, label)
      // The last figures came before the end did: they are the bill.
      if (cell.fault.includes('before_message_stop'))
        assert.equal(row.costMicro, truthMicro(bills[0]), label)
      return
    }
  }
  assert.equal(row.costMicro, 0, label)
  assert.equal(row.source, 'none', label)
  assert.equal(row.status, 'rejected', label)
  assert.equal(row.httpStatus, want.status, label)
}

async function wellAgain(w: World): Promise<void> {
  for (const id of Object.values(w.accountIds))
    await w.store.clearCooldown(id, { actor: 'test', nowMs: Date.now() })
}

// They mostly wait, each in a world of its own.
describe('the fault matrix', { concurrency: 5 }, () => {
  for (const hasSecond of [true, false]) {
    const others = hasSecond ? 'with a healthy second account' : 'with no other account'

    test(`each status and each broken answer, ${others}`, async (t) => {
      const w = await matrixWorld(t, hasSecond, 1)
      const breaks = POINTS.flatMap((at) =>
        MANNERS.filter((how) => how !== 'stall' || at === 'connect').map(
          (how) => `at=${at},how=${how}`,
        ),
      )
      for (const fault of [...STATUSES, ...breaks]) {
        for (const stream of [true, false]) {
          w.sandbox.setFault('bad', fault, { times: 1 })
          await ask(w, { fault, stream }, hasSecond)
          w.sandbox.clearFaults()
          await wellAgain(w)
        }
      }
      await assertClean(w)
    })

    test(`each kind of silence, ${others}`, async (t) => {
      const w = await matrixWorld(t, hasSecond, 10)
      const models = [
        'claude-sonnet-4-6',
        'claude-opus-5',
        'claude-haiku-4-5-20251001',
        'claude-sonnet-5',
        'claude-opus-4-8',
      ]
      const cells: Cell[] = []
      for (const [i, at] of POINTS.slice(1).entries()) {
        const fault = `at=${at},how=stall`
        w.sandbox.setFault('bad', fault, { model: models[i] })
        for (const stream of [true, false]) cells.push({ fault, stream, model: models[i] })
      }
      await Promise.all(cells.map((cell) => ask(w, cell, hasSecond)))
      await assertClean(w)
      // Every slot is free again: as many requests as there are slots are served at the same time.
      w.sandbox.clearFaults()
      await wellAgain(w)
      w.sandbox.setFault('*', 'first_byte_ms=100')
      const slots = hasSecond ? 20 : 10
      const again = await Promise.all(
        Array.from({ length: slots }, async () => {
          const response = await w.post()
          await response.arrayBuffer()
          return response.status
        }),
      )
      assert.deepEqual(again, Array(slots).fill(200))
    })
  }

  test('an account that refuses connections costs nothing and another serves; alone it is a 503', async (t) => {
    const nowhere = (name: string) =>
      name === 'bad' ? { priority: 1, concurrencyLimit: 1, baseUrl: 'http://127.0.0.1:1' } : {}
    const both = await world(t, { accounts: ['bad', 'good'], account: nowhere, config: impatient })
    const alone = await world(t, { accounts: ['bad'], account: nowhere, config: impatient })
    for (const stream of [true, false]) {
      for (let i = 0; i < 5; i++) {
        const response = await both.post({ stream })
        await response.arrayBuffer()
        assert.equal(response.status, 200)
        const refused = await alone.post({ stream })
        const text = await refused.text()
        assert.equal(refused.status, 503, text)
        assert.equal(codeOf(text), 'no_healthy_account')
      }
    }
    await assertClean(both)
    await assertClean(alone)
    assert.deepEqual(await alone.wallet(), { balanceMicro: 10_000_000, heldMicro: 0 })
  })

  test('an error event in the middle of a stream is the last thing the client gets', async (t) => {
    const w = await matrixWorld(t, true, 1)
    for (const type of ['overloaded_error', 'api_error']) {
      const response = await w.post({ stream: true }, { 'x-sandbox': `error_event=${type}` })
      const events = eventsOf(await response.text())
      assert.equal(events.filter(({ event }) => event === 'error').length, 1)
      assert.equal(events.at(-1)?.event, 'error')
      const { error } = JSON.parse(events.at(-1)?.data ?? '') as { error: { type: string } }
      assert.equal(error.type, type, 'in upstream’s own words')
      const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
      assert.deepEqual([row.status, row.source, row.errorCode], ['interrupted', 'partial', type])
      const bill = w.sandbox.billed().find((one) => one.requestId === row.upstreamRequestId)
      assert.ok(bill && row.costMicro >= provenMicro(bill) && row.costMicro <= row.holdMicro)
    }
    await assertClean(w)
  })

  test('events of any size pass; what cannot be read along is billed by what can', async (t) => {
    const w = await matrixWorld(t, false, 1)
    const response = await w.post({ stream: true }, { 'x-sandbox': 'oversize=9000000' })
    const text = await response.text()
    assert.ok(text.length > 9_000_000)
    assert.equal(eventsOf(text).at(-1)?.event, 'message_stop')
    const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
    assert.deepEqual([row.status, row.source], ['complete', 'partial'])
    const bill = w.sandbox.billed().find((one) => one.requestId === row.upstreamRequestId)
    assert.ok(bill)
    assert.equal(row.costMicro, truthMicro(bill))
    await assertClean(w)
  })
})
