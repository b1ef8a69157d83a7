import assert from 'node:assert/strict'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { eventsIn, fullSpeedStream, pacedStream, SMALL_ANSWER } from '../../bench/answers.ts'
import { buildBodies, requestBytes } from '../../bench/bodies.ts'
import { closedLoop } from '../../bench/closed-loop.ts'
import { type Figures, goals } from '../../bench/goals.ts'
import { openLoop } from '../../bench/open-loop.ts'
import { median, Samples } from '../../bench/samples.ts'
import { streamBatch } from '../../bench/stream-batch.ts'
import { startUpstream } from '../../bench/upstream.ts'
import { EventCounter, MessageReader } from '../../bench/wire.ts'

async function upstream(t: TestContext) {
  const running = await startUpstream()
  t.after(() => running.close())
  return running
}

/** A server of a test's own: called with every piece of request that arrives. */
async function server(t: TestContext, onData: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const listening = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('data', () => onData(socket))
  })
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    listening.close()
  })
  return (listening.address() as AddressInfo).port
}

const small = (port: number, bench?: string) => {
  const body = Buffer.from('{"model":"m","max_tokens":1,"messages":[]}')
  return requestBytes({ port, key: 'k', body, ...(bench === undefined ? {} : { bench }) })
}

/** Reads a stream cut into two pieces; answers what was seen. */
function readCut(bytes: Buffer, cut: number) {
  const counter = new EventCounter()
  const seen = { heads: 0, events: 0, bodyBytes: 0, ends: 0, broken: 0 }
  const reader = new MessageReader({
    onHead: () => seen.heads++,
    onBody: (body) => {
      seen.bodyBytes += body.length
      seen.events += counter.count(body)
    },
    onEnd: () => seen.ends++,
    onBroken: () => seen.broken++,
  })
  reader.feed(bytes.subarray(0, cut))
  reader.feed(bytes.subarray(cut))
  return seen
}

test('a stream cut in two anywhere has the same events and one end', () => {
  const { opening, delta, closing } = pacedStream(3)
  const paced = Buffer.concat([opening, delta, delta, delta, closing])
  const whole = readCut(paced, 0)
  assert.deepEqual(
    { ...whole, bodyBytes: 0 },
    { heads: 1, events: 9, bodyBytes: 0, ends: 1, broken: 0 },
  )
  for (let cut = 1; cut < paced.length; cut++)
    assert.deepEqual(readCut(paced, cut), whole, `cut ${cut}`)
})

test('a stream at full speed holds every event although chunks cut through them', () => {
  const bytes = Buffer.concat([...fullSpeedStream(2000)])
  for (const cut of [0, 1, 33_000, bytes.length - 1]) {
    assert.equal(readCut(bytes, cut).events, eventsIn(2000))
  }
})

test('a closed loop counts what the upstream counted', async (t) => {
  const { port, stats } = await upstream(t)
  const calls: string[] = []
  const done = await closedLoop({
    port,
    request: small(port),
    connections: 4,
    warmupMs: 0,
    windowMs: 200,
    onStart: () => calls.push('start'),
    onEnd: () => calls.push('end'),
  })
  assert.deepEqual(calls, ['start', 'end'])
  assert.equal(done.failed, 0, done.reason)
  assert.ok(done.requests > 10)
  // At each border of the window every connection may have one request under way.
  const extra = stats().requests - done.requests
  assert.ok(extra >= 0 && extra <= 8, `${extra} requests outside the window`)
  assert.equal(done.rate, done.requests / done.seconds)
  assert.ok(done.p50Ms > 0 && done.p50Ms <= done.p99Ms)
})

test('latency is the time the server took', async (t) => {
  const port = await server(t, (socket) => setTimeout(() => socket.write(SMALL_ANSWER), 40))
  const plan = { port, request: small(port), warmupMs: 0, windowMs: 300 }
  const done = await closedLoop({ ...plan, connections: 2 })
  assert.equal(done.failed, 0, done.reason)
  assert.ok(done.p50Ms >= 39, `p50 ${done.p50Ms}`)
  const most = 2 * (done.seconds / 0.039 + 1)
  assert.ok(done.requests <= most, `${done.requests} requests of 40 ms by 2 connections`)
})

test('in an open loop a stall is felt by every request that it delayed', async (t) => {
  const stallMs = 300
  let stalledUntilMs = 0
  const port = await server(t, (socket) => {
    const nowMs = performance.now()
    stalledUntilMs ||= nowMs + 200 + stallMs
    const inStall = nowMs > stalledUntilMs - stallMs && nowMs < stalledUntilMs
    if (inStall) setTimeout(() => socket.write(SMALL_ANSWER), stalledUntilMs - nowMs)
    else socket.write(SMALL_ANSWER)
  })
  const plan = { port, request: small(port), warmupMs: 100, windowMs: 600 }
  const done = await openLoop({ ...plan, perSecond: 200, maxConnections: 20 })
  assert.equal(done.failed, 0, done.reason)
  // A busy machine may cut off a few at the window's end, never add one.
  const due = done.seconds * 200
  assert.ok(done.requests > due / 2 && done.requests <= due + 2, `${done.requests} of ${due}`)
  assert.ok(done.p99Ms >= stallMs / 2, `p99 ${done.p99Ms}`)
})

