import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import type { Boot } from '../../src/core/model.ts'
import { isDead, ownProcess } from '../../src/daemon/process-id.ts'

const NOW = Date.UTC(2026, 10, 22)
const SILENT = NOW - 30_001

function boot(more: Partial<Boot> = {}): Boot {
  return {
    id: 'boot_1',
    ...ownProcess(),
    version: '1',
    listen: '127.0.0.1:8787',
    publicUrl: 'http://127.0.0.1:8787',
    demo: false,
    startedAtMs: NOW,
    heartbeatAtMs: NOW,
    state: 'serving',
    ...more,
  }
}

const hasProc = existsSync('/proc/self/ns/pid') && existsSync('/proc/sys/kernel/random/boot_id')
const needsProc = hasProc ? false : 'this system has no /proc'

test('a boot of this process lives, however long it has been silent', () => {
  assert.equal(isDead(boot(), NOW), false)
  assert.equal(isDead(boot({ heartbeatAtMs: SILENT }), NOW), false)
})

test('a boot that said it stopped is dead', () => {
  assert.equal(isDead(boot({ state: 'stopped' }), NOW), true)
  assert.equal(isDead(boot({ state: 'draining' }), NOW), false)
})

test('a later process with the same pid is not the boot', { skip: needsProc }, () => {
  assert.equal(isDead(boot({ pidStartedAt: '1' }), NOW), true)
})

test('a process that ended is dead at once, and one that runs is not', {
  skip: needsProc,
}, async (t) => {
  const child = spawn('sleep', ['30'])
  t.after(() => child.kill('SIGKILL'))
  await new Promise((resolve) => child.once('spawn', resolve))
  const pid = child.pid ?? 0
  const other = boot({ pid, pidStartedAt: null, heartbeatAtMs: NOW })
  assert.equal(isDead(other, NOW), false)
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
  assert.equal(isDead(other, NOW), true)
})

test('a zombie has ended, though its pid is still taken', { skip: needsProc }, async (t) => {
  // The shell becomes `sleep`, which never asks after the child it inherits.
  const parent = spawn('sh', ['-c', 'sleep 0.1 & echo $!; exec sleep 30'])
  t.after(() => parent.kill('SIGKILL'))
  const pid = await new Promise<number>((resolve) => {
    parent.stdout.once('data', (chunk: Buffer) => resolve(Number(String(chunk).trim())))
  })
  const zombie = boot({ pid, pidStartedAt: null })
  for (let i = 0; i < 200 && !isDead(zombie, NOW); i++)
    await new Promise((resolve) => setTimeout(resolve, 10))
  assert.equal(isDead(zombie, NOW), true)
  assert.ok(existsSync(`/proc/${pid}/stat`), 'it was still there')
})

test('where a pid means nothing here, only a long silence proves death', {
  skip: needsProc,
}, () => {
  const [machine] = String(ownProcess().pidSpace).split(' ')
  const elsewhere = [
    { pidSpace: `other-machine-boot pid:[1]`, pidStartedAt: '1' },
    { pidSpace: `${machine} pid:[1]`, pidStartedAt: '1' },
    { pidSpace: null, pidStartedAt: '1' },
  ]
  for (const place of elsewhere) {
    assert.equal(isDead(boot({ ...place, heartbeatAtMs: NOW }), NOW), false, String(place.pidSpace))
    assert.equal(
      isDead(boot({ ...place, heartbeatAtMs: SILENT }), NOW),
      true,
      String(place.pidSpace),
    )
  }
})

test('what tells this process apart stays the same', () => {
  assert.deepEqual(ownProcess(), ownProcess())
  assert.equal(ownProcess().pid, process.pid)
  if (hasProc) assert.match(String(ownProcess().pidStartedAt), /^\d+$/)
})
