import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { Pool } from 'undici'
import { costOf } from '../../src/billing/cost.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import { rawUpstream, valuesOf } from '../support/raw-upstream.ts'
import type { World } from '../support/world.ts'
import { world } from '../support/world.ts'
import { CAPTURED_TOKENS, capturedStream } from './captured-stream.ts'

/** Requests at the same time: they share commits of the ledger, which is what takes the time. */
const AT_ONCE = 48

const BODY = JSON.stringify({
  model: 'claude-sonnet-4-6',
  max_tokens: 400,
  stream: true,
  messages: [{ role: 'user', content: 'Weather in Tokyo?' }],
})

/**
 * A gateway before an upstream that answers with `stream`, cut where the request's header says; with
 * `x-break-at` only that much of it comes, and then the connection breaks.
 */
async function cutWorld(t: TestContext, stream: Buffer) {
  const head =
    'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n' +
    `request-id: req_captured\r\ncontent-length: ${stream.length}\r\n\r\n`
  const upstream = await rawUpstream(t, (request, socket) => {
    const at = Number(valuesOf(request.headers, 'x-cut-at')[0])
    const breakAt = valuesOf(request.headers, 'x-break-at')[0]
    if (breakAt === undefined) writeInTwo(socket, head, stream, at)
    else writeInTwo(socket, head, stream.subarray(0, Number(breakAt)), at, true)
  })
  const w = await world(t, {
    accounts: ['one'],
    account: () => ({ baseUrl: upstream.url }),
    creditMicro: 1_000_000_000,
    // Streams break off on purpose here; the account must stay in service.
    config: (config) => ({
      ...config,
      cooldown: {
        ...config.cooldown,
        serverError: { firstMs: 0, maxMs: 0, tripAfter: 1_000 },
      },
    }),
  })
  return w
}

/** The head and the first part at once; the rest when the reader has certainly seen them. */
function writeInTwo(
  socket: Socket,
  head: string,
  stream: Buffer,
  at: number,
  isBroken = false,
): void {
  socket.write(Buffer.concat([Buffer.from(head), stream.subarray(0, at)]))
  // All ends of these sockets live in this process: a few rounds of the event loop read what came.
  afterRounds(3, () => {
    socket.write(stream.subarray(at))
    if (isBroken) afterRounds(3, () => socket.destroy())
  })
}

function afterRounds(rounds: number, act: () => void): void {
  if (rounds === 0) act()
  else setImmediate(() => afterRounds(rounds - 1, act))
}

/** Asks once per position and answers what each client got. */
async function askAll(w: World, positions: readonly number[]): Promise<Map<number, Buffer>> {
  const pool = new Pool(w.url, { connections: AT_ONCE, pipelining: 1 })
  const got = new Map<number, Buffer>()
  const left = [...positions]
  const worker = async () => {
    for (let at = left.pop(); at !== undefined; at = left.pop()) {
      const answer = await pool.request({
        path: '/v1/messages',
        method: 'POST',
        headers: { 'x-api-key': w.key, 'x-cut-at': String(at) },
        body: BODY,
      })
      assert.equal(answer.statusCode, 200)
      got.set(at, Buffer.from(await answer.body.arrayBuffer()))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  await pool.close()
  return got
}

/** Every client got the whole stream, and every request was billed exactly and alike. */
async function assertAllWhole(w: World, got: ReadonlyMap<number, Buffer>, stream: Buffer) {
  for (const [at, bytes] of got) {
    if (!bytes.equals(stream)) assert.equal(bytes.toString(), stream.toString(), `cut at ${at}`)
  }
  const usage = {
    model: 'claude-sonnet-4-6',
    tokens: CAPTURED_TOKENS,
    iterations: [],
    webSearchRequests: 0,
    speed: null,
    inferenceGeo: 'global',
    serviceTier: 'standard',
    stopReason: 'tool_use',
    hasContent: true,
    anomalies: 0,
  }
  const { costMicro } = costOf(usage, BUILT_IN_PRICES, { atMs: Date.now() })
  const { rows, total } = await w.store.listUsage({ limit: 10_000 })
  assert.equal(total, got.size)
  for (const row of rows) {
    assert.deepEqual(
      [row.status, row.source, row.costMicro, row.tokens, row.attempts.length],
      ['complete', 'exact', costMicro, CAPTURED_TOKENS, 1],
    )
  }
  const wallet = await w.wallet()
  assert.deepEqual(wallet, { balanceMicro: 1_000_000_000 - costMicro * got.size, heldMicro: 0 })
}

test('a captured stream cut at every byte reaches the client whole and is billed exactly', async (t) => {
  const stream = capturedStream('\n')
  const w = await cutWorld(t, stream)
  const positions = Array.from({ length: stream.length + 1 }, (_, at) => at)
  await assertAllWhole(w, await askAll(w, positions), stream)
})

test('the same with CR LF line ends, cut around every line end', async (t) => {
  const stream = capturedStream('\r\n')
  const w = await cutWorld(t, stream)
  const positions = new Set<number>()
  for (let at = stream.indexOf('\r'); at >= 0; at = stream.indexOf('\r', at + 1)) {
    for (const cut of [at, at + 1, at + 2, at + 3]) positions.add(Math.min(cut, stream.length))
  }
  await assertAllWhole(w, await askAll(w, [...positions]), stream)
})

for (const [name, lineEnd] of [
  ['LF', '\n'],
  ['CR LF', '\r\n'],
] as const) {
  test(`a stream that breaks off gives every whole event, wherever ${name} was cut`, async (t) => {
    const stream = capturedStream(lineEnd)
    const blankLine = lineEnd + lineEnd
    const w = await cutWorld(t, stream)
    const breakAt = stream.indexOf(blankLine, stream.indexOf('Grüße')) + blankLine.length
    const half = stream.indexOf('data:', breakAt) + 20
    for (const end of [breakAt, half]) {
      for (const back of [1, 2, 3, 4]) {
        const response = await w.post(
          { stream: true },
          { 'x-cut-at': String(breakAt - back), 'x-break-at': String(end) },
        )
        const text = await response.text()
        const whole = stream.subarray(0, breakAt).toString()
        const where = `cut ${back} before the end of an event, broken off ${end - breakAt} after it`
        assert.equal(text.slice(0, whole.length), whole, where)
        const rest = text.slice(whole.length)
        assert.match(rest, /^event: error\ndata: \{"type":"error",.*"upstream_interrupted".*\n\n$/)
      }
    }
    const { rows } = await w.store.listUsage({ limit: 100 })
    assert.deepEqual(
      [...new Set(rows.map((row) => `${row.status} ${row.source}`))],
      ['interrupted partial'],
    )
    assert.equal((await w.wallet()).heldMicro, 0)
  })
}
