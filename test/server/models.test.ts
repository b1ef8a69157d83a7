import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Config } from '../../src/config/config.ts'
import { type World, world } from '../support/world.ts'

interface List {
  readonly data: readonly { readonly id: string; readonly lifecycle?: string }[]
  readonly has_more?: boolean
  readonly error?: { readonly message: string }
}

/** The models as a client of OpenAI's formats sees them, or with `x-api-key` as one of Anthropic's. */
async function models(w: World, query = '', by: 'openai' | 'anthropic' = 'openai', key = w.key) {
  const name = by === 'openai' ? 'authorization' : 'x-api-key'
  const headers = { [name]: by === 'openai' ? `Bearer ${key}` : key }
  const response = await fetch(`${w.url}/v1/models${query}`, { headers })
  return { status: response.status, ...((await response.json()) as List) }
}

const idsOf = ({ data }: List) => data.map(({ id }) => id)

/** Names of the operator's own: for everybody, and for clients of OpenAI's formats alone. */
function withNames(aliases: Record<string, string>, openAiNames: Record<string, string>) {
  return (config: Config): Config => ({
    ...config,
    models: { ...config.models, lists: { ...config.models.lists, aliases }, openAiNames },
  })
}

test('a model that no account serves is not listed, and neither are its names', async (t) => {
  const w = await world(t, {
    account: (name) => ({ models: name === 'one' ? ['claude-haiku-*'] : ['claude-sonnet-4-6'] }),
    config: withNames(
      { fast: 'claude-haiku-4-5', best: 'claude-opus-5-5' },
      { 'gpt-4o': 'claude-sonnet-4-6', 'gpt-5': 'best' },
    ),
  })
  const listed = idsOf(await models(w))
  assert.deepEqual(listed, [
    'claude-sonnet-4-6',
    'claude-haiku-5-5',
    'claude-haiku-4-5-20251001',
    'fast',
    'gpt-4o',
  ])
  const { data } = await models(w, '?limit=1000', 'anthropic')
  assert.deepEqual(idsOf({ data }), listed.slice(0, -1))
})

test('a key that is confined to tags sees what their accounts serve', async (t) => {
  const w = await world(t, {
    account: (name) =>
      name === 'one'
        ? { models: ['claude-haiku-4-5*'], tags: ['eu'] }
        : { models: ['claude-opus-5'], tags: [] },
  })
  const confined = await w.newKey('bob', 'eu', { accountTags: ['eu'], creditMicro: 1_000_000 })
  assert.deepEqual(idsOf(await models(w)), ['claude-opus-5', 'claude-haiku-4-5-20251001'])
  const seen = await models(w, '', 'openai', confined)
  assert.deepEqual(idsOf(seen), ['claude-haiku-4-5-20251001'])
})

test('every name is listed once; what it means to clients of OpenAI’s formats goes first', async (t) => {
  const w = await world(t, {
    config: withNames(
      { fast: 'claude-haiku-4-5' },
      { fast: 'claude-opus-5-5', 'claude-sonnet-5': 'claude-sonnet-5-5' },
    ),
    key: { models: ['claude-haiku-*', 'claude-sonnet-*'] },
  })
  const ids = idsOf(await models(w))
  assert.equal(new Set(ids).size, ids.length, ids.join(' '))
  assert.ok(ids.includes('claude-sonnet-5'))
  // To them it is a model that their key may not use.
  assert.ok(!ids.includes('fast'))
  assert.ok(idsOf(await models(w, '?limit=1000', 'anthropic')).includes('fast'))
})

test('Anthropic’s list goes by pages and by stages of life', async (t) => {
  const w = await world(t)
  const all = await models(w, '?limit=1000', 'anthropic')
  const ids = idsOf(all)
  const first = await models(w, '?limit=3', 'anthropic')
  assert.deepEqual([idsOf(first), first.has_more], [ids.slice(0, 3), true])
  const next = await models(w, `?limit=3&after_id=${ids[2]}`, 'anthropic')
  assert.deepEqual(idsOf(next), ids.slice(3, 6))
  const before = await models(w, `?limit=2&before_id=${ids[3]}`, 'anthropic')
  assert.deepEqual([idsOf(before), before.has_more], [ids.slice(1, 3), true])
  const old = await models(w, '?lifecycle=deprecated&limit=1000', 'anthropic')
  const wanted = all.data.filter(({ lifecycle }) => lifecycle === 'deprecated')
  assert.ok(wanted.length > 0)
  assert.deepEqual(idsOf(old), idsOf({ data: wanted }))
  const both = '?lifecycle[]=active&lifecycle[]=deprecated&limit=1000'
  assert.deepEqual(idsOf(await models(w, both, 'anthropic')), ids)
  for (const query of ['?limit=0', '?limit=many', '?lifecycle=young']) {
    const { status, error } = await models(w, query, 'anthropic')
    assert.equal(status, 400)
    assert.match(error?.message ?? '', /^(?:limit|lifecycle): must be /)
  }
})

test('one model is found under its encoded name in either shape, and one that is none is said to be', async (t) => {
  const w = await world(t)
  for (const by of ['openai', 'anthropic'] as const) {
    const found = await models(w, '/claude%2Dopus-5-5', by)
    assert.deepEqual([found.status, Object(found).id], [200, 'claude-opus-5-5'])
    const { status, error } = await models(w, '/claude-opus-55', by)
    assert.equal(status, 404)
    assert.match(error?.message ?? '', /No model named claude-opus-55 here\. Did you mean/)
    assert.equal((await models(w, '/%zz', by)).status, 404)
  }
})

test('a model is found with the vendor before its name by clients of OpenAI’s formats alone', async (t) => {
  const w = await world(t, { config: withNames({}, { 'anthropic/best': 'claude-opus-5-5' }) })
  const path = '/anthropic%2Fclaude-opus-5-5'
  const found = await models(w, path)
  assert.deepEqual([found.status, Object(found).id], [200, 'claude-opus-5-5'])
  assert.equal((await models(w, path, 'anthropic')).status, 404)
  assert.equal(Object(await models(w, '/anthropic%2Fbest')).id, 'anthropic/best')
  const { status, error } = await models(w, '/anthropic%2Fclaude-opus-55')
  assert.equal(status, 404)
  assert.match(error?.message ?? '', /No model named anthropic\/claude-opus-55 here/)
})
