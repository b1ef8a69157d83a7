import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { ulidTime } from '../../src/core/ids.ts'
import { cleanEnvironment, ROOT, start } from '../e2e/processes.ts'
import { NOW_MS } from './support.ts'
import { type Asked, usageWorld } from './usage-world.ts'

const MAIN = join(ROOT, 'src', 'main.ts')
const ROWS = 60_000

/** A request with a receipt of the usual size. */
const ASKED: Asked = {
  atMs: NOW_MS,
  receipt: {
    priceVersion: '2026-11-22',
    lines: [
      {
        model: 'claude-sonnet-4-6',
        tier: 'standard',
        tokens: { input: 1_000, output: 160, cacheRead: 0, cacheWrite5m: 0, cacheWrite1h: 0 },
        rates: {
          input: 3_000_000,
          output: 15_000_000,
          cacheRead: 0,
          cacheWrite5m: 0,
          cacheWrite1h: 0,
        },
        note: null,
      },
    ],
    ratio: [1, 1],
    webSearchRequests: 0,
    feesMicro: 0,
    costMicro: 5_400,
  },
}

type World = Awaited<ReturnType<typeof usageWorld>>

/** A command in a process of its own, against that world's database. */
function ccgate(t: TestContext, w: World, line: string, nodeOptions: readonly string[] = []) {
  const argv = [...nodeOptions, '--import', 'tsx', MAIN, ...line.split(' ')]
  return start(t, process.execPath, argv, {
    cwd: ROOT,
    env: { ...cleanEnvironment(w.dir), CCGATE_CONFIG: w.configFile },
  })
}

/** Repeats the one row of details, an id apart: what the roll-ups count is not looked at here. */
function multiply(w: World): void {
  const db = new Sqlite(w.databaseFile)
  const columns = db
    .prepare(
      "SELECT group_concat(name) FROM pragma_table_info('usage') WHERE name NOT IN ('seq', 'request_id')",
    )
    .pluck()
    .get() as string
  db.prepare(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
     INSERT INTO usage (request_id, ${columns})
     SELECT ? || printf('%016d', i), ${columns} FROM n, usage`,
  ).run(ROWS - 1, `ccr_${ulidTime(NOW_MS + 1)}`)
  db.close()
}

test('an export needs no more memory for many rows than for few', async (t) => {
  const w = await usageWorld(t)
  await w.asked([ASKED])
  multiply(w)
  // Room for the program and a few pages of rows: all rows at once need several times as much.
  const narrow = ['--max-old-space-size=48', '--max-semi-space-size=2']
  for (const [format, bytes] of [
    ['csv', 15_000_000],
    ['json', 60_000_000],
  ] as const) {
    const file = join(w.dir, `all.${format}`)
    const line = `usage export --format ${format} --quiet -o ${file}`
    const ended = await ccgate(t, w, line, narrow).ended
    assert.equal(ended.code, 0, ended.err)
    assert.ok(statSync(file).size > bytes, `${statSync(file).size} bytes`)
  }
  assert.equal(readFileSync(join(w.dir, 'all.csv'), 'utf8').split('\r\n').length, ROWS + 2)
  const atOnce = await ccgate(t, w, 'usage list --all --quiet', narrow).ended
  assert.notEqual(atOnce.code, 0, 'all rows at once do not fit')
})

test('Ctrl-C in the middle of an export leaves no file behind and says so', async (t) => {
  const w = await usageWorld(t)
  await w.asked([ASKED])
  multiply(w)
  const file = join(w.dir, 'all.json')
  const run = ccgate(t, w, `usage export --format json -o ${file}`)
  while (!existsSync(`${file}.partial`)) await new Promise((resolve) => setTimeout(resolve, 5))
  run.child.kill('SIGINT')
  const { code, err } = await run.ended
  assert.equal(code, 130, err)
  assert.match(err, /Interrupted\. .*all\.json was not written/)
  assert.ok(!existsSync(file) && !existsSync(`${file}.partial`))
})

test('usage tail prints what was, then what comes, in the order of ending; Ctrl-C ends it well', async (t) => {
  const w = await usageWorld(t)
  const nowMs = Date.now()
  const boot = {
    id: 'boot_1',
    pid: process.pid,
    pidStartedAt: null,
    pidSpace: null,
    version: '0.1.0',
    listen: '127.0.0.1:1',
    publicUrl: 'http://127.0.0.1:1',
    demo: false,
    startedAtMs: nowMs,
    heartbeatAtMs: nowMs,
    state: 'serving',
  } as const
  await w.store.addBoot(boot)
  const before = await w.asked([1, 2, 3, 4].map((i) => ({ ...ASKED, atMs: nowMs - 60_000 + i })))
  const people = ccgate(t, w, 'usage tail --lines 2')
  const bob = ccgate(t, w, 'usage tail --user bob --json')
  const count = (out: string, n: number) => (out.split('\n').length > n ? out : null)
  await people.until((out) => count(out, 3))
  // The younger one ends first, the older one a little later: neither is missed.
  const [younger] = await w.asked([{ ...ASKED, atMs: nowMs }])
  await people.until((out) => count(out, 4))
  const [older] = await w.asked([{ ...ASKED, atMs: nowMs - 120_000 }])
  const [bobs] = await w.asked([{ ...ASKED, atMs: nowMs + 1, key: 'bob/phone' }])
  const lines = (await people.until((out) => count(out, 6))).trimEnd().split('\n')
  assert.match(lines[0], /^TIME \(UTC\) +STATUS +KEY +MODEL +ACCOUNT +IN +OUT +COST +ID$/)
  assert.deepEqual(
    lines.slice(1).map((line) => line.split(' ').at(-1)),
    [...before.slice(2), younger, older, bobs],
  )
  const one = await bob.until((out) => count(out, 1))
  assert.equal((JSON.parse(one) as { request_id: string }).request_id, bobs)
  for (const run of [people, bob]) {
    run.child.kill('SIGINT')
    assert.equal((await run.ended).code, 0)
  }
})
