import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Config } from '../../src/config/config.ts'
import { type Store, StoreError, type UsageRow } from '../../src/store/store.ts'
import { assertClean, codeOf, eventsOf, truthMicro } from '../support/bills.ts'
import { type World, type WorldOptions, world } from '../support/world.ts'

const STEP = 200

/** A world whose holds grow by 200 output tokens at a time. */
function smallSteps(t: TestContext, options: WorldOptions = {}): Promise<World> {
  return world(t, {
    ...options,
    config: (config: Config) => ({
      ...config,
      billing: { ...config.billing, hold: 'progressive', holdStepTokens: STEP },
    }),
  })
}

async function stream(w: World, body: Record<string, unknown>, fault: string, key = w.key) {
  const response = await w.post({ stream: true, ...body }, { 'x-sandbox': fault, 'x-api-key': key })
  const text = await response.text()
  return {
    status: response.status,
    text,
    id: response.headers.get('x-cc-request-id') ?? '',
    last: eventsOf(text).at(-1),
  }
}

function truthOf(w: World, row: UsageRow): number {
  const bill = w.sandbox.billed().find((one) => one.requestId === row.upstreamRequestId)
  assert.ok(bill, 'upstream knows the request')
  return truthMicro(bill)
}

const kinds = (row: UsageRow) => row.holdSteps.map(({ kind }) => kind)

test('a stream holds its prompt and one step, becomes exact, and grows as it is written', async (t) => {
  const w = await smallSteps(t)
  const { status, id } = await stream(
    w,
    { max_tokens: 20_000 },
    'output_tokens=1500,token_rate=2000',
  )
  assert.equal(status, 200)
  const row = await w.usage(id)
  const [opened, corrected, ...extended] = row.holdSteps
  assert.equal(opened.kind, 'opened')
  // $15 per million output tokens: a whole hold would be more than $0.30.
  assert.ok(opened.amountMicro < 10_000, `${opened.amountMicro}`)
  assert.equal(corrected.kind, 'corrected')
  assert.ok(corrected.amountMicro < opened.amountMicro, 'the prompt is shorter than feared')
  assert.ok(extended.length >= 4, `${extended.length} extensions`)
  assert.ok(extended.every(({ kind }) => kind === 'extended'))
  for (let i = 1; i < extended.length; i++)
    assert.ok(extended[i].amountMicro > extended[i - 1].amountMicro)
  assert.equal(row.holdMicro, extended.at(-1)?.amountMicro)
  assert.ok(row.costMicro <= row.holdMicro)
  assert.equal(row.costMicro, truthOf(w, row))
  await assertClean(w)
})

test('a short answer needs its opening hold alone; one that does not stream is held whole', async (t) => {
  const w = await smallSteps(t)
  const short = await w.usage((await stream(w, { max_tokens: 20_000 }, 'output_tokens=20')).id)
  assert.deepEqual(kinds(short), ['opened', 'corrected'])
  const response = await w.post({ max_tokens: 20_000 }, { 'x-sandbox': 'output_tokens=20' })
  await response.text()
  const whole = await w.usage(response.headers.get('x-cc-request-id') ?? '')
  assert.deepEqual(kinds(whole), ['opened'])
  assert.ok(whole.holdMicro >= 300_000, `${whole.holdMicro}`)
})

test('a 402 tells what a stream needs to begin with, and what would fit', async (t) => {
  const w = await smallSteps(t, { creditMicro: 1_000 })
  const { status, text } = await stream(w, { max_tokens: 20_000 }, '')
  assert.equal(status, 402)
  const { error } = JSON.parse(text) as {
    error: { message: string; details: Record<string, number> }
  }
  assert.match(
    error.message,
    /may cost up to \$0\.00\d+ to begin with\. It would fit with max_tokens/,
  )
  const { max_tokens_that_fit, required_micro } = error.details
  assert.ok(required_micro > 1_000 && required_micro < 10_000)
  const fits = await stream(w, { max_tokens: max_tokens_that_fit }, 'output_tokens=5')
  assert.equal(fits.status, 200)
})

test('where the operator wants whole holds, a stream has one, and gives back what its prompt did not need', async (t) => {
  const w = await world(t, {
    config: (config) => ({ ...config, billing: { ...config.billing, hold: 'full' } }),
  })
  const { id } = await stream(w, { max_tokens: 20_000 }, 'output_tokens=6000')
  const row = await w.usage(id)
  assert.deepEqual(kinds(row), ['opened', 'corrected'])
  assert.ok(row.holdMicro >= 300_000)
})

