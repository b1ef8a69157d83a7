import assert from 'node:assert/strict'
import { request } from 'node:http'
import { test } from 'node:test'
import { FAULT_MANNERS, FAULT_POINTS, parseFault } from '../../src/sandbox/faults.ts'
import type { Sandbox } from '../../src/sandbox/sandbox.ts'
import { parseScript } from '../../src/sandbox/script.ts'
import { eventsOf, post, question, sandboxFor } from './world.ts'

/** What a caller sees on the wire, without a client that repairs or hides anything. */
interface Seen {
  status: number | null
  text: string
  end: 'complete' | 'aborted' | 'reset' | 'refused' | 'not_http' | 'stalled'
}

/** Silence of this length is a stall, counted from the headers where there are any. */
const STALL_MS = 60

function raw(
  sandbox: Sandbox,
  fault: string,
  stream: boolean,
  silence: 'none' | 'at_once' | 'after_headers' = 'none',
): Promise<Seen> {
  return new Promise((resolve) => {
    const seen: Seen = { status: null, text: '', end: 'complete' }
    let timer: NodeJS.Timeout | undefined
    const watch = () => {
      timer = setTimeout(() => done('stalled'), STALL_MS)
    }
    const done = (end: Seen['end']) => {
      clearTimeout(timer)
      call.destroy()
      resolve({ ...seen, end })
    }
    const headers = {
      'x-api-key': sandbox.accounts[0].key,
      'anthropic-version': '2023-06-01',
      'x-sandbox': fault,
    }
    const { port } = sandbox
    const call = request({ agent: false, port, method: 'POST', path: '/v1/messages', headers })
    if (silence === 'at_once') watch()
    call.on('response', (response) => {
      if (silence === 'after_headers') watch()
      seen.status = response.statusCode ?? null
      response.on('data', (chunk) => {
        seen.text += chunk
      })
      response.on('end', () => done('complete'))
      response.on('error', (error: NodeJS.ErrnoException) => done(endOf(error, seen)))
    })
    call.on('error', (error: NodeJS.ErrnoException) => done(endOf(error, seen)))
    call.end(JSON.stringify(question('Tell me a haiku.', { stream })))
  })
}

function endOf(error: NodeJS.ErrnoException, seen: Seen): Seen['end'] {
  if (error.code?.startsWith('HPE_')) return 'not_http'
  if (error.code === 'ECONNREFUSED') return 'refused'
  if (seen.status !== null && error.message === 'aborted') return 'aborted'
  return 'reset'
}

const STATUSES = [200, 400, 401, 402, 403, 404, 413, 429, 500, 502, 503, 504, 529]

for (const stream of [false, true]) {
  test(`every status breaks at every point in every manner, ${stream ? 'streaming' : 'whole'}`, async (t) => {
    const sandbox = await sandboxFor(t)
    const cells = STATUSES.flatMap((status) =>
      FAULT_POINTS.flatMap((at) => FAULT_MANNERS.map((how) => ({ status, at, how }))),
    )
    const whole = new Map<number, string>()
    for (const status of STATUSES) {
      const seen = await raw(sandbox, `status=${status}`, stream)
      assert.equal(seen.status, status)
      assert.equal(seen.end, 'complete')
      whole.set(status, seen.text)
    }
    await Promise.all(
      cells.map(async ({ status, at, how }) => {
        const fault = `status=${status},at=${at},how=${how}`
        const early = at === 'connect' || at === 'before_headers'
        const silence = how !== 'stall' ? 'none' : early ? 'at_once' : 'after_headers'
        const seen = await raw(sandbox, fault, stream, silence)
        assert.equal(seen.status, early ? null : status, fault)
        assert.ok(seen.text.length < (whole.get(status)?.length ?? 0) || how === 'garbage', fault)
        if (how === 'stall') assert.equal(seen.end, 'stalled', fault)
        else if (early && how === 'garbage') assert.equal(seen.end, 'not_http', fault)
        else if (how === 'garbage') assert.ok(!seen.text.includes('message_stop'), fault)
        else assert.ok(seen.end === 'aborted' || seen.end === 'reset', `${fault}: ${seen.end}`)
      }),
    )
    const kinds = new Set(sandbox.billed().map((bill) => bill.outcome))
    assert.deepEqual([...kinds].sort(), ['complete', 'cut', 'lost'])
  })
}

