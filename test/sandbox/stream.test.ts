import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { eventsOf, post, prose, question, sandboxFor } from './world.ts'

test('a stream tells its events in order, with a placeholder first and totals last', async (t) => {
  const sandbox = await sandboxFor(t)
  const response = await post(sandbox, question('Tell me a haiku.', { stream: true }))
  assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8')
  const events = eventsOf(await response.text())
  assert.ok(events.every(({ event, data }) => event === data.type))
  assert.deepEqual(
    [...new Set(events.map((item) => item.event))],
    [
      'message_start',
      'content_block_start',
      'ping',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ],
  )
  const start = events[0].data.message.usage
  assert.ok(start.output_tokens >= 1 && start.output_tokens <= 3)
  assert.deepEqual(start.cache_creation, {
    ephemeral_5m_input_tokens: 0,
    ephemeral_1h_input_tokens: 0,
  })
  const last = events.at(-2)?.data
  assert.equal(last?.usage.output_tokens, 19)
  assert.equal(last?.usage.cache_creation, undefined)
  assert.equal(last?.delta?.stop_reason, 'end_turn')
})

test('a stream and a whole answer say the same and use the same, whatever the length', async (t) => {
  const sandbox = await sandboxFor(t)
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 400 }),
      fc.integer({ min: 1, max: 400 }),
      fc.integer({ min: 1, max: 9 }),
      async (tokens, maxTokens, deltaTokens) => {
        const wanted = { 'x-sandbox': `output_tokens=${tokens},delta_tokens=${deltaTokens}` }
        const body = question('Talk.', { max_tokens: maxTokens })
        const whole = JSON.parse(await (await post(sandbox, body, wanted)).text())
        const streamed = await post(sandbox, { ...body, stream: true }, wanted)
        const events = eventsOf(await streamed.text())
        const text = events.map(({ data }) => data.delta?.text ?? '').join('')
        const last = events.at(-2)?.data
        assert.equal(text, whole.content[0].text)
        assert.equal(whole.usage.output_tokens, Math.min(tokens, maxTokens))
        assert.equal(last?.usage.output_tokens, whole.usage.output_tokens)
        assert.equal(whole.stop_reason, tokens > maxTokens ? 'max_tokens' : 'end_turn')
        assert.equal(last?.delta?.stop_reason, whole.stop_reason)
      },
    ),
    { numRuns: 60 },
  )
})

test('omitted thinking streams only pings and a signature, or estimates when the beta asks', async (t) => {
  const sandbox = await sandboxFor(t)
  const body = question('Why?', {
    model: 'claude-opus-5-5',
    max_tokens: 4_000,
    stream: true,
    thinking: { type: 'adaptive' },
  })
  const wanted = { 'x-sandbox': 'thinking_tokens=730' }
  const plain = eventsOf(await (await post(sandbox, body, wanted)).text())
  const kinds = plain.filter(({ data }) => data.index === 0).map(({ data }) => data.delta?.type)
  assert.deepEqual(kinds, [undefined, 'signature_delta', undefined])
  assert.ok(plain.filter(({ event }) => event === 'ping').length > 3)
  assert.equal(plain.at(-2)?.data.usage.output_tokens_details.thinking_tokens, 730)

  const beta = { ...wanted, 'anthropic-beta': 'thinking-token-count-2026-05-13' }
  const counted = eventsOf(await (await post(sandbox, body, beta)).text())
  const estimates = counted.flatMap(({ data }) => data.delta?.estimated_tokens ?? [])
  const sum = estimates.reduce((total, part) => total + part, 0)
  assert.ok(estimates.every((part) => part % 50 === 0))
  assert.ok(sum > 650 && sum <= 730)
})

test('a stop sequence, a prompt of max_tokens 0 and a refusal end as upstream ends them', async (t) => {
  const sandbox = await sandboxFor(t)
  const ask = async (more: object, wanted = '') => {
    const headers: { [name: string]: string } = wanted ? { 'x-sandbox': wanted } : {}
    return JSON.parse(await (await post(sandbox, question('A haiku', { ...more }), headers)).text())
  }
  const stopped = await ask({ stop_sequences: [' one'] })
  assert.equal(stopped.stop_reason, 'stop_sequence')
  assert.equal(stopped.stop_sequence, ' one')
  assert.equal(stopped.content[0].text, 'Quiet gateway hums / tokens counted')

  const warmed = await ask({ max_tokens: 0 })
  assert.deepEqual(warmed.content, [])
  assert.equal(warmed.stop_reason, 'max_tokens')
  assert.equal(warmed.usage.output_tokens, 0)

  const refused = await ask({}, 'decline=before,category=bio')
  assert.deepEqual(refused.content, [])
  assert.deepEqual(refused.stop_details, { type: 'refusal', category: 'bio', explanation: null })
  assert.deepEqual(
    sandbox.billed().map((bill) => bill.isCharged),
    [true, true, false],
  )
})

