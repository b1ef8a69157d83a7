import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { upstreamHeaders } from '../../../src/providers/anthropic/request.ts'
import type { Target } from '../../../src/providers/provider.ts'

const TARGET: Target = {
  accountId: 'acct_1',
  pathPrefix: '',
  credential: 'sk-ant-of-the-operator',
  workspaceId: null,
}
const DEFAULTS = { anthropicVersion: '2023-06-01' }

/** All values by lower-case name. */
function valuesOf(flat: readonly string[]): Record<string, string[]> {
  const values: Record<string, string[]> = Object.create(null)
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i].toLowerCase()
    values[name] ??= []
    values[name].push(flat[i + 1])
  }
  return values
}

const sent = (raw: readonly string[], target = TARGET) =>
  valuesOf(upstreamHeaders(raw, target, DEFAULTS))

test("the account's credential takes the place of the client's, in one header", () => {
  const headers = sent(['X-Api-Key', 'cc_user_a', 'authorization', 'Bearer cc_user_b'])
  assert.deepEqual(headers['x-api-key'], ['sk-ant-of-the-operator'])
  assert.equal(headers.authorization, undefined)
})

test('whatever a client sends, what decides is there exactly once and is ours', () => {
  const name = fc.constantFrom(
    'x-api-key',
    'X-API-KEY',
    'Authorization',
    'Content-Type',
    'content-type',
    'Accept-Encoding',
    'anthropic-version',
    'Anthropic-Version',
    'anthropic-beta',
    'Cookie',
    'X-Forwarded-For',
    'Host',
    'x-unknown',
  )
  const pairs = fc.array(fc.tuple(name, fc.constantFrom('cc_user_canary', 'text/plain', 'gzip')))
  fc.assert(
    fc.property(pairs, (list) => {
      const headers = sent(list.flat())
      assert.deepEqual(headers['x-api-key'], ['sk-ant-of-the-operator'])
      assert.deepEqual(headers['content-type'], ['application/json'])
      assert.deepEqual(headers['accept-encoding'], ['identity'])
      for (const gone of ['authorization', 'cookie', 'x-forwarded-for', 'host'])
        assert.equal(headers[gone], undefined)
      const versions = list.filter(([key]) => key.toLowerCase() === 'anthropic-version').length
      assert.equal(headers['anthropic-version'].length, Math.max(1, versions))
    }),
  )
})

test('the version is the client’s own, or the default', () => {
  assert.deepEqual(sent([])['anthropic-version'], ['2023-06-01'])
  assert.deepEqual(sent(['Anthropic-Version', '2026-10-21'])['anthropic-version'], ['2026-10-21'])
})

test('unknown headers and betas pass as they are', () => {
  const headers = sent(['anthropic-beta', 'a-1,b-2', 'X-Next-Year', 'ü', 'anthropic-next', '1'])
  assert.deepEqual(headers['anthropic-beta'], ['a-1,b-2'])
  assert.deepEqual(headers['x-next-year'], ['ü'])
  assert.deepEqual(headers['anthropic-next'], ['1'])
})

test("a workspace passes only when it is the account's", () => {
  const raw = ['anthropic-workspace-id', 'wrkspc_1']
  assert.equal(sent(raw)['anthropic-workspace-id'], undefined)
  assert.equal(
    sent(raw, { ...TARGET, workspaceId: 'wrkspc_2' })['anthropic-workspace-id'],
    undefined,
  )
  const own = sent(raw, { ...TARGET, workspaceId: 'wrkspc_1' })
  assert.deepEqual(own['anthropic-workspace-id'], ['wrkspc_1'])
})
