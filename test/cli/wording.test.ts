import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import type { HealthRow } from '../../src/core/model.ts'
import { cliWorld, NOW_MS } from './support.ts'
import { usageWorld } from './usage-world.ts'

const MINUTE_MS = 60_000

test('a rest that only a probe ends says so, one that a person set shows no step', async (t) => {
  const world = await usageWorld(t)
  const accountId = world.accounts.find(({ name }) => name === 'main')?.id ?? ''
  const row: HealthRow = {
    accountId,
    modelClass: '',
    state: 'unauthorized',
    reason: '401 authentication_error',
    httpStatus: 401,
    upstreamRequestId: null,
    sinceMs: NOW_MS,
    untilMs: null,
    step: 0,
    credentialVersion: 1,
  }
  for (const state of ['unauthorized', 'out_of_credit'] as const) {
    await world.store.saveHealth([{ ...row, state }], [])
    assert.match(await world.ok('accounts show main'), /^Rest .* · until a free probe succeeds$/m)
    assert.match(await world.ok('accounts cooldown'), /until a free probe succeeds/)
  }
  await world.store.saveHealth([{ ...row, state: 'disabled_upstream' }], [])
  assert.match(await world.ok('accounts show main'), /^Rest .* · until cleared$/m)
  await world.ok('accounts cooldown set spare --for 10h')
  const cleared = await world.ok('accounts cooldown clear spare')
  assert.match(cleared, /^spare: cooldown ended \(9 h 59 min were left\)\. /)
})

test('what upstream says of its limits is marked once they have reset, and so is a scope that it contradicts', async (t) => {
  const world = await usageWorld(t)
  const ids = new Map(world.accounts.map(({ name, id }) => [name, id]))
  for (const [name, minutesAgo] of [
    ['main', 2],
    ['spare', 0],
  ] as const) {
    await world.store.saveHeadroom([
      {
        accountId: ids.get(name) ?? '',
        requestsLimit: 50,
        requestsRemaining: 0,
        inputTokensLimit: null,
        inputTokensRemaining: null,
        outputTokensLimit: null,
        outputTokensRemaining: null,
        resetAtMs: NOW_MS + (1 - minutesAgo) * MINUTE_MS,
        organizationId: 'org',
        workspaceId: `wrkspc_${name}`,
        updatedAtMs: NOW_MS - minutesAgo * MINUTE_MS,
      },
    ])
  }
  for (const name of ids.keys()) await world.ok(`accounts update ${name} --cache-scope research`)
  assert.match(await world.ok('accounts show main'), /^Headroom .* as of 2 min ago, reset since$/m)
  assert.doesNotMatch(await world.ok('accounts show spare'), /reset since/)
  const shown = (await world.ok('accounts show main')) + (await world.ok('accounts show spare'))
  assert.match(shown, /^Cache {5}not shared with accounts of scope research: is in workspace/m)
})

test('counts are told in the right number, with thousands, and below zero is told as such', async (t) => {
  const world = await usageWorld(t)
  const made = await world.run('keys create alice/ci --rpm 1')
  assert.match(made.err, /Key alice\/ci, 1 request\/min,/)
  await world.ok('accounts update main --rpm 1000000')
  assert.match(await world.ok('accounts show main'), /^Limits {4}1,000,000\/min/m)
  assert.match((await world.run('keys limit alice/ci --rpm -1')).err, /"-1" is below zero/)
  const closed = await world.ok('accounts update main --hours 01:00-02:00')
  assert.match(closed, /hours always → 01:00-02:00/)
})

test('an address that is wrong is named by where it was given', async (t) => {
  const world = cliWorld(t)
  await world.init()
  const listen = await world.run('serve --check --listen nonsense')
  assert.match(listen.err, /^ccgate: --listen: "nonsense" .*\nSee: ccgate help serve$/m)
  assert.equal(listen.code, 2)
  assert.doesNotMatch(listen.err, /listen: +listen:|--listen +listen/)
  const env = {
    K: 'sk-ant-api03-canary-main-Xk4A',
    CCGATE_UPSTREAM__BASE_URL: 'http://127.0.0.1:9',
  }
  const add = await world.run('accounts add main --no-test --key-env K', { env })
  assert.match(add.err, /^ccgate: upstream\.base_url of the config: /m)
  const given = 'accounts add main --no-test --key-env K --base-url http://127.0.0.1:9'
  assert.match((await world.run(given, { env })).err, /^ccgate: --base-url: /m)
  const unknown = await world.run('config path', { env: { CCGATE_ROUTING__FOO: '1' } })
  assert.match(unknown.err, /Unknown in the environment: CCGATE_ROUTING__FOO$/m)
})

test('hours without --since are those of one day', async (t) => {
  const world = await usageWorld(t)
  await world.asked([{ atMs: NOW_MS - MINUTE_MS, costMicro: 120_000 }])
  const { since, until } = await world.json('usage summary --by hour')
  const hours = (Date.parse(String(until)) - Date.parse(String(since))) / 3_600_000
  assert.ok(hours > 22 && hours <= 24, `${hours} h`)
})

test('a script for an account that can never be called so is told of before the sandbox listens', async (t) => {
  const world = cliWorld(t)
  const file = join(world.dir, 'script.yaml')
  writeFileSync(file, '- match: { account: red_org_acme }\n  fault: status=529\n')
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => taken.once('listening', resolve))
  t.after(() => taken.close())
  const at = taken.address()
  const port = typeof at === 'object' ? at?.port : 0
  const ran = await world.run(`sandbox --port ${port} --script ${file}`)
  assert.match(ran.err, /^! Rule 1 never fits: the account is called red, not red_org_acme\.$/m)

  // The same taken port ends a demo, which leaves nothing of itself in the folder that it was to keep.
  const kept = join(world.dir, 'kept')
  mkdirSync(kept)
  const demo = await world.run(`demo --once --port ${port} --keep ${kept}`)
  assert.match(demo.err, new RegExp(`^ccgate: .*${port}`))
  assert.doesNotMatch(demo.err, /Kept in/)
  assert.deepEqual(readdirSync(kept), [])
})
