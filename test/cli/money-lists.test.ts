import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NOW_MS } from './support.ts'
import { usageWorld } from './usage-world.ts'

test('one user’s spending reads the same in every list, and a balance is exact where it stands alone', async (t) => {
  const world = await usageWorld(t)
  await world.asked([{ atMs: NOW_MS - 60_000, costMicro: 305_812 }])
  for (const line of [
    'keys list',
    'users list',
    'credit show',
    'users show alice',
    'keys show alice/laptop',
  ])
    assert.match(await world.ok(line), /\$0\.31\b/, line)
  await world.asked([{ atMs: NOW_MS - 60_000, costMicro: 4_812, key: 'bob/phone' }])
  for (const line of ['keys list', 'users list', 'credit show', 'users show bob'])
    assert.match(await world.ok(line), /\$0\.004812/, line)
  assert.match(await world.ok('accounts list'), /\$0\.31\b/)
  const micro = Number(await world.ok('credit show alice -q')) + 35_540
  const adjust = ['credit', 'adjust', 'alice', `-${micro}micro`, '--note', 'x']
  await world.ok([...adjust, '--allow-negative', '--yes'])
  assert.match(await world.ok('users list'), /alice .* -\$0\.04 /)
  assert.match(await world.ok('credit show'), /alice .* -\$0\.04 !/)
  const exact = /-\$0\.03554\b/
  assert.match(await world.ok('users show alice'), exact)
  assert.match(await world.ok('keys show alice/laptop'), exact)
})
