// Several processes grant at the same time, beside a daemon that spends.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openDaemonStore } from '../../src/store/open.ts'
import { makeId, newHold, recordOf } from '../store/world.ts'
import { cliWorld } from './support.ts'

const GRANTER = fileURLToPath(new URL('./granter.ts', import.meta.url))

interface Answer {
  readonly id: string
  readonly duplicate: boolean
}

/** Starts a process that has loaded everything; `go` lets it run its lines and gives their answers. */
async function granter(t: TestContext, configFile: string, lines: readonly string[]) {
  const child = spawn(process.execPath, [...process.execArgv, GRANTER, configFile, ...lines], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  const out: string[] = []
  const reader = createInterface(child.stdout)
  reader.on('line', (line) => out.push(line))
  const ended = Promise.all([once(child, 'exit'), once(reader, 'close')])
  await once(reader, 'line')
  return async (): Promise<readonly Answer[]> => {
    child.stdin.end('go\n')
    const [[code]] = await ended
    assert.equal(code, 0)
    return out.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Answer)
  }
}

test('20 grants and one reference used by all, beside a daemon that spends, add up exactly', async (t) => {
  const cli = cliWorld(t)
  await cli.init()
  await cli.ok('keys create alice/laptop --create-user --credit 1')
  const key = await cli.json('keys show alice/laptop')
  const processes = await Promise.all(
    Array.from({ length: 4 }, (_, i) =>
      granter(t, cli.configFile, [
        ...Array.from({ length: 5 }, (_, j) => `credit grant alice 1.25 --ref r-${i}-${j} --json`),
        'credit grant alice 7 --ref same --json',
      ]),
    ),
  )
  const opened = await openDaemonStore({ path: cli.databaseFile })
  assert.ok(opened.kind === 'opened')
  const { store } = opened
  t.after(() => store.close())
  const who = { userId: String(key.user_id), keyId: String(key.id), bootId: makeId('boot') }
  let isOver = false
  let spent = 0
  const spend = async () => {
    while (!isOver) {
      const hold = newHold(who)
      assert.equal((await store.openHold(hold)).kind, 'held')
      assert.equal((await store.settleHold(recordOf(hold, { costMicro: 7 }))).kind, 'closed')
      spent += 1
    }
  }
  const spenders = Array.from({ length: 4 }, spend)
  const answers = (await Promise.all(processes.map((go) => go()))).flat()
  isOver = true
  await Promise.all(spenders)

  assert.equal(answers.length, 24)
  assert.equal(answers.filter(({ duplicate }) => duplicate).length, 3)
  assert.equal(new Set(answers.map(({ id }) => id)).size, 21)
  assert.ok(spent > 0)
  const wallet = await store.getWallet(who.userId)
  assert.equal(wallet?.balanceMicro, 1_000_000 + 20 * 1_250_000 + 7_000_000 - spent * 7)
  assert.equal(wallet?.heldMicro, 0)
  assert.deepEqual((await store.checkLedger(Date.now())).violations, [])
  assert.deepEqual((await store.checkWallet(who.userId, Date.now()))?.violations, [])
})
