// One file, several processes: what holds between daemon, commands and a sudden death.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { truncateSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { openDaemonStore, openStore } from '../../src/store/open.ts'
import type { StoreError } from '../../src/store/store.ts'
import {
  by,
  type Cleanup,
  createWorld,
  makeId,
  newHold,
  open,
  recordOf,
  violationsOf,
} from './world.ts'

/** Starts a role of child.ts; `lines` grows as it speaks. */
function start(t: Cleanup, role: string, path: string, args: object) {
  const file = fileURLToPath(new URL('./child.ts', import.meta.url))
  const child = spawn(process.execPath, [file, role, path, JSON.stringify(args)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => {
    child.kill('SIGKILL')
  })
  const lines: string[] = []
  const reader = createInterface(child.stdout)
  reader.on('line', (line) => lines.push(line))
  // Only when the pipe is empty everything that was said is known.
  const ended = Promise.all([once(child, 'exit'), once(reader, 'close')]).then(([[code]]) => code)
  return { child, lines, reader, ended }
}

test('two processes that grant with the same refs make one entry each', async (t) => {
  const { path, store, userId } = await createWorld(t, 'daemon', { creditMicro: 0 })
  const granters = [1, 2].map(() => start(t, 'grant', path, { userId, times: 15 }))
  for (const granter of granters) assert.equal(await granter.ended, 0)
  const said = granters.flatMap((granter) => granter.lines)
  assert.equal(said.filter((line) => line === 'added').length, 15)
  assert.equal(said.filter((line) => line === 'duplicate').length, 15)
  assert.equal((await store.getWallet(userId))?.balanceMicro, 15_000)
  assert.deepEqual(await violationsOf(store), [])
})

test('while another process keeps the write lock the daemon reads on and loses no write', async (t) => {
  const { path, store: first, ...who } = await createWorld(t, 'local')
  await first.close()
  // Shorter than the lock, so that the writer has to come again.
  const opened = await openDaemonStore({ path, busyTimeoutMs: 100 })
  assert.equal(opened.kind, 'opened')
  if (opened.kind !== 'opened') return
  const { store } = opened
  t.after(() => store.close())
  const locker = start(t, 'lock', path, { ms: 1_000 })
  await once(locker.reader, 'line')
  const holds = Array.from({ length: 20 }, () => newHold(who))
  let answered = 0
  const opening = holds.map(async (hold) => {
    const result = await store.openHold(hold)
    answered += 1
    return result
  })
  let turns = 0
  while (locker.child.exitCode === null) {
    assert.equal((await store.listUsers({})).length, 1)
    turns += 1
    await sleep(10)
    if (turns === 10) assert.equal(answered, 0)
  }
  const results = await Promise.all(opening)
  assert.equal(results.filter((result) => result.kind === 'held').length, 20)
  assert.equal((await store.listOpenHolds()).length, 20)
})

test('a command that cannot get the lock in time says busy and has written nothing', async (t) => {
  const { path, store: first, userId } = await createWorld(t, 'local', { creditMicro: 5 })
  await first.close()
  const locker = start(t, 'lock', path, { ms: 10_000 })
  await once(locker.reader, 'line')
  const opened = await openStore({ path, mode: 'write', busyTimeoutMs: 50 })
  assert.equal(opened.kind, 'opened')
  if (opened.kind !== 'opened') return
  t.after(() => opened.store.close())
  const grant = {
    id: makeId('entry'),
    userId,
    type: 'grant',
    amountMicro: 1,
    ref: null,
    note: null,
  } as const
  await assert.rejects(opened.store.addCredit(grant, by()), { name: 'StoreError', reason: 'busy' })
  assert.equal((await opened.store.getWallet(userId))?.balanceMicro, 5)
})

test('kill -9 loses nothing that was acknowledged, and recovery leaves a clean ledger', async (t) => {
  const {
    path,
    store: first,
    ...who
  } = await createWorld(t, 'local', { creditMicro: 1_000_000_000 })
  await first.close()
  for (let round = 0; round < 2; round++) {
    const bootId = makeId('boot')
    const daemon = start(t, 'serve', path, { userId: who.userId, keyId: who.keyId, bootId })
    while (daemon.lines.length < 200) await once(daemon.reader, 'line')
    await sleep(round * 30)
    daemon.child.kill('SIGKILL')
    await daemon.ended
    const store = await open(t, path, 'daemon')
    const openIds = new Set((await store.listOpenHolds()).map((hold) => hold.requestId))
    const settled = new Set<string>()
    for (const line of daemon.lines) {
      const [what, requestId] = line.split(' ')
      if (what === 'settled') settled.add(requestId)
    }
    assert.ok(settled.size > 50)
    for (const requestId of settled) {
      const usage = await store.getUsage(requestId)
      assert.equal(usage?.kind === 'usage' && usage.costMicro, 7)
    }
    for (const line of daemon.lines) {
      const requestId = line.slice('held '.length)
      if (!line.startsWith('held ') || settled.has(requestId)) continue
      // Acknowledged: still open, or settled without the answer having got out.
      assert.ok(openIds.has(requestId) || (await store.getUsage(requestId)) !== null)
    }
    const { voided } = await store.recoverHolds([bootId], Date.now())
    assert.equal(voided, openIds.size)
    assert.deepEqual(await violationsOf(store), [])
    assert.equal((await store.getWallet(who.userId))?.heldMicro, 0)
    await store.close()
  }
})

test('when the log is gone from under it the daemon store reports it once and writes no more', async (t) => {
  const { path, store: first, userId, ...who } = await createWorld(t, 'local')
  const fatal: StoreError[] = []
  const opened = await openDaemonStore({ path, onFatal: (error) => fatal.push(error) })
  assert.equal(opened.kind, 'opened')
  if (opened.kind !== 'opened') return
  const { store } = opened
  t.after(() => store.close())
  const grant = { userId, type: 'grant', amountMicro: 1, ref: null, note: null } as const
  await first.addCredit({ id: makeId('entry'), ...grant }, by())
  truncateSync(`${path}-wal`, 0)
  const holds = [newHold({ userId, ...who }), newHold({ userId, ...who })]
  const results = await Promise.allSettled(holds.map((hold) => store.openHold(hold)))
  for (const result of results) assert.equal(result.status, 'rejected')
  await assert.rejects(store.openHold(newHold({ userId, ...who })), {
    name: 'StoreError',
    reason: /io|corrupt/,
  })
  await assert.rejects(store.settleHold(recordOf(holds[0])), { name: 'StoreError' })
  assert.equal(fatal.length, 1)
  assert.match(fatal[0].reason, /^(io|corrupt)$/)
})
