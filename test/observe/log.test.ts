import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { makeKeySecret } from '../../src/access/key.ts'
import { createLog, redact } from '../../src/observe/log.ts'

const KEY = makeKeySecret()
const CREDENTIAL = 'sk-ant-api03-Zm9vYmFy_canary-0123456789-AA'
/** What must never be in a line: the parts behind the public prefixes. */
const CANARIES = [KEY.slice(8), CREDENTIAL.slice(7), 'canary']

function world(format: 'json' | 'text' = 'json', level: 'debug' | 'info' | 'warn' = 'debug') {
  const lines: string[] = []
  const log = createLog({ level, format, write: (line) => lines.push(line) })
  return { log, lines, last: () => JSON.parse(lines[lines.length - 1]) }
}

function assertClean(lines: readonly string[]) {
  for (const line of lines)
    for (const canary of CANARIES) assert.ok(!line.includes(canary), `${canary} in ${line}`)
}

/** Every place a secret has been seen to hide in. */
function hidingPlaces(secret: string): Record<string, unknown>[] {
  const inner = new Error(`inner ${secret}`)
  const outer = Object.assign(new Error(`outer ${secret}`, { cause: inner }), { code: 'E_X' })
  outer.stack = `Error: ${secret}\n    at somewhere`
  const request = { headers: { 'x-api-key': secret, authorization: `Bearer ${secret}` } }
  const anyType = class extends Error {
    override readonly name = secret
  }
  return [
    { text: secret },
    { text: `before ${secret} after` },
    { text: `"${secret}"` },
    { text: `\n${secret}\u0000` },
    { nested: { deep: [{ deeper: secret }] } },
    { [secret]: 1 },
    { err: outer },
    { err: secret },
    { err: new AggregateError([inner], secret) },
    { err: new anyType('x') },
    { err: Object.assign(new Error('x'), { request, options: request }) },
    { err: new Error('x', { cause: secret }) },
    { err: new Error('x', { cause: { secret } }) },
    { cause: outer },
    { request },
    { rawHeaders: ['x-api-key', secret] },
    { url: new URL(`https://u:${secret}@example.com/?key=${secret}`) },
    { map: new Map([['k', secret]]), set: new Set([secret]) },
    { toJSON: () => ({ secret }) },
  ]
}

test('no secret reaches a line, whatever field or cause it hides in', () => {
  for (const format of ['json', 'text'] as const) {
    const { log, lines } = world(format)
    for (const secret of [KEY, CREDENTIAL]) {
      const places = hidingPlaces(secret)
      for (const fields of places) log.error(fields, 'request.failed')
      log.error(`told ${secret} in the sentence`)
    }
    assert.equal(lines.length, 40)
    assertClean(lines)
  }
})

test('wherever a secret stands in a text, nothing of it is left, and the rest is', () => {
  const around = fc.string({ unit: fc.constantFrom('x', ' ', '"', ':', '\n', 'ü', '.') })
  fc.assert(
    fc.property(around, fc.constantFrom(KEY, CREDENTIAL), around, (before, secret, after) => {
      const clean = redact(`${before}${secret}/${after}`)
      assert.ok(clean.startsWith(before))
      assert.ok(clean.endsWith(`/${after}`))
      assertClean([clean])
    }),
  )
})

test('masked forms stay readable', () => {
  assert.equal(redact('cc_user_…9fQ2 and sk-ant-…Xk4A'), 'cc_user_…9fQ2 and sk-ant-…Xk4A')
  assert.equal(redact('no secret'), 'no secret')
})

test('a line has its time, level, sentence and fields in snake case', () => {
  const { log, last } = world()
  log.warn({ requestId: 'ccr_1', accountId: 'acct_1', costMicro: 5 }, 'account cooled down')
  const line = last()
  assert.match(line.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  assert.deepEqual(
    { ...line, time: '' },
    {
      level: 'warn',
      time: '',
      request_id: 'ccr_1',
      account_id: 'acct_1',
      cost_micro: 5,
      msg: 'account cooled down',
    },
  )
})

test('an error is told by its type, text, code and causes, and by nothing hung onto it', () => {
  const { log, last } = world()
  const cause = Object.assign(new TypeError('inner'), { code: 'E_IN', body: 'prompt' })
  log.error({ err: Object.assign(new Error('outer', { cause }), { request: {} }) }, 'failed')
  const { err } = last()
  assert.deepEqual(Object.keys(err), ['type', 'message', 'stack', 'cause'])
  assert.deepEqual([err.type, err.message], ['Error', 'outer'])
  assert.deepEqual(
    [err.cause.type, err.cause.message, err.cause.code],
    ['TypeError', 'inner', 'E_IN'],
  )
  assert.equal('body' in err.cause, false)
})

test('a chain of causes that bites its tail ends', () => {
  const { log, lines } = world()
  const one = new Error('one')
  const two = new Error('two', { cause: one })
  one.cause = two
  log.error({ err: one }, 'failed')
  assert.equal(lines.length, 1)
  assert.match(lines[0], /"message":"two"/)
})

test('what cannot be written as JSON does not stop the line', () => {
  const { log, lines } = world()
  const circle: Record<string, unknown> = {}
  circle.self = circle
  log.info({ circle }, 'a')
  log.info({ big: 10n }, 'b')
  log.info({ gone: undefined, fn: () => 1 }, 'c')
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).msg),
    ['a', 'b', 'c'],
  )
})

test('only lines of the level or above are written', () => {
  const { log, lines } = world('json', 'warn')
  log.debug({}, 'a')
  log.info({}, 'b')
  log.warn({}, 'c')
  log.fatal({}, 'd')
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).msg),
    ['c', 'd'],
  )
})

test('a text line is one line, and nothing from outside moves the cursor', () => {
  const { log, lines } = world('text')
  log.info({ model: 'evil\u001b[2J\nmodel\u202e', list: [1, null], nothing: null }, 'request.done')
  assert.match(
    lines[0],
    /^\d\d:\d\d:\d\d info {2}request\.done model=evil.*model.* list=\[1,null\]\n$/,
  )
  assert.doesNotMatch(lines[0].slice(0, -1), /[\u0000-\u001f\u202e]/)
})