test('a declined request goes to its fallback, and the iterations say what each used', async (t) => {
  const sandbox = await sandboxFor(t)
  const body = question('A haiku', {
    model: 'claude-opus-5-5',
    stream: true,
    fallbacks: [{ model: 'claude-opus-5' }],
  })
  const beta = { 'anthropic-beta': 'server-side-fallback-2026-07-01' }
  const run = async (decline: string) => {
    const response = await post(sandbox, body, { ...beta, 'x-sandbox': `decline=${decline}` })
    return eventsOf(await response.text())
  }
  const before = await run('before')
  assert.equal(before[0].data.message.model, 'claude-opus-5')
  assert.equal(before[1].data.content_block.type, 'fallback')
  const mid = await run('mid')
  assert.equal(mid[0].data.message.model, 'claude-opus-5-5')
  const usage = mid.at(-2)?.data.usage
  assert.deepEqual(
    usage?.iterations.map((item) => [item.type, item.output_tokens]),
    [
      ['message', 8],
      ['fallback_message', 19],
    ],
  )
  assert.equal(usage?.output_tokens, 19)
})

test('a tool call arrives as pieces of JSON that make its input', async (t) => {
  const sandbox = await sandboxFor(t)
  const schema = {
    type: 'object',
    properties: {
      city: { type: 'string' },
      unit: { enum: ['kelvin', 'celsius'] },
      days: { type: 'integer', minimum: 2 },
      tags: { type: 'array', items: { type: 'boolean' } },
    },
  }
  const tools = [{ name: 'forecast', input_schema: schema }]
  const body = question('What about the weather in Oslo?', {
    stream: true,
    tools,
    tool_choice: { type: 'any' },
  })
  const events = eventsOf(await (await post(sandbox, body)).text())
  const json = events.map(({ data }) => data.delta?.partial_json ?? '').join('')
  assert.deepEqual(JSON.parse(json), { city: 'Oslo', unit: 'kelvin', days: 2, tags: [true] })
  assert.equal(events[1].data.content_block.name, 'forecast')
  assert.equal(events.at(-2)?.data.delta?.stop_reason, 'tool_use')
})

test('a structured answer fits its schema', async (t) => {
  const sandbox = await sandboxFor(t)
  const schema = {
    type: 'object',
    properties: { name: { type: 'string' }, ok: { type: 'boolean' } },
  }
  const format = { type: 'json_schema', schema }
  const response = await post(sandbox, question('Fill it', { output_config: { format } }))
  const { content } = JSON.parse(await response.text())
  assert.deepEqual(JSON.parse(content[0].text), { name: 'Ada', ok: true })
})

test('the token rate paces a stream, and the bill of a caller who leaves counts what was made', async (t) => {
  const sandbox = await sandboxFor(t)
  const leave = new AbortController()
  const response = await fetch(`${sandbox.url}/v1/messages`, {
    method: 'POST',
    signal: leave.signal,
    headers: {
      'x-api-key': sandbox.accounts[0].key,
      'anthropic-version': '2023-06-01',
      'x-sandbox': 'output_tokens=500,token_rate=200,delta_tokens=1',
    },
    body: JSON.stringify(question(prose(50), { stream: true, max_tokens: 1_000 })),
  })
  const reader = response.body?.getReader()
  let text = ''
  while (!text.includes('text_delta')) {
    text += Buffer.from((await reader?.read())?.value ?? []).toString()
  }
  leave.abort()
  while (sandbox.billed().length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  const [bill] = sandbox.billed()
  assert.equal(bill.outcome, 'client_left')
  assert.ok(bill.usage.output >= 1 && bill.usage.output < 400)
  assert.equal(bill.usage.input, 59)
})

test('CRLF, comments, odd pieces, and things not yet invented still carry the same answer', async (t) => {
  const sandbox = await sandboxFor(t)
  const body = question('A haiku', { stream: true })
  const textOf = async (wanted: string) => {
    const response = await post(sandbox, body, { 'x-sandbox': wanted })
    const raw = await response.text()
    const events = eventsOf(raw)
    const text = events.map(({ data }) => data.delta?.text ?? '').join('')
    return { raw, events, text, response }
  }
  const plain = await textOf('pings=0')
  const odd = await textOf('crlf,comments,chunk=7')
  assert.equal(odd.text, plain.text)
  assert.match(odd.raw, /: keep-alive\r\nevent: message_start\r\n/)
  const future = await textOf('unknown_event,unknown_block,future_header,message_deltas=3')
  assert.equal(future.text, plain.text)
  assert.equal(future.response.headers.get('anthropic-not-yet-invented'), 'yes; since="2027"')
  assert.ok(future.events.some(({ event }) => event === 'weather_report'))
  assert.equal(future.events.filter(({ event }) => event === 'message_delta').length, 3)
  const big = await textOf('oversize=300000')
  assert.equal(big.text.length, 300_000 + plain.text.length)
})

test('usage can be missing or poisoned while the bill keeps the truth', async (t) => {
  const sandbox = await sandboxFor(t)
  const usageOf = async (how: string) => {
    const whole = await post(sandbox, question('A haiku'), { 'x-sandbox': `usage=${how}` })
    return JSON.parse(await whole.text()).usage
  }
  assert.equal(await usageOf('missing'), undefined)
  assert.equal((await usageOf('negative')).output_tokens, -20)
  assert.equal((await usageOf('string')).output_tokens, '19')
  assert.equal((await usageOf('null')).output_tokens, null)
  assert.equal((await usageOf('huge')).output_tokens, 1e21)
  const shrinking = await post(sandbox, question('A haiku', { stream: true }), {
    'x-sandbox': 'usage=shrinking',
  })
  const deltas = eventsOf(await shrinking.text()).filter(({ event }) => event === 'message_delta')
  assert.deepEqual(
    deltas.map(({ data }) => data.usage.output_tokens),
    [19, 9],
  )
  assert.ok(sandbox.billed().every((bill) => bill.usage.output === 19))
})
