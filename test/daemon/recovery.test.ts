import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { costOf } from '../../src/billing/cost.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import type { Hold } from '../../src/core/model.ts'
import { noStreamUsage } from '../../src/providers/anthropic/usage.ts'
import { assertClean } from '../support/bills.ts'
import { type World, world } from '../support/world.ts'

const CHILD = fileURLToPath(new URL('../support/gateway-child.ts', import.meta.url))

/** A second gateway on the world's database, in a process that can be killed. */
async function startChild(t: TestContext, w: World): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', CHILD, w.databaseFile], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return { child, url: line.toString('utf8').trim() }
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

/** Sends and does not wait: the answer will never come. */
function send(w: World, url: string, fault: string, stream: boolean): void {
  fetch(`${url}/v1/messages`, {
    method: 'POST',
    headers: { 'x-api-key': w.key, 'x-sandbox': fault },
    body: JSON.stringify({
      model: 'claude-sonnet-4-6',
      max_tokens: 500,
      stream,
      messages: [{ role: 'user', content: 'Hello, world!' }],
    }),
  })
    .then((response) => response.text())
    .catch(() => {})
}

async function holdsWhen(w: World, fits: (holds: readonly Hold[]) => boolean) {
  for (let i = 0; i < 500; i++) {
    const holds = await w.store.listOpenHolds()
    if (fits(holds)) return holds
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`holds: ${JSON.stringify(await w.store.listOpenHolds())}`)
}

const started = (holds: readonly Hold[]) => holds.filter(({ phase }) => phase === 'started')

test('after a kill the next start bills exactly what the holds prove, and once', async (t) => {
  const w = await world(t)
  const { child, url } = await startChild(t, w)
  send(w, url, 'first_byte_ms=60000', true)
  send(w, url, 'first_byte_ms=60000', false)
  send(w, url, 'output_tokens=400,token_rate=10', true)
  send(w, url, 'output_tokens=400,token_rate=10', true)
  const holds = await holdsWhen(w, (all) => all.length === 4 && started(all).length === 2)
  const before = await w.wallet()
  assert.equal(
    before.heldMicro,
    holds.reduce((sum, hold) => sum + hold.amountMicro, 0),
  )

  // Another gateway that starts meanwhile leaves the holds of a living one alone.
  await w.restart()
  assert.equal((await w.store.listOpenHolds()).length, 4)

  await kill(child)
  await w.restart()
  assert.deepEqual(await w.store.listOpenHolds(), [])
  let chargedMicro = 0
  for (const hold of holds) {
    const row = await w.usage(hold.requestId)
    assert.equal(row.holdMicro, hold.amountMicro)
    if (hold.progress === null) {
      assert.equal(row.costMicro, 0)
      assert.equal(row.source, 'none')
      continue
    }
    assert.equal(row.source, 'recovered')
    assert.equal(row.status, 'interrupted')
    assert.equal(row.upstreamRequestId, hold.progress.upstreamRequestId)
    assert.equal(row.tokens.input, hold.progress.tokens.input)
    assert.ok(row.tokens.input > 0)
    const proven = {
      ...noStreamUsage(hold.model),
      tokens: hold.progress.tokens,
      hasContent: true,
    }
    const { costMicro } = costOf(proven, BUILT_IN_PRICES, { atMs: hold.openedAtMs })
    assert.equal(row.costMicro, costMicro)
    chargedMicro += costMicro
  }
  assert.ok(chargedMicro > 0)
  const after = { balanceMicro: before.balanceMicro - chargedMicro, heldMicro: 0 }
  assert.deepEqual(await w.wallet(), after)
  await assertClean(w)
  // One more start finds nothing to do.
  await w.restart()
  assert.deepEqual(await w.wallet(), after)
  assert.equal((await w.post()).status, 200)
})

test('a hold of a living gateway is settled by itself, whoever starts or stops beside it', async (t) => {
  const w = await world(t)
  const other = await w.startDaemon()
  const response = await fetch(`${other.url}/v1/messages`, {
    method: 'POST',
    headers: { 'x-api-key': w.key, 'x-sandbox': 'output_tokens=300,token_rate=150' },
    body: JSON.stringify({
      model: 'claude-sonnet-4-6',
      max_tokens: 500,
      stream: true,
      messages: [{ role: 'user', content: 'Hello, world!' }],
    }),
  })
  await w.restart()
  assert.equal((await w.store.listOpenHolds()).length, 1)
  assert.match(await response.text(), /message_stop/)
  const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
  assert.equal(row.source, 'exact')
  await assertClean(w)
})