test('a small wallet streams a long answer as far as it reaches, and is told the truth', async (t) => {
  const w = await smallSteps(t, { creditMicro: 12_000 })
  const { status, last, id, text } = await stream(
    w,
    { max_tokens: 20_000 },
    'output_tokens=5000,token_rate=3000',
  )
  assert.equal(status, 200)
  assert.doesNotMatch(text, /message_stop/)
  assert.equal(last?.event, 'error')
  assert.equal(codeOf(last?.data ?? ''), 'insufficient_credit')
  const { error } = JSON.parse(last?.data ?? '{}') as {
    error: { type: string; message: string; details: Record<string, number> }
  }
  assert.equal(error.type, 'billing_error')
  assert.match(error.message, /ran out during this answer.*Request ccr_/)
  const row = await w.usage(id)
  assert.equal(error.details.cost_micro, row.costMicro)
  assert.equal(error.details.output_tokens, row.tokens.output)
  assert.deepEqual([row.status, row.errorCode], ['interrupted', 'insufficient_credit'])
  assert.ok(kinds(row).includes('refused'))
  // All that was reserved was of use, but for the error of the estimate, and what it fell below zero is less than a step.
  const { balanceMicro } = await w.wallet()
  assert.ok(balanceMicro < 1_500, `${balanceMicro} left`)
  assert.ok(balanceMicro > -STEP * 15 - 500, `${balanceMicro}`)
  assert.equal(balanceMicro, 12_000 - row.costMicro)
  await assertClean(w)
})

test('credit that comes while the answer runs is used', async (t) => {
  const w = await smallSteps(t, { creditMicro: 8_000 })
  const running = stream(w, { max_tokens: 20_000 }, 'output_tokens=1000,token_rate=1000')
  await new Promise((resolve) => setTimeout(resolve, 200))
  await w.newKey('alice', 'more', { creditMicro: 1_000_000 })
  const { last, id } = await running
  assert.equal(last?.event, 'message_stop')
  assert.equal((await w.usage(id)).status, 'complete')
})

/** The store of the gateway, with extensions that wait until `open` resolves. */
function slowResize(store: Store, open: Promise<void>, seen: number[]): Store {
  return {
    ...store,
    async resizeHold(requestId, deltaMicro) {
      if (deltaMicro > 0) {
        seen.push(deltaMicro)
        await open
      }
      return store.resizeHold(requestId, deltaMicro)
    },
  }
}

test('at the end of what is paid for a stream waits for its extension, and then goes on', async (t) => {
  let open = () => {}
  const gate = new Promise<void>((resolve) => (open = resolve))
  const asked: number[] = []
  const w = await smallSteps(t, { daemonStore: (store) => slowResize(store, gate, asked) })
  const response = await w.post(
    { stream: true, max_tokens: 20_000 },
    { 'x-sandbox': 'output_tokens=3000,pings=200' },
  )
  const reader = response.body?.getReader()
  assert.ok(reader)
  let received = 0
  let text = ''
  const decoder = new TextDecoder()
  const reading = (async () => {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      received += value.length
      text += decoder.decode(value, { stream: true })
    }
  })()
  // Without a pause the whole answer would be here at once.
  await new Promise((resolve) => setTimeout(resolve, 600))
  const paused = received
  assert.equal(asked.length, 1)
  assert.doesNotMatch(text, /message_stop/)
  await new Promise((resolve) => setTimeout(resolve, 300))
  assert.equal(received, paused, 'nothing passes meanwhile')
  open()
  await reading
  assert.match(text, /message_stop/)
  const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
  assert.equal(row.costMicro, truthOf(w, row))
  await assertClean(w)
})

