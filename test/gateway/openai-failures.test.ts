import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertClean, eventsOf } from '../support/bills.ts'
import { postOpenAi } from '../support/openai.ts'
import { type World, world } from '../support/world.ts'

const MODEL = 'claude-sonnet-4-6'
const CHAT = { model: MODEL, messages: [{ role: 'user', content: 'Hi' }] }
const LONG = 'output_tokens=20000,token_rate=100000'

interface Failed {
  readonly response: {
    readonly error: { readonly code: string; readonly message: string }
    readonly usage: { readonly output_tokens: number; readonly cost_micro: number }
  }
}

async function failedResponse(w: World, fault: string) {
  const body = { model: MODEL, input: 'Hi', stream: true, max_output_tokens: 60_000 }
  const response = await postOpenAi(w, '/v1/responses', body, { 'x-sandbox': fault })
  assert.equal(response.status, 200)
  const last = eventsOf(await response.text()).at(-1)
  assert.equal(last?.event, 'response.failed')
  const { response: told } = JSON.parse(last?.data ?? '') as Failed
  const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
  return { told, row }
}

async function unary(w: World, fault: string, body: Record<string, unknown> = {}) {
  const asked = { ...CHAT, ...body }
  const response = await postOpenAi(w, '/v1/chat/completions', asked, { 'x-sandbox': fault })
  const { error } = (await response.json()) as { error: { code: string; message: string } }
  const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
  return { response, error, row }
}

test('a response that fails in its stream has the numbers of its receipt', async (t) => {
  const faults = {
    cut: 'at=mid_event,output_tokens=200',
    'cut in hidden thinking': 'thinking=omitted,at=mid_event,output_tokens=200',
    'error event': 'error_event=overloaded_error,output_tokens=200',
    garbage: 'at=mid_event,how=garbage,output_tokens=200',
  }
  const w = await world(t)
  for (const [name, fault] of Object.entries(faults)) {
    const { told, row } = await failedResponse(w, fault)
    const isOurs = name !== 'error event'
    if (isOurs) assert.match(told.error.message, /^The answer stopped .* You pay only for/, name)
    assert.ok(row.costMicro > 0, name)
    assert.equal(row.status, 'interrupted', name)
    assert.deepEqual(
      [told.usage.output_tokens, told.usage.cost_micro],
      [row.tokens.output, row.costMicro],
      name,
    )
  }
  const poor = await world(t, { creditMicro: 100_000 })
  const { told, row } = await failedResponse(poor, LONG)
  assert.equal(told.error.code, 'insufficient_quota')
  assert.match(told.error.message, /You pay only for what was delivered/)
  assert.deepEqual(
    [told.usage.output_tokens, told.usage.cost_micro],
    [row.tokens.output, row.costMicro],
  )
  assert.match(told.error.message, new RegExp(`for ${row.tokens.output} output tokens\\.`))
  await assertClean(poor)
})

test('a whole answer that money ended says what was charged, and that none of it came', async (t) => {
  const w = await world(t, { creditMicro: 100_000 })
  const { response, error, row } = await unary(w, LONG, { max_tokens: 60_000 })
  assert.deepEqual([response.status, row.httpStatus], [402, 402])
  assert.deepEqual([row.status, row.errorCode], ['interrupted', 'insufficient_credit'])
  assert.ok(row.costMicro > 0)
  assert.equal(response.headers.get('x-cc-cost-micro'), String(row.costMicro))
  const { balanceMicro } = await w.wallet()
  assert.equal(response.headers.get('x-cc-balance-micro'), String(balanceMicro))
  assert.match(error.message, /is charged, \$0\.\d+ for \d+ output tokens, though none of it/)
  assert.ok(!error.message.includes('what was delivered'))
  await assertClean(w)
})

test('a whole answer that fails upstream is recorded as its client is told', async (t) => {
  const w = await world(t)
  for (const [fault, status, code] of [
    ['error_event=overloaded_error', 503, 'overloaded_error'],
    ['error_event=api_error', 502, 'api_error'],
    ['at=mid_event,how=close', 502, 'upstream_error'],
    ['at=mid_event,how=garbage', 502, 'upstream_error'],
  ] as const) {
    const { response, error, row } = await unary(w, fault)
    assert.deepEqual([response.status, row.httpStatus], [status, status], fault)
    assert.deepEqual([error.code, row.errorCode], [code, code], fault)
    assert.deepEqual([row.status, row.costMicro], ['rejected', 0], fault)
    assert.equal(response.headers.get('x-cc-cost-micro'), '0', fault)
    assert.ok(response.headers.get('retry-after'), fault)
  }
  await assertClean(w)
})
