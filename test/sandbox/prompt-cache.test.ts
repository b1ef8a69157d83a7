import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Body, post, prose, question, sandboxFor } from './world.ts'

type Block = { readonly [name: string]: unknown }

const MARK = { cache_control: { type: 'ephemeral' } }
const HOUR_MARK = { cache_control: { type: 'ephemeral', ttl: '1h' } }

async function world(t: TestContext) {
  const clock = { ms: 1_000_000 }
  const sandbox = await sandboxFor(t, {
    nowMs: () => clock.ms,
    accounts: [
      { name: 'a', organization: 'acme', workspace: 'one' },
      { name: 'b', organization: 'acme', workspace: 'one' },
      { name: 'c', organization: 'acme', workspace: 'two' },
    ],
  })
  /** [read, written for 5 minutes, written for an hour, rest] */
  async function use(body: Body, account = 'a', headers: { [name: string]: string } = {}) {
    const key = sandbox.account(account).key
    const response = await post(sandbox, body, { 'x-api-key': key, ...headers })
    const { usage, error } = JSON.parse(await response.text())
    assert.equal(error, undefined)
    const { ephemeral_5m_input_tokens, ephemeral_1h_input_tokens } = usage.cache_creation
    return [
      usage.cache_read_input_tokens,
      ephemeral_5m_input_tokens,
      ephemeral_1h_input_tokens,
      usage.input_tokens,
    ]
  }
  return { sandbox, clock, use }
}

const text = (tokens: number, salt: string, more: Block = {}): Block => {
  return { type: 'text', text: prose(tokens, salt), ...more }
}

const chat = (...content: readonly Block[]) =>
  question('', { messages: [{ role: 'user', content }] })

test('a prefix is read by any key of its workspace, and by no other', async (t) => {
  const { use } = await world(t)
  const body = chat(text(1_500, 'big', MARK), text(10, 'ask'))
  assert.deepEqual(await use(body, 'a'), [0, 1_503, 0, 16])
  assert.deepEqual(await use(body, 'b'), [1_503, 0, 0, 16])
  assert.deepEqual(await use(body, 'c'), [0, 1_503, 0, 16])
})

test('an entry lives five minutes or an hour from its last read, and no longer', async (t) => {
  const { use, clock } = await world(t)
  const short = chat(text(1_500, 'short', MARK))
  const long = chat(text(1_500, 'long', HOUR_MARK))
  assert.deepEqual(await use(short), [0, 1_503, 0, 6])
  assert.deepEqual(await use(long), [0, 0, 1_503, 6])
  clock.ms += 299_000
  assert.equal((await use(short))[0], 1_503)
  clock.ms += 299_000
  assert.equal((await use(short))[0], 1_503)
  clock.ms += 300_000
  assert.equal((await use(short))[0], 0)
  assert.equal((await use(long))[0], 1_503)
  clock.ms += 3_600_000
  assert.equal((await use(long))[0], 0)
})

test('a growing conversation reads what it wrote and writes what is new', async (t) => {
  const { use } = await world(t)
  const system = [text(2_000, 'system', HOUR_MARK)]
  const turn = (...texts: readonly Block[]) => ({ ...chat(...texts), system })
  assert.deepEqual(await use(turn(text(1_000, 'one', MARK))), [0, 1_003, 2_000, 6])
  const second = turn(text(1_000, 'one'), text(500, 'two', MARK))
  assert.deepEqual(await use(second), [3_003, 500, 0, 6])
  assert.deepEqual(await use(turn(text(900, 'other', MARK))), [2_000, 903, 0, 6])
})

test('the look-back reaches twenty blocks and not further', async (t) => {
  const { use } = await world(t)
  const first = text(1_500, 'first')
  const small = (count: number) => Array.from({ length: count }, (_, i) => text(5, `s${i}`))
  assert.equal((await use(chat({ ...first, ...MARK })))[1], 1_503)
  const near = chat(first, ...small(18), text(5, 'last', MARK))
  assert.equal((await use(near))[0], 1_503)
  const far = chat(first, ...small(30), text(5, 'last', MARK))
  assert.equal((await use(far))[0], 0)
})

