import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { makeKeySecret } from '../../src/access/key.ts'
import type { World } from '../support/world.ts'
import { world } from '../support/world.ts'

/** Texts that nobody but sender and receiver may see. */
const PROMPT = 'canary-prompt-7f3a9c51'
const SYSTEM = 'canary-system-20b64d8e'
const USER_ID = 'canary-user-id-51c7e0aa'
const ANSWER = 'canary-answer-e81d03b2'
const UPSTREAM_WORDS = 'canary-upstream-words-4c90'
const COOKIE = 'canary-cookie-aa17f6'
const QUERY = 'canary-query-3d2b'
const SENT_BY_MISTAKE = 'sk-ant-api03-canaryMistake0123456789abcdefghijklmnopqrstuvwxyzAA'

/** Every byte that the gateway wrote to disk. */
function storedBytes(w: World): string {
  const folder = dirname(w.databaseFile)
  return readdirSync(folder)
    .map((name) => readFileSync(join(folder, name)).toString('latin1'))
    .join('\n')
}

/** A text in the forms in which it could hide. */
function formsOf(secret: string): readonly string[] {
  const bytes = Buffer.from(secret)
  return [secret, secret.slice(8, 28), bytes.toString('hex'), bytes.toString('base64').slice(0, -4)]
}

function assertAbsent(secrets: readonly string[], text: string, where: string): void {
  for (const secret of secrets) {
    for (const form of formsOf(secret)) assert.ok(!text.includes(form), `${form} in ${where}`)
  }
}

test('no secret and no word of a conversation is logged, stored or told to others', async (t) => {
  const w = await world(t, { creditMicro: 100_000 })
  const unknown = makeKeySecret()
  const credentials = ['one', 'two'].map((name) => w.sandbox.account(name).key)
  const bodies: string[] = []
  const speak = async (
    change: Record<string, unknown> = {},
    headers: Record<string, string> = {},
  ): Promise<Response> => {
    const response = await w.post(
      {
        system: SYSTEM,
        metadata: { user_id: USER_ID },
        messages: [{ role: 'user', content: PROMPT }],
        ...change,
      },
      { cookie: COOKIE, 'x-sandbox': `text=${ANSWER}`, ...headers },
    )
    const body = await response.text()
    // What upstream says passes to its caller; what we say ourselves must give nothing away.
    if (body.startsWith('{') && body.includes('"error_code"')) bodies.push(body)
    else assert.match(body, /canary-/)
    return response
  }

  // Good ones, whole and streamed, and one that breaks off.
  await speak()
  await speak({ stream: true })
  await speak({ stream: true }, { 'x-sandbox': `text=${ANSWER.repeat(9)},at=mid_event,how=reset` })
  const counted = await fetch(`${w.url}/v1/messages/count_tokens?q=${QUERY}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${w.key}` },
    body: JSON.stringify({
      model: 'claude-sonnet-4-6',
      messages: [{ role: 'user', content: PROMPT }],
    }),
  })
  assert.equal(counted.status, 200)

  // Refused by upstream, in words that repeat what it was sent.
  const echo = `message=${UPSTREAM_WORDS} ${credentials[0]}`
  assert.equal((await speak({}, { 'x-sandbox': `status=400,${echo}` })).status, 400)
  assert.equal((await speak({}, { 'x-sandbox': `status=500,${echo}` })).status, 502)
  assert.equal((await speak({}, { 'x-sandbox': `status=200,body=html` })).status, 502)

  // Refused by us.
  const refusals: readonly (readonly [number, Record<string, unknown>, Record<string, string>])[] =
    [
      [400, { max_tokens: PROMPT }, {}],
      [404, { model: 'claude-none' }, {}],
      [401, {}, { 'x-api-key': SENT_BY_MISTAKE }],
      [401, {}, { 'x-api-key': unknown }],
      [401, {}, { 'x-api-key': w.key.slice(0, -3) }],
      [401, {}, { 'x-api-key': `${w.key}x` }],
      [401, {}, { authorization: `Bearer ${unknown}` }],
      [402, { max_tokens: 60_000 }, {}],
    ]
  for (const [status, change, headers] of refusals) {
    assert.equal((await speak(change, headers)).status, status)
  }
  for (const body of [`{"x":"${PROMPT}"`, `{"messages":["${PROMPT}"],"messages":1}`, PROMPT]) {
    const response = await fetch(`${w.url}/v1/messages?q=${QUERY}`, {
      method: 'POST',
      headers: { 'x-api-key': w.key },
      body,
    })
    assert.equal(response.status, 400)
    bodies.push(await response.text())
  }

  // Broken off by us: the accounts' keys are refused, so that health is written as well.
  for (const name of ['one', 'two']) w.sandbox.revoke(name)
  assert.equal((await speak()).status, 503)
  await w.settled()
  await w.daemon.stop(1_000)

  const secrets = [w.key, unknown, SENT_BY_MISTAKE, ...credentials]
  const words = [PROMPT, SYSTEM, USER_ID, ANSWER, UPSTREAM_WORDS, COOKIE, QUERY]
  const log = w.log.join('')
  const stored = storedBytes(w)
  assertAbsent([...secrets, ...words], log, 'the log')
  assertAbsent([...secrets, ...words], stored, 'the database')
  assert.ok(bodies.length >= 13)
  for (const body of bodies) assertAbsent([...secrets, ...words], body, body)

  // The search would have found them: what may be there is there.
  assert.match(log, /"code":"upstream_error"/)
  assert.match(log, /account/)
  assert.ok(stored.includes('claude-sonnet-4-6') && stored.includes('alice'))
  assert.ok(stored.includes(w.key.slice(-4)) && stored.includes(credentials[0].slice(-4)))
})