test('an extension that lands after its stream is closed changes nothing', async (t) => {
  let open = () => {}
  const gate = new Promise<void>((resolve) => (open = resolve))
  const asked: number[] = []
  const w = await smallSteps(t, { daemonStore: (store) => slowResize(store, gate, asked) })
  const response = await w.post(
    { stream: true, max_tokens: 20_000 },
    { 'x-sandbox': 'output_tokens=3000,token_rate=1000' },
  )
  const id = response.headers.get('x-cc-request-id') ?? ''
  while (asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  await response.body?.cancel()
  await w.settled()
  const before = await w.wallet()
  assert.equal(before.heldMicro, 0)
  open()
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.deepEqual(await w.wallet(), before)
  assert.ok(!kinds(await w.usage(id)).includes('extended'))
  await assertClean(w)
})

test('a store that cannot say lets the stream go on, and is asked again', async (t) => {
  let failures = 0
  const w = await smallSteps(t, {
    daemonStore: (store) => ({
      ...store,
      resizeHold: (requestId, deltaMicro) =>
        deltaMicro > 0 && failures++ === 0
          ? Promise.reject(new StoreError('busy', 'locked'))
          : store.resizeHold(requestId, deltaMicro),
    }),
  })
  const fault = 'output_tokens=900,token_rate=400'
  const { last, id } = await stream(w, { max_tokens: 20_000 }, fault)
  assert.equal(last?.event, 'message_stop')
  const row = await w.usage(id)
  assert.ok(failures > 1 && kinds(row).includes('extended'))
  assert.equal(row.costMicro, truthOf(w, row))
  await assertClean(w)
})

test('credit for ten answers with hidden thinking is enough for ten at most, whatever comes at once', async (t) => {
  const w = await world(t)
  const body = { model: 'claude-opus-5', max_tokens: 1_000 }
  const fault = 'thinking=omitted,thinking_tokens=600,output_tokens=640,token_rate=20000'
  const one = await w.usage((await stream(w, body, fault)).id)
  assert.equal(one.status, 'complete')
  const creditMicro = one.costMicro * 10
  const key = await w.newKey('bob', 'k', { creditMicro })
  const answers = await Promise.all(Array.from({ length: 100 }, () => stream(w, body, fault, key)))
  for (let i = 0; i < 12; i++) answers.push(await stream(w, body, fault, key))
  const served = answers.filter(({ status }) => status === 200)
  assert.ok(served.every(({ last }) => last?.event === 'message_stop'))
  assert.ok(served.length >= 7 && served.length <= 10, `${served.length}`)
  const rows = await Promise.all(served.map(({ id }) => w.usage(id)))
  const spent = rows.reduce((sum, row) => sum + row.costMicro, 0)
  const wallet = await w.store.getWallet(rows[0].userId)
  assert.equal(wallet?.balanceMicro, creditMicro - spent)
  assert.ok((wallet?.balanceMicro ?? -1) >= 0)
  await assertClean(w)
})

test('hidden thinking uses up a hold by the time it takes', async (t) => {
  const w = await smallSteps(t, { creditMicro: 9_000 })
  const body = { model: 'claude-opus-5', max_tokens: 20_000 }
  // Opus is taken for three times 55 tokens per second at most, which is what this one makes.
  const fault = 'thinking=omitted,thinking_tokens=1000,output_tokens=1040,token_rate=165'
  const { last, id } = await stream(w, body, fault)
  assert.equal(codeOf(last?.data ?? ''), 'insufficient_credit')
  const row = await w.usage(id)
  assert.ok(kinds(row).includes('extended'))
  const { balanceMicro } = await w.wallet()
  assert.ok(balanceMicro > -STEP * 25, `${balanceMicro}`)
  await assertClean(w)
})

test('credit for ten whole answers settles seven to ten of them', async (t) => {
  const w = await world(t)
  const body = { max_tokens: 100 }
  const one = await w.usage((await stream(w, body, 'output_tokens=100')).id)
  const creditMicro = one.costMicro * 10
  for (const isStream of [true, false]) {
    const key = await w.newKey(`bob-${isStream}`, 'k', { creditMicro })
    const ask = async () => {
      const response = await w.post(
        { ...body, stream: isStream },
        { 'x-sandbox': 'output_tokens=100,first_byte_ms=20', 'x-api-key': key },
      )
      await response.text()
      return { status: response.status, id: response.headers.get('x-cc-request-id') ?? '' }
    }
    const answers = await Promise.all(Array.from({ length: 100 }, ask))
    for (let i = 0; i < 12; i++) answers.push(await ask())
    const served = answers.filter(({ status }) => status === 200)
    assert.ok(served.length >= 7 && served.length <= 10, `${served.length}`)
    const rows = await Promise.all(served.map(({ id }) => w.usage(id)))
    assert.ok(rows.every((row) => row.status === 'complete' && row.costMicro === one.costMicro))
    const wallet = await w.store.getWallet(rows[0].userId)
    assert.ok((wallet?.balanceMicro ?? -1) >= 0)
  }
  await assertClean(w)
})
