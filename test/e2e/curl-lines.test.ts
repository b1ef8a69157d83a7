import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { request } from 'node:http'
import { test } from 'node:test'
import { png, prose } from '../sandbox/world.ts'
import type { World } from '../support/world.ts'
import { world } from '../support/world.ts'

/** A command line of the user's guide: its headers in order, and its body as it stands in quotes. */
interface CurlLine {
  readonly what: string
  readonly headers: readonly string[]
  readonly body: string
}

const VERSION = 'anthropic-version: 2023-06-01'
const JSON_TYPE = 'content-type: application/json'
const KEY = 'x-api-key: $YOUR_KEY'

const LINES: readonly CurlLine[] = [
  {
    what: 'a question, called JSON',
    headers: [KEY, VERSION, JSON_TYPE],
    body: `{
"model": "claude-sonnet-4-6",
"max_tokens": 512,
"messages": [
{"role": "user", "content": "Hello, world!"}
]
}`,
  },
  {
    what: 'a stream, called nothing',
    headers: [KEY, VERSION],
    body: `{"model":"claude-sonnet-4-6","stream":true,"max_tokens":1024,
"messages":[{"role":"user","content":"Tell me a haiku."}]}`,
  },
  {
    what: 'a picture',
    headers: [KEY, VERSION, JSON_TYPE],
    body: `{
"model": "claude-sonnet-4-6",
"max_tokens": 512,
"messages": [{
"role": "user",
"content": [
{"type": "image", "source": {
"type": "base64",
"media_type": "image/png",
"data": "${png(64, 32)}"
}},
{"type": "text", "text": "What's in this image?"}
]
}]
}`,
  },
  {
    what: 'blocks marked for the cache',
    headers: [KEY, VERSION, JSON_TYPE],
    body: `{
"model": "claude-sonnet-4-6",
"max_tokens": 512,
"messages": [{
"role": "user",
"content": [
{"type": "text", "text": "${prose(1_500)}",
"cache_control": {"type": "ephemeral"}},
{"type": "text", "text": "User question goes here"}
]
}]
}`,
  },
  {
    what: 'a tool',
    headers: [KEY, VERSION, JSON_TYPE],
    body: `{
"model": "claude-sonnet-4-6",
"max_tokens": 1024,
"tools": [{
"name": "get_weather",
"description": "Look up current weather",
"input_schema": {
"type": "object",
"properties": {"city": {"type": "string"}},
"required": ["city"]
}
}],
"messages": [{"role":"user","content":"Weather in Tokyo?"}]
}`,
  },
]

/** What a shell's `curl -d` sends: line feeds of files go, those of quotes stay; and it names a form. */
function headersOf(line: CurlLine, key: string): readonly (readonly [string, string])[] {
  const given = line.headers.map((text) => {
    const colon = text.indexOf(':')
    return [text.slice(0, colon), text.slice(colon + 2).replace('$YOUR_KEY', key)] as const
  })
  const isNamed = given.some(([name]) => name.toLowerCase() === 'content-type')
  const form = ['Content-Type', 'application/x-www-form-urlencoded'] as const
  return [['User-Agent', 'curl/8.14.1'], ['Accept', '*/*'], ...given, ...(isNamed ? [] : [form])]
}

interface Answer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

type Send = (w: World, line: CurlLine) => Promise<Answer>

/** As curl does it, by hand: exactly these headers. */
const byHand: Send = (w, line) =>
  new Promise((resolve, reject) => {
    const sent = request(`${w.url}/v1/messages`, { method: 'POST' }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk) => chunks.push(chunk))
      response.on('end', () => {
        const headers = new Map(
          Object.entries(response.headers).map(([name, value]) => [name, String(value)]),
        )
        resolve({
          status: response.statusCode ?? 0,
          headers,
          body: Buffer.concat(chunks).toString(),
        })
      })
    })
    for (const [name, value] of headersOf(line, w.key)) sent.setHeader(name, value)
    sent.setHeader('Content-Length', Buffer.byteLength(line.body))
    sent.on('error', reject)
    sent.end(line.body)
  })

/** The program itself; `-i` shows the head that the test reads. */
const byCurl: Send = (w, line) =>
  new Promise((resolve, reject) => {
    const headers = line.headers.flatMap((text) => ['-H', text.replace('$YOUR_KEY', w.key)])
    const args = ['-s', '-i', '--noproxy', '*', `${w.url}/v1/messages`, ...headers, '-d', line.body]
    execFile('curl', args, (error, text) => {
      if (error !== null) return reject(error)
      const end = text.indexOf('\r\n\r\n')
      const [statusLine, ...lines] = text.slice(0, end).split('\r\n')
      const found = new Map(
        lines.map((one) => [
          one.slice(0, one.indexOf(':')).toLowerCase(),
          one.slice(one.indexOf(':') + 2),
        ]),
      )
      resolve({
        status: Number(statusLine.split(' ')[1]),
        headers: found,
        body: text.slice(end + 4),
      })
    })
  })