test('streams are counted to the event, and a stream never runs ahead of its pace', async (t) => {
  const { port, stats } = await upstream(t)
  const done = await streamBatch({
    port,
    request: small(port, 'stream,20,5'),
    streams: 5,
    staggerMs: 20,
    nominalMs: 100,
    deadlineMs: 10_000,
  })
  assert.equal(done.failed, 0, done.reason)
  assert.equal(done.requests, 5)
  assert.equal(done.events, 5 * eventsIn(20))
  assert.equal(stats().events, done.events)
  assert.ok(done.p50Ms >= 80, `a stream of 20 deltas at 5 ms took ${done.p50Ms} ms`)
  assert.ok(done.paceKept > 0 && done.paceKept <= 1)
})

test('a stream at full speed arrives whole, again and again on one connection', async (t) => {
  const { port, stats } = await upstream(t)
  const request = small(port, 'stream,3000,0')
  const once = { port, request, streams: 2, staggerMs: 0, nominalMs: 1, deadlineMs: 10_000 }
  assert.equal((await streamBatch(once)).events, 2 * eventsIn(3000))
  const plan = { port, request, connections: 1, warmupMs: 0, windowMs: 300, countEvents: true }
  const loop = await closedLoop(plan)
  assert.equal(loop.failed, 0, loop.reason)
  // The first one may have begun before the window did.
  assert.ok(loop.requests > 1 && loop.events >= (loop.requests - 1) * eventsIn(3000))
  assert.ok(stats().streams >= loop.requests + 2)
})

test('a body of 8 MB is read to its last byte before the answer', async (t) => {
  const { port, stats } = await upstream(t)
  const body = Buffer.alloc(8 * 1024 * 1024, 'x')
  const request = requestBytes({ port, key: 'k', body })
  const done = await closedLoop({ port, request, connections: 1, warmupMs: 0, windowMs: 150 })
  assert.equal(done.failed, 0, done.reason)
  assert.equal(stats().bodyBytes, stats().requests * body.length)
})

test('refusals and lost connections are failures, not requests', async (t) => {
  const refusal = 'HTTP/1.1 503 Sorry\r\ncontent-length: 4\r\n\r\nbusy'
  const refusing = await server(t, (socket) => socket.write(refusal))
  const closing = await server(t, (socket) => socket.destroy())
  for (const [port, reason] of [
    [refusing, /503 busy/],
    [closing, /closed|ECONN/],
  ] as const) {
    const plan = { port, request: small(port), warmupMs: 0, windowMs: 100 }
    const done = await closedLoop({ ...plan, connections: 1 })
    assert.equal(done.requests, 0)
    assert.ok(done.failed > 0)
    assert.match(done.reason, reason)
  }
})

test('percentiles are nearest ranks', () => {
  const samples = new Samples()
  for (let i = 5000; i >= 1; i--) samples.add(i)
  assert.equal(samples.percentile(0.5), 2500)
  assert.equal(samples.percentile(0.99), 4950)
  assert.equal(samples.percentile(1), 5000)
  assert.equal(median([9, 1, 5]), 5)
  assert.equal(median([4, 1, 2, 9]), 3)
})

test('the bodies are JSON of the sizes that the cases name', () => {
  const bodies = buildBodies()
  for (const body of Object.values(bodies)) JSON.parse(body.toString())
  const near = (bytes: number, want: number) => Math.abs(bytes - want) < want * 0.06
  assert.ok(near(bodies.agent.length, 30_000), `${bodies.agent.length}`)
  assert.ok(near(bodies.text.length, 1024 * 1024), `${bodies.text.length}`)
  assert.ok(near(bodies.images.length, 8 * 1024 * 1024), `${bodies.images.length}`)
  assert.match(bodies.agent.toString(), /cache_control.*tool_result/)
})

test('a goal is met at its limit, missed beyond it, and open without a figure', () => {
  const memory = { idleMb: 130, streamsMb: 200, kbPerStream: 81, streams: 1000, failed: 0 }
  const store = { p16_ratio: 8, p17_us: 15.1, hold_p50_ms: 1, hold_p99_ms: 2 }
  const figures: Figures = { cases: [], memory: { ccgate: memory }, startup: null, store }
  const verdicts = Object.fromEntries(goals(figures).map((row) => [row.id, row.verdict]))
  assert.equal(verdicts.P12, 'met')
  assert.equal(verdicts.P11, 'missed')
  assert.equal(verdicts.P16, 'met')
  assert.equal(verdicts.P17, 'missed')
  assert.equal(verdicts.P1, 'not measured')
})