test('a cut stream has told exactly what stands before the cut', async (t) => {
  const sandbox = await sandboxFor(t)
  const at = async (point: string) => (await raw(sandbox, `at=${point}`, true)).text
  assert.equal(await at('after_headers'), '')
  assert.match(await at('in_message_start'), /^event: message_start\ndata: \{"type".*[^\n]$/)
  assert.deepEqual(
    eventsOf(await at('after_message_start')).map((item) => item.event),
    ['message_start'],
  )
  const text = await at('mid_event')
  assert.ok(text.includes('text_delta') && !text.endsWith('\n\n'))
  assert.equal(eventsOf(await at('before_message_delta')).at(-1)?.event, 'content_block_stop')
  assert.equal(eventsOf(await at('before_message_stop')).at(-1)?.event, 'message_delta')
  const after = await raw(sandbox, 'at=mid_event,after=2', true)
  assert.equal(after.text.split('event: content_block_delta').length - 1, 3)
})

test('the bill of a cut stream counts the tokens that were told', async (t) => {
  const sandbox = await sandboxFor(t)
  const outputs: number[] = []
  for (const point of ['after_message_start', 'mid_event', 'before_message_delta']) {
    sandbox.forget()
    await raw(sandbox, `at=${point},output_tokens=100`, true)
    outputs.push(sandbox.billed()[0].usage.output)
  }
  assert.equal(outputs[0], 0)
  assert.ok(outputs[1] > 40 && outputs[1] < 60)
  assert.equal(outputs[2], 100)
  await raw(sandbox, 'at=mid_event,output_tokens=100', false)
  assert.equal(sandbox.billed().at(-1)?.usage.output, 100)
})

test('special errors have the words, codes and headers of the real ones', async (t) => {
  const sandbox = await sandboxFor(t)
  const ask = async (fault: string) => {
    const response = await post(sandbox, question('Hello'), { 'x-sandbox': fault })
    const body = JSON.parse(await response.text())
    return { status: response.status, headers: response.headers, body, error: body.error }
  }
  const credit = await ask('error=credit_too_low')
  assert.equal(credit.status, 400)
  assert.match(credit.error.message, /^Your credit balance is too low to access the Anthropic API/)
  assert.equal(credit.body.request_id, credit.headers.get('request-id'))
  const spend = await ask('error=spend_limit')
  assert.equal(spend.status, 429)
  assert.equal(spend.error.details.error_code, 'enforced_spend_limit_reached')
  assert.equal(spend.headers.get('retry-after'), null)
  assert.equal((await ask('error=model_not_found')).error.message, 'model: claude-sonnet-4-6')
  const hold = await ask('error=organization_on_hold')
  assert.equal(hold.error.details.error_code, 'organization_on_hold')
  const edge = await ask('status=413')
  assert.deepEqual(edge.body, {
    error: { type: 'request_too_large', message: 'Request exceeds the maximum size' },
  })
  const limited = await ask('status=429')
  assert.equal(limited.headers.get('retry-after'), '2')
  assert.ok(limited.headers.get('anthropic-ratelimit-requests-reset'))
  const bare = await ask('status=429,retry_after=none,reset=none')
  assert.equal(bare.headers.get('retry-after'), null)
  assert.equal(bare.headers.get('anthropic-ratelimit-requests-reset'), null)
  const strange = await ask('status=429,retry_after=Wed%2C 21 Oct 2026 07:28:00 GMT')
  assert.equal(strange.headers.get('retry-after'), 'Wed, 21 Oct 2026 07:28:00 GMT')
})

test('answers can be what no API answers: HTML, redirects, errors with status 200', async (t) => {
  const sandbox = await sandboxFor(t)
  const ask = (fault: string) => post(sandbox, question('Hello'), { 'x-sandbox': fault })
  const html = await ask('body=html')
  assert.equal(html.status, 200)
  assert.match(html.headers.get('content-type') ?? '', /html/)
  const error = await ask('body=error')
  assert.equal(error.status, 200)
  assert.equal(JSON.parse(await error.text()).type, 'error')
  const moved = await ask('redirect=307')
  assert.equal(moved.status, 307)
  assert.equal(moved.headers.get('location'), '/v1/elsewhere')
  assert.equal(await (await ask('body=empty')).text(), '')
  const html502 = await ask('status=502,body=html')
  assert.equal(html502.status, 502)
  assert.match(await html502.text(), /^<!DOCTYPE/)
})

test('faults set by hand follow account, model, path and number', async (t) => {
  const sandbox = await sandboxFor(t, { accounts: [{ name: 'a' }, { name: 'b' }] })
  const statusOf = async (account: string, model = 'claude-sonnet-4-6', path = '/v1/messages') => {
    const key = { 'x-api-key': sandbox.account(account).key }
    const body = { ...question('Hello'), model }
    const counted = { ...body, max_tokens: undefined }
    return (await post(sandbox, path.endsWith('count_tokens') ? counted : body, key, path)).status
  }
  sandbox.setFault('a', { status: 529 }, { times: 2 })
  sandbox.setFault('b', { status: 500 }, { model: 'claude-opus-5' })
  assert.deepEqual([await statusOf('a'), await statusOf('b')], [529, 200])
  assert.deepEqual([await statusOf('a'), await statusOf('a')], [529, 200])
  assert.deepEqual([await statusOf('b', 'claude-opus-5'), await statusOf('b')], [500, 200])
  const counting = '/v1/messages/count_tokens'
  sandbox.clearFaults()
  sandbox.setFault('*', { status: 529 })
  assert.equal(await statusOf('a', 'claude-sonnet-4-6', counting), 200)
  sandbox.setFault('*', { error: 'credit_too_low' })
  assert.equal(await statusOf('a', 'claude-sonnet-4-6', counting), 400)
  sandbox.setFault('*', null)
  assert.equal(await statusOf('a'), 200)
  assert.throws(() => sandbox.setFault('nobody', { status: 500 }), /no sandbox account/)
})

test('a script chooses faults by account, model and number, in YAML or JSON', async (t) => {
  const script = parseScript(`
rules:
  - match: { account: a, nth: 2 }
    fault: status=529,retry_after=9
  - match: { model: claude-opus-5 }
    fault: { status: 503 }
    times: 1
`)
  const sandbox = await sandboxFor(t, { script, accounts: [{ name: 'a' }] })
  const statusOf = async (model = 'claude-sonnet-4-6') => {
    return (await post(sandbox, { ...question('Hello'), model })).status
  }
  assert.deepEqual([await statusOf(), await statusOf(), await statusOf()], [200, 529, 200])
  assert.deepEqual([await statusOf('claude-opus-5'), await statusOf('claude-opus-5')], [503, 200])
  assert.deepEqual(parseScript('[{"fault": "at=mid_event"}]'), [
    { match: {}, fault: { at: 'mid_event' } },
  ])
})

test('a script or fault with a mistake is refused with the place and the choices', () => {
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    ['a: [', /neither YAML nor JSON/],
    ['hello', /expected a list of rules/],
    [[{ match: {}, fault: 'status=999' }], /rule 1: fault: status=999 \(wanted: a whole number/],
    [[{ fault: 'status=500' }, { fault: 'at=lunch' }], /rule 2: fault: at=lunch \(wanted: connect/],
    [[{ fault: { statu: 500 } }], /rule 1: fault: unknown key statu \(known: status /],
    [[{ when: {}, fault: 'status=500' }], /unknown key when in a rule/],
    [[{ match: { nth: 0 }, fault: 'status=500' }], /nth must be a whole number from 1/],
    [[{ match: {} }], /fault must be text/],
    [[{ fault: 'status=500', times: 1.5 }], /times must be/],
  ]
  for (const [script, pattern] of wrong) assert.throws(() => parseScript(script), pattern)
  assert.deepEqual(parseFault(' text=a%2Cb , crlf ,chunk=3'), { text: 'a,b', crlf: true, chunk: 3 })
})

test('a wrong x-sandbox header is a 400 that says so', async (t) => {
  const sandbox = await sandboxFor(t)
  const response = await post(sandbox, question('Hello'), { 'x-sandbox': 'stauts=529' })
  assert.equal(response.status, 400)
  assert.match(await response.text(), /x-sandbox: fault: unknown key stauts/)
})

test('connections are refused while told so, and the same address serves again after', async (t) => {
  const sandbox = await sandboxFor(t)
  assert.equal((await raw(sandbox, '', false)).status, 200)
  await sandbox.refuse(true)
  assert.equal((await raw(sandbox, '', false)).end, 'refused')
  await sandbox.refuse(false)
  assert.equal((await raw(sandbox, '', false)).status, 200)
})

test('scenarios spoil about the share they promise, the same for the same seed', async (t) => {
  const run = async (scenario: 'busy' | 'flaky' | 'down' | 'broke') => {
    const sandbox = await sandboxFor(t, { scenario, seed: 7 })
    const statuses: number[] = []
    for (let i = 0; i < 100; i++) {
      const response = await post(sandbox, question('Hello'))
      await response.arrayBuffer()
      statuses.push(response.status)
      if (response.status === 429)
        assert.match(response.headers.get('retry-after') ?? '', /^[1-5]$/)
    }
    return statuses
  }
  const flaky = await run('flaky')
  const overloaded = flaky.filter((status) => status === 529).length
  assert.ok(overloaded > 8 && overloaded < 35)
  assert.deepEqual(await run('flaky'), flaky)
  const limited = (await run('busy')).filter((status) => status === 429).length
  assert.ok(limited > 15 && limited < 48)
  assert.ok((await run('down')).every((status) => status >= 500))
  assert.ok((await run('broke')).every((status) => status === 200))
})

test('a slow scenario is silent first and answers then', async (t) => {
  const sandbox = await sandboxFor(t, { scenario: 'slow' })
  assert.equal((await raw(sandbox, '', true, 'at_once')).end, 'stalled')
  const hurried = await raw(sandbox, 'first_byte_ms=0', true)
  assert.equal(hurried.status, 200)
})
