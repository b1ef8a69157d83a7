import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NOTICE_KINDS } from '../../src/core/account-notices.ts'
import { NOW_MS } from './support.ts'
import { usageWorld } from './usage-world.ts'

/** The codes of what stands under Attention. */
async function attention(world: Awaited<ReturnType<typeof usageWorld>>): Promise<string[]> {
  const { out } = await world.run('status --json')
  const found = JSON.parse(out) as { attention: { code: string; message: string }[] }
  return found.attention.filter(({ code }) => code !== 'daemon_down').map(({ code }) => code)
}

test('an account at its cap says so everywhere, until somebody raises the cap', async (t) => {
  const world = await usageWorld(t)
  await world.asked([{ atMs: NOW_MS - 3_600_000, costMicro: 120_000 }])
  await world.ok('accounts update main --day-cap 0.06 --month-cap 5')
  assert.match(await world.ok('accounts list'), /◐ full +main .*cap \$0\.06\/day, 11 h 55 min left/)
  const shown = await world.ok('accounts show main')
  assert.match(shown, /^Cap {7}\$0\.06\/day, \$0\.12 used at list prices, resets 00:00 UTC/m)
  assert.match(shown, /^Cap {7}\$5\.00\/month, \$0\.12 used .* resets 2026-12-01 00:00 UTC/m)
  assert.match(shown, /^Today .* \$0\.12 charged to users/m)
  const { state, caps } = await world.json('accounts show main')
  assert.equal(state, 'capped')
  assert.deepEqual((caps as unknown[])[0], {
    period: 'day',
    cap_micro: 60_000,
    used_list_cost_micro: 120_000,
    reached: true,
    resets_at: '2026-11-23T00:00:00.000Z',
  })
  const { data } = await world.json('accounts list --state full')
  assert.deepEqual(
    (data as { name: string }[]).map(({ name }) => name),
    ['main'],
  )
  const { out } = await world.run('status')
  assert.match(
    out,
    /Attention .*main is at its cap of \$0\.06\/day until 00:00 UTC: ccgate accounts update main --day-cap …/,
  )
  assert.match((await world.run('accounts disable spare')).err, /No healthy account is left/)
  assert.deepEqual(await attention(world), ['no_healthy_account', 'account_capped'])
  await world.ok('accounts update main --day-cap 1')
  assert.deepEqual(await attention(world), [])
  assert.equal((await world.json('accounts show main')).state, 'healthy')
})

test('a request that did not fit is news until the cap changes; use elsewhere until the key does', async (t) => {
  const world = await usageWorld(t)
  await world.ok('accounts update main --day-cap 0.01')
  const id = world.accounts.find(({ name }) => name === 'main')?.id ?? ''
  const event = (kind: string, message: string, agoMs: number) => ({
    accountId: id,
    atMs: NOW_MS + 60_000 - agoMs,
    kind,
    message,
    requestId: null,
  })
  const used = 'its key is used elsewhere too (about 40 requests)'
  await world.store.saveHealth(
    [],
    [event(NOTICE_KINDS.cap, 'did not fit', 1_000), event(NOTICE_KINDS.foreignUse, used, 2_000)],
  )
  assert.deepEqual(await attention(world), ['account_capped', 'credential_used_elsewhere'])
  assert.match((await world.run('status')).out, /main: its key is used elsewhere too \(about 40/)
  const shown = await world.ok('accounts show main --events 5')
  assert.match(shown, /^Warning {3}its key is used elsewhere too .*: ccgate accounts rotate main$/m)
  assert.match(shown, /credential_used_elsewhere/)
  const record = await world.json('accounts show main')
  assert.equal((record.credential_used_elsewhere as { message: string }).message, used)

  const later = { actor: 'cli:ann', nowMs: NOW_MS + 120_000 }
  await world.store.updateAccount(id, { dayCapMicro: 50_000 }, later)
  assert.deepEqual(await attention(world), ['credential_used_elsewhere'])
  const credential = { sealed: new Uint8Array(8), last4: 'abcd', fingerprint: '012345' }
  await world.store.rotateCredential(id, credential, later)
  assert.deepEqual(await attention(world), [])
})

test('use elsewhere is no news after a day', async (t) => {
  const world = await usageWorld(t)
  const [{ id: accountId }] = world.accounts
  const message = 'its key is used elsewhere too (about 9 requests)'
  const atMs = NOW_MS - 25 * 3_600_000
  const kind = NOTICE_KINDS.foreignUse
  await world.store.saveHealth([], [{ accountId, atMs, kind, message, requestId: null }])
  assert.deepEqual(await attention(world), [])
})