const hasCurl = await new Promise<boolean>((resolve) => {
  execFile('curl', ['--version'], (error) => resolve(error === null))
})

/** The guide's own fields, in its order, before any other. */
const GUIDE_FIELDS = [
  'input_tokens',
  'output_tokens',
  'cache_read_input_tokens',
  'cache_creation',
  'cost_micro',
  'model',
]

for (const [name, send, skip] of [
  ['by hand', byHand, false],
  ['by the program', byCurl, hasCurl ? false : 'curl is not on this machine'],
] as const) {
  test(`every curl line of the guide works, sent ${name}`, { skip }, async (t) => {
    const w = await world(t)
    for (const line of LINES) await t.test(line.what, () => assertWorks(w, line, send))
  })
}

async function assertWorks(w: World, line: CurlLine, send: Send): Promise<void> {
  const { status, headers, body } = await send(w, line)
  assert.equal(status, 200, body)
  // Looked up at once: the settlement was durable before the last byte went out.
  const id = headers.get('x-cc-request-id') ?? ''
  const response = await fetch(`${w.url}/v1/usage/${id}`, { headers: { 'x-api-key': w.key } })
  const usage = Object(await response.json())
  const upstream = w.sandbox.requests.at(-1)
  assert.ok(upstream?.body.equals(Buffer.from(line.body)))
  assert.equal(upstream?.headers['content-type'], 'application/json')
  assert.equal(upstream?.headers['anthropic-version'], '2023-06-01')

  assert.match(id, /^ccr_[0-9a-z]{26}$/)
  assert.equal(headers.get('request-id'), upstream?.requestId)
  assert.equal(headers.get('x-cc-account-id'), w.accountIds[upstream?.account ?? ''])

  const isStream = line.body.includes('"stream":true')
  const said = isStream ? finalUsage(body) : JSON.parse(body).usage
  const names = Object.keys(usage)
  assert.deepEqual(
    names.filter((field) => GUIDE_FIELDS.includes(field)),
    GUIDE_FIELDS,
  )
  assert.ok(
    names.slice(0, 7).every((field) => field === 'request_id' || GUIDE_FIELDS.includes(field)),
  )
  assert.equal(usage.input_tokens, said.input_tokens)
  assert.equal(usage.output_tokens, said.output_tokens)
  assert.equal(usage.cache_read_input_tokens, said.cache_read_input_tokens)
  assert.deepEqual(usage.cache_creation, said.cache_creation)
  assert.ok(Number.isInteger(usage.cost_micro) && usage.cost_micro > 0)
  assert.deepEqual(
    [usage.request_id, usage.model, usage.status, usage.stream, usage.key],
    [id, 'claude-sonnet-4-6', 'complete', isStream, 'laptop'],
  )
  assert.equal(usage.upstream_request_id, upstream?.requestId)
  assert.equal(usage.account_id, headers.get('x-cc-account-id'))
}

/** A stream's usage: the first event's, with what the last one replaces. */
function finalUsage(text: string) {
  const data = [...text.matchAll(/^data: (.*)$/gm)].map(([, json]) => JSON.parse(json))
  const start = data.find((event) => event.type === 'message_start')
  const end = data.findLast((event) => event.type === 'message_delta')
  return { ...start.message.usage, output_tokens: end.usage.output_tokens }
}

test('usage of a request that still runs is pending; that of others is unknown', async (t) => {
  const w = await world(t)
  const running = await w.post({ stream: true }, { 'x-sandbox': 'output_tokens=60,token_rate=100' })
  const id = running.headers.get('x-cc-request-id') ?? ''
  const look = async (key: string) => {
    const response = await fetch(`${w.url}/v1/usage/${id}`, { headers: { 'x-api-key': key } })
    return [response.status, Object(await response.json())]
  }
  const [status, pending] = await look(w.key)
  assert.equal(status, 200)
  assert.deepEqual(
    [pending.request_id, pending.status, pending.cost_micro, pending.model, pending.stream],
    [id, 'pending', null, 'claude-sonnet-4-6', true],
  )
  const sameUser = await w.newKey('alice', 'phone')
  const stranger = await w.newKey('mallory', 'laptop')
  assert.equal((await look(sameUser))[1].status, 'pending')
  const [foreignStatus, foreign] = await look(stranger)
  assert.deepEqual([foreignStatus, foreign.error.details.error_code], [404, 'usage_not_found'])
  await running.text()
  const [, complete] = await look(sameUser)
  assert.deepEqual([complete.status, complete.output_tokens], ['complete', 60])
})

test('the line that speaks OpenAI gets an answer in that format', async (t) => {
  const w = await world(t)
  const response = await fetch(`${w.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${w.key}`, 'content-type': 'application/json' },
    body: LINES[0].body,
  })
  assert.equal(response.status, 200)
  const answer = Object(await response.json())
  assert.equal(answer.object, 'chat.completion')
  assert.equal(answer.choices[0].message.role, 'assistant')
})