test('a run of tool results counts as one step back', async (t) => {
  const { use } = await world(t)
  const first = text(1_500, 'first')
  await use(chat({ ...first, ...MARK }))
  const results = Array.from({ length: 40 }, (_, i) => {
    return { type: 'tool_result', tool_use_id: `toolu_${i}`, content: `${i}` }
  })
  assert.equal((await use(chat(first, ...results, text(5, 'last', MARK))))[0], 1_503)
})

test('what upstream says invalidates does so, and the rest does not', async (t) => {
  const { use } = await world(t)
  const system = [text(2_000, 'system', MARK)]
  const base = { ...chat(text(1_000, 'one', MARK)), system, model: 'claude-opus-4-6' }
  const big = { ...base, system: [text(5_000, 'system', MARK)] }
  await use(big)
  const reads = async (change: Body) => (await use({ ...big, ...change }))[0]
  const all = 5_000 + 1_003
  assert.equal(await reads({ max_tokens: 7, metadata: { user_id: 'x' } }), all)
  assert.equal(await reads({ output_config: { effort: 'low' } }), 5_000)
  assert.equal(await reads({ thinking: { type: 'adaptive' } }), 5_000)
  assert.equal(await reads({ speed: 'fast' }), 0)
  assert.equal(await reads({ model: 'claude-sonnet-4-6' }), 0)
  const tools = [{ name: 't', input_schema: { type: 'object' } }]
  assert.equal(await reads({ tools }), 0)
})

test('short prefixes are not cached, and the automatic breakpoint sits on the last block', async (t) => {
  const { use } = await world(t)
  const short = chat(text(900, 'short', MARK))
  assert.deepEqual(await use(short), [0, 0, 0, 909])
  assert.deepEqual(await use(short), [0, 0, 0, 909])
  const automatic = { ...chat(text(1_100, 'x'), text(100, 'y')), ...MARK }
  assert.deepEqual(await use(automatic), [0, 1_203, 0, 6])
  assert.deepEqual(await use(automatic), [1_203, 0, 0, 6])
})

test('an attribution block at the head of system is neither counted nor part of the prefix', async (t) => {
  const { use } = await world(t)
  const body = (id: string) => ({
    ...chat(text(10, 'ask')),
    system: [
      { type: 'text', text: `x-anthropic-billing-header: cc=${id}` },
      text(1_500, 'system', MARK),
    ],
  })
  assert.deepEqual(await use(body('one')), [0, 1_500, 0, 19])
  assert.deepEqual(await use(body('two')), [1_500, 0, 0, 19])
})

test('an entry is readable once its first answer has begun, so parallel firsts all write', async (t) => {
  const { sandbox, use } = await world(t)
  const body = chat(text(1_500, 'big', MARK))
  const slow = { 'x-sandbox': 'first_byte_ms=100' }
  const pair = await Promise.all([use(body, 'a', slow), use(body, 'b', slow)])
  assert.deepEqual(pair, [
    [0, 1_503, 0, 6],
    [0, 1_503, 0, 6],
  ])
  assert.deepEqual(await use(body), [1_503, 0, 0, 6])
  // A request that never begins to answer opens nothing.
  const lost = chat(text(1_500, 'lost', MARK))
  await post(sandbox, lost, { 'x-sandbox': 'at=before_headers' }).catch(() => {})
  assert.deepEqual(await use(lost), [0, 1_503, 0, 6])
})

test('markers that upstream forbids are refused in its words', async (t) => {
  const { sandbox } = await world(t)
  const refusal = async (body: Body) => {
    const response = await post(sandbox, body, {})
    assert.equal(response.status, 400)
    return JSON.parse(await response.text()).error.message as string
  }
  const five = chat(...Array.from({ length: 5 }, (_, i) => text(5, `${i}`, MARK)))
  assert.match(await refusal(five), /A maximum of 4 blocks with cache_control.*Found 5/)
  const four = chat(...Array.from({ length: 4 }, (_, i) => text(5, `${i}`, MARK)), text(5, 'z'))
  assert.match(await refusal({ ...four, ...MARK }), /Found 5/)
  const order = chat(text(5, 'a', MARK), text(5, 'b', HOUR_MARK))
  assert.match(await refusal(order), /ttl='1h'.*must not come after/)
  assert.match(await refusal({ ...chat(text(5, 'a', HOUR_MARK)), ...MARK }), /another ttl/)
})
