import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { costOf } from '../../src/billing/cost.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import type { DecisionTrail } from '../../src/core/decision-trail.ts'
import { NO_TOKENS, type Usage } from '../../src/core/usage.ts'
import { makeId } from '../store/world.ts'
import { type PrintedReceipt, printedCostMicro } from '../support/printed-cost.ts'
import { NOW_MS } from './support.ts'
import { type Asked, usageWorld } from './usage-world.ts'

const DAY_MS = 86_400_000
const TODAY_MS = Date.UTC(2026, 10, 22)

/** A priced answer with everything that can be on a receipt. */
function priced(seed: number): Asked {
  const random = (n: number) => (seed * 7_919 + n * 104_729) % n
  const tokens = {
    input: random(9_001),
    output: random(4_001),
    cacheRead: random(90_001),
    cacheWrite5m: random(501),
    cacheWrite1h: random(301),
  }
  const usage: Usage = {
    model: ['claude-sonnet-4-6', 'claude-opus-4-6', 'claude-haiku-4-5'][seed % 3],
    tokens,
    iterations: [],
    webSearchRequests: seed % 4,
    speed: null,
    inferenceGeo: seed % 2 === 0 ? 'us' : null,
    serviceTier: seed % 5 === 0 ? 'batch' : null,
    stopReason: 'end_turn',
    hasContent: true,
    anomalies: 0,
  }
  const atMs = NOW_MS - 60_000 - seed
  const markup = (
    [
      [1, 1],
      [6, 5],
      [7, 3],
    ] as const
  )[seed % 3]
  const receipt = costOf(usage, BUILT_IN_PRICES, { atMs, markup })
  return { atMs, model: usage.model, tokens, receipt, costMicro: receipt.costMicro }
}

test('what usage prints is enough to work out every cost anew', async (t) => {
  const w = await usageWorld(t)
  await w.asked(Array.from({ length: 60 }, (_, seed) => priced(seed)))
  const { data } = (await w.json('usage list --all')) as {
    data: readonly (PrintedReceipt & { cost_micro: number })[]
  }
  assert.equal(data.length, 60)
  for (const row of data) assert.equal(printedCostMicro(row), BigInt(row.cost_micro))
  assert.ok(data.some((row) => row.cost_micro > 0 && row.receipt?.markup[0] === 6))
})

test('usage show tells the whole story of a request, and --raw the stored record', async (t) => {
  const w = await usageWorld(t)
  const [spare, main] = ['spare', 'main'].map(
    (name) => w.accounts.find((account) => account.name === name)?.id ?? '',
  )
  const attempt = {
    outcome: 'overloaded',
    httpStatus: 529,
    durationMs: 210,
    upstreamRequestId: null,
  }
  const [id] = await w.asked([
    {
      ...priced(4),
      holdMicro: 90_000,
      holdSteps: [
        { kind: 'opened', amountMicro: 60_000, afterMs: 3, thinRiskMicro: 1_660_000 },
        { kind: 'extended', amountMicro: 90_000, afterMs: 2_900 },
      ],
      attempts: [
        { ...attempt, accountId: spare, listCostMicro: 0 },
        { ...attempt, accountId: main, outcome: 'ok', httpStatus: 200, listCostMicro: 4_000 },
      ],
      onDisconnect: 'finish',
      status: 'interrupted',
      source: 'partial',
    },
  ])
  const shown = await w.ok(`usage show ${id}`)
  for (const part of [
    /Account {4}main, after spare answered 529/,
    /Prices {5}2026-\d\d-\d\d, per million tokens\n {11}claude-opus-4-6: /,
    /× 6\/5 = \$0\.\d{3,6}\n/,
    /Hold {7}opened with \$0\.06 at 3 ms, thin: \$1\.66 more was possible if the cache had been cold\n {11}extended to \$0\.09 at 2\.90 s\n/,
    /Attempts {3}spare answered 529 \(overloaded\) in 210 ms · our list cost \$0\.00/,
    /Left {7}the client left; the answer was read on for as long as it came\n/,
    /Figures {4}partial/,
  ])
    assert.match(shown, part)
  const json = await w.json(`usage show ${id}`)
  assert.deepEqual(
    (json.attempts as { list_cost_micro: number }[]).map((one) => one.list_cost_micro),
    [0, 4_000],
  )
  const raw = JSON.parse(await w.ok(`usage show ${id} --raw`)) as Record<string, unknown>
  assert.equal(raw.requestId, id)
  assert.deepEqual((raw.receipt as { markup: unknown }).markup, [6, 5])
})

test('refunds of a request are on its receipt, and the note of the operator only on his', async (t) => {
  const w = await usageWorld(t)
  const [id, other] = await w.asked([
    { atMs: NOW_MS, costMicro: 5_000 },
    { atMs: NOW_MS + 1, costMicro: 7 },
  ])
  const refund = { requestId: id, amountMicro: 1_200, ref: null, note: 'slow answer' }
  await w.store.refundCharge(
    { ...refund, id: makeId('entry') },
    { actor: 'cli:ann', nowMs: NOW_MS },
  )
  const shown = await w.ok(`usage show ${id}`)
  assert.match(shown, /Refund {5}\$0\.0012 · Sun 22 Nov 12:04 · led_\w+ · slow answer/)
  const { data } = (await w.json('usage list')) as { data: readonly Record<string, unknown>[] }
  assert.deepEqual(
    data.map((row) => [row.request_id, row.refunded_micro, row.cost_micro]),
    [
      [other, 0, 7],
      [id, 1_200, 5_000],
    ],
  )
  assert.ok(!JSON.stringify(data).includes('slow answer'))
})

test('usage summary adds up by day, in a time zone, with a bar per day', async (t) => {
  const w = await usageWorld(t)
  await w.asked([
    { atMs: TODAY_MS - 2 * DAY_MS, costMicro: 1_000_000 },
    { atMs: TODAY_MS - 2 * DAY_MS + 1, costMicro: 3_000_000, key: 'bob/phone' },
    { atMs: TODAY_MS + 60_000, costMicro: 2_000_000, account: 'spare' },
    { atMs: TODAY_MS + 60_001, status: 'rejected', httpStatus: 429, costMicro: 0 },
  ])
  assert.equal(
    await w.ok('usage summary --by day --since 3d --chart'),
    [
      'DATE        REQ  ERR  REFUSED    IN  OUT  CACHE   COST  ',
      '2026-11-20    2    0        0  8.0k  200    75%  $4.00  ████████████████████████',
      '2026-11-21    0    0        0     0    0      –  $0.00',
      '2026-11-22    2    0        1  8.0k  200    75%  $2.00  ████████████  (so far)',
      'total         4    0        1   16k  400    75%  $6.00',
      '',
    ]
      .map((line) => line.trimEnd())
      .join('\n'),
  )
  const json = await w.json('usage summary --by day,user --since 2026-11-20 --tz America/New_York')
  assert.deepEqual(
    (json.rows as Record<string, unknown>[]).map(({ day, user, cost_micro }) => [
      day,
      user,
      cost_micro,
    ]),
    // Midnight of the 20th in UTC is the evening of the 19th there, which was not asked for.
    [['2026-11-21', 'alice', 2_000_000]],
  )
  assert.equal(json.timezone, 'America/New_York')
  const top = await w.json('usage summary --by user --top 1')
  assert.deepEqual(
    (top.rows as Record<string, unknown>[]).map(({ user, requests }) => [user, requests]),
    [
      ['alice', 3],
      ['(others)', 1],
    ],
  )
  assert.deepEqual((top.total as Record<string, unknown>).requests, 4)
  assert.equal(await w.ok('usage summary -q --account spare'), '2000000\n')
})

test('a report of nothing says how to find something', async (t) => {
  const w = await usageWorld(t)
  const none = await w.run('usage summary --user bob --since 2026-11-15')
  assert.equal(none.code, 0)
  assert.equal(
    none.err,
    'No requests since 2026-11-15 match. Widen with --since 30d, or check filters: user=bob.\n',
  )
  assert.equal((await w.run('usage list')).err, 'No requests yet.\n')
  const empty = await w.run('usage export --status 5xx')
  assert.equal(empty.code, 0)
  assert.match(empty.out, /^request_id,created_at,[\w,]+\r\n$/)
  assert.match(empty.err, /check filters: status=5xx/i)
})

test('bad questions about usage are refused in words', async (t) => {
  const w = await usageWorld(t)
  for (const [line, problem] of [
    ['usage summary --by hour,day', /both time/],
    ['usage summary --by user,user', /one or two different/],
    ['usage summary --by user,key,model', /one or two different/],
    ['usage summary --by usr', /Did you mean user/],
    ['usage summary --tz Mars/Olympus', /not a time zone/],
    ['usage summary --top 0', /--top/],
    ['usage list --since 2026-11-02 --until 2026-11-01', /--until is not after --since/],
    ['usage export --format xml', /Use csv, json or ndjson/],
    ['usage export --detail hour', /Use request or day/],
    ['usage export --detail day --rerouted', /--detail day cannot be filtered by --rerouted/],
    ['usage tail --lines 20000', /--lines/],
  ] as const) {
    const ran = await w.run(line)
    assert.equal(ran.code, 2, line)
    assert.match(ran.err, problem)
  }
  const tail = await w.run('usage tail')
  assert.equal(tail.code, 7)
  assert.match(tail.err, /The gateway does not run/)
})

test('an export has a row per request in every format, and the same sums', async (t) => {
  const w = await usageWorld(t)
  await w.asked([
    { ...priced(1), model: '=cmd|calc', clientAgent: '@evil, "quoted"' },
    { ...priced(2), key: 'bob/phone' },
    {
      ...priced(3),
      account: null,
      status: 'rejected',
      httpStatus: 402,
      costMicro: 0,
      receipt: null,
    },
  ])
  const csv = await w.run('usage export')
  const lines = csv.out.split('\r\n')
  assert.equal(lines.length, 5)
  assert.ok(lines[3].includes(`,'=cmd|calc,`), 'no cell begins a formula')
  assert.ok(lines[3].endsWith(`,203.0.113.7,"'@evil, ""quoted"""`))
  assert.match(csv.err, /^Wrote 3 requests, \$0\.\d{6}\.\n$/)
  const objects = (await w.ok('usage export --format ndjson'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  const document = JSON.parse(await w.ok('usage export --json')) as { data: unknown[] }
  assert.deepEqual(document.data, objects)
  assert.deepEqual(
    objects.map((row) => row.request_id),
    ((await w.json('usage list')).data as Record<string, unknown>[])
      .map((row) => row.request_id)
      .reverse(),
    'oldest first',
  )
  assert.equal((await w.ok('usage export --user bob --format ndjson')).split('\n').length, 2)
})

test('an export by day has a row per day and key', async (t) => {
  const w = await usageWorld(t)
  await w.asked([
    { atMs: TODAY_MS - 40 * DAY_MS, costMicro: 1_500_000 },
    { atMs: TODAY_MS, costMicro: 1 },
    { atMs: TODAY_MS + 1, costMicro: 2 },
    { atMs: TODAY_MS + 2, costMicro: 5, key: 'bob/phone' },
  ])
  const rows = (await w.ok('usage export --detail day')).trimEnd().split('\r\n')
  assert.deepEqual(
    rows.map((row) => row.split(',').filter((_, i) => [0, 1, 2, 3, 11, 12].includes(i))),
    [
      ['day', 'user', 'key', 'requests', 'cost_micro', 'cost_usd'],
      ['2026-10-13', 'alice', 'laptop', '1', '1500000', '1.500000'],
      ['2026-11-22', 'bob', 'phone', '1', '5', '0.000005'],
      ['2026-11-22', 'alice', 'laptop', '2', '3', '0.000003'],
    ],
  )
  assert.match(
    await w.ok('usage export --detail day --since 2026-11-01 --format ndjson --user bob'),
    /^\{"object":"usage_day","day":"2026-11-22","user":"bob","key":"phone","requests":1,/,
  )
})

test('a file is written whole or not at all, and never over another without --force', async (t) => {
  const w = await usageWorld(t)
  await w.asked([priced(1)])
  const file = join(w.dir, 'nov.csv')
  assert.match(
    await w.ok('usage export -o nov.csv'),
    /^Wrote nov\.csv: 1 request, \$0\.\d{6} \(\d+ B in 0 ms\)\.\n$/,
  )
  const first = readFileSync(file, 'utf8')
  const again = await w.run('usage export -o nov.csv --json')
  assert.equal(again.code, 4)
  assert.match(again.err, /"code":"file_exists"/)
  await w.ok('usage export --user bob -o nov.csv --force')
  assert.notEqual(readFileSync(file, 'utf8'), first)
  await w.ok('usage export -o packed.gz --gzip')
  assert.equal(gunzipSync(readFileSync(join(w.dir, 'packed.gz'))).toString(), first)
  await w.ok('usage export -o named.csv.gz')
  assert.equal(gunzipSync(readFileSync(join(w.dir, 'named.csv.gz'))).toString(), first)
  const unnamed = await w.run('usage export --gzip -o z.csv')
  assert.match(unnamed.err, /z\.csv will be compressed, and its name does not end with \.gz/)
  const told = await w.json('usage export -o u.json')
  assert.deepEqual([told.object, told.rows, told.format], ['usage_export', 1, 'json'])

  assert.equal((await w.json('usage export -o x.csv')).format, 'csv')
  assert.equal(readFileSync(join(w.dir, 'x.csv'), 'utf8'), first)
  assert.equal((await w.json('usage export -o x.ndjson')).format, 'ndjson')
  assert.equal((await w.json('usage export -o x --format json')).format, 'json')

  writeFileSync(join(w.dir, 'other.csv.partial'), 'of another export')
  assert.match((await w.run('usage export -o other.csv')).err, /another export writes it/)
  assert.equal(readFileSync(join(w.dir, 'other.csv.partial'), 'utf8'), 'of another export')
  const nowhere = await w.run('usage export -o none/x.csv')
  assert.equal(nowhere.code, 1)
  assert.match(nowhere.err, /cannot be written \(ENOENT\)/)
  assert.deepEqual(
    readdirSync(w.dir).filter((name) => name.endsWith('.partial')),
    ['other.csv.partial'],
  )
})

test('no tokens, no cost: a receipt of nothing is printed as such', async (t) => {
  const w = await usageWorld(t)
  const [id] = await w.asked([
    {
      atMs: NOW_MS,
      status: 'rejected',
      httpStatus: 502,
      costMicro: 0,
      tokens: NO_TOKENS,
      source: 'none',
    },
  ])
  const shown = await w.ok(`usage show ${id}`)
  assert.match(shown, /Cost {7}\$0\.00\n/)
  assert.doesNotMatch(shown, /Prices|Hold {3}|Attempts/)
})

test('a receipt of several models has a line for each, with its tokens, and one for the fees', async (t) => {
  const w = await usageWorld(t)
  const tokens = { ...NO_TOKENS, input: 1_204, output: 88 }
  const usage: Usage = {
    model: 'claude-sonnet-4-6',
    tokens,
    iterations: [
      { type: 'message', model: null, tokens, splitUnknown: false },
      {
        type: 'advisor_message',
        model: 'claude-opus-4-6',
        tokens: { ...NO_TOKENS, input: 2_000, output: 10 },
        splitUnknown: false,
      },
    ],
    webSearchRequests: 2,
    speed: null,
    inferenceGeo: null,
    serviceTier: null,
    stopReason: 'end_turn',
    hasContent: true,
    anomalies: 0,
  }
  const receipt = costOf(usage, BUILT_IN_PRICES, { atMs: NOW_MS })
  assert.equal(receipt.lines.length, 2)
  const [id] = await w.asked([{ atMs: NOW_MS, tokens, receipt, costMicro: receipt.costMicro }])
  assert.match(
    await w.ok(`usage show ${id}`),
    /Prices .*\n {11}claude-sonnet-4-6: input 1,204 × \$3\.00 · output 88 × \$15\.00\n {11}claude-opus-4-6: input 2,000 × \$5\.00 · output 10 × \$25\.00\n {11}fees: 2 web searches \$0\.02\n/,
  )
})

test('how a request ended is said in words', async (t) => {
  const w = await usageWorld(t)
  const [main] = w.accounts.filter(({ name }) => name === 'main')
  const attempt = {
    accountId: main.id,
    outcome: 'abandoned',
    httpStatus: 200,
    durationMs: 5,
    upstreamRequestId: null,
    listCostMicro: 1,
  }
  const cut = { status: 'interrupted', source: 'partial', attempts: [attempt] } as const
  const [unpaid, left, elsewhere, joined] = await w.asked([
    { ...cut, atMs: NOW_MS - 4_000, errorCode: 'insufficient_credit' },
    { ...cut, atMs: NOW_MS - 3_000, httpStatus: 499, onDisconnect: 'finish_up_to' },
    { atMs: NOW_MS - 2_000, attempts: [{ ...attempt, httpStatus: 404, outcome: 'forbidden' }] },
    { atMs: NOW_MS - 1_000, joinedRequestId: 'ccr_01jdq9jx7m2e8v4c6h0t5w3b9k', gatewayUs: 4e6 },
  ])
  const show = (id: string) => w.ok(`usage show ${id}`)
  const shown = await show(unpaid)
  assert.match(shown, /Attempts {3}main answered 200 \(stopped: the money for it was used up\) in/)
  assert.match(shown, /Error {6}the credit ended during the answer; .* \(insufficient_credit\)\n/)
  assert.match(await show(left), /main answered 200 \(stopped: the client had left\)/)
  assert.match(await show(left), /Left {7}the client left; the answer was read on for/)
  assert.match(await show(elsewhere), /main answered 404 \(this account has no such model, or may/)
  assert.match(await show(joined), /Time {7}first token 1\.90 s · total 4\.02 s\n/)
  await w.ok(['keys', 'limit', 'alice/laptop', '--on-disconnect', '3s,100tokens'])
  assert.match(
    await show(left),
    /read on for 3\.00 s or for 100 tokens \(on_disconnect is 3s,100tok/,
  )
})

test('a request that failed at its only try tells of it: why, the status, upstream’s id', async (t) => {
  const w = await usageWorld(t)
  const accountId = (await w.store.loadAccounts())[0].account.id
  const attempt = { accountId, durationMs: 40, listCostMicro: 0, upstreamRequestId: null }
  const failed = { status: 'rejected', source: 'none', costMicro: 0, receipt: null } as const
  const proxy = 'no connection (proxy refused: 407)'
  const choice = { because: 'wait', accountId, bound: null, left: null, candidates: [], others: 0 }
  const waits = [1_760, 1_360].map((waitedMs) => ({ ...choice, waitedMs }) as DecisionTrail)
  const [refused, busy] = await w.asked([
    {
      ...failed,
      atMs: NOW_MS - 2_000,
      httpStatus: 503,
      errorCode: 'no_healthy_account',
      attempts: [{ ...attempt, outcome: 'unreachable', httpStatus: null, reason: proxy }],
    },
    {
      ...failed,
      atMs: NOW_MS - 1_000,
      httpStatus: 502,
      errorCode: 'upstream_error',
      trail: waits,
      attempts: [
        {
          ...attempt,
          outcome: 'overloaded',
          httpStatus: 529,
          reason: '529 overloaded_error',
          upstreamRequestId: 'req_1',
        },
      ],
    },
  ])
  assert.match(
    await w.ok(`usage show ${refused}`),
    /Attempts {3}main failed \(no connection: proxy refused: 407\) in 40 ms/,
  )
  const shown = await w.ok(`usage show ${busy}`)
  assert.match(
    shown,
    /main answered 529 \(overloaded: overloaded_error\) in 40 ms · upstream id req_1/,
  )
  assert.match(shown, /in line 3\.12 s · gateway 3\.2 ms/, 'all that it stood in line')
  const json = await w.json(`usage show ${refused}`)
  assert.equal((json.attempts as { reason: string }[])[0].reason, proxy)
  assert.equal((await w.json(`usage show ${busy}`)).gateway_ms, 3.2)
})

test('on a narrow terminal a receipt is broken between words', async (t) => {
  const w = await usageWorld(t)
  const [id] = await w.asked([priced(4)])
  const plain = await w.ok(`usage show ${id}`)
  const narrow = await w.ok(`usage show ${id} --no-color`, { tty: true, columns: 60 })
  assert.ok(narrow.split('\n').every((line) => line.length <= 60))
  const words = (text: string) => text.split(/\s+/).filter((word) => word !== '')
  assert.deepEqual(words(narrow), words(plain))
})

test('requests that used an alias are found by it', async (t) => {
  const w = await usageWorld(t)
  await w.ok('models set claude-opus-4-6 --alias fast --yes')
  const [, id] = await w.asked([
    { atMs: NOW_MS - 1 },
    { atMs: NOW_MS, model: 'claude-opus-4-6', responseModel: 'claude-opus-4-6' },
  ])
  const found = await w.run('usage list -q --model fast')
  assert.equal(found.out, `${id}\n`)
  const told = await w.run('usage list --model fast')
  assert.match(told.err, /fast is an alias: requests are recorded as claude-opus-4-6\./)
})

test('a narrow terminal shows what fits, and a chart that was asked for', async (t) => {
  const w = await usageWorld(t)
  await w.asked([{ atMs: NOW_MS, costMicro: 2_000_000 }])
  const at = async (columns: number, line: string) =>
    (await w.ok(`${line} --no-color`, { tty: true, columns })).split('\n')
  const statusAt = async (columns: number) =>
    (await w.run('status --no-color', { tty: true, columns })).out.split('\n')
  const [head60] = await at(60, 'usage list')
  assert.match(head60, /^TIME.* STATUS +KEY +MODEL +COST$/)
  const [head80, row80] = await at(80, 'usage list')
  assert.match(head80, /^TIME.* STATUS +KEY +COST +ID$/)
  assert.match(row80, / alice\S*…?\S* +\$2\.000000 +ccr_\w{26}$/)
  const chart = await at(60, 'usage summary --by day --chart --since 2d')
  assert.match(chart.join('\n'), / ████████ {2}\(so far\)\n/)
  for (const line of [...chart, ...(await statusAt(60))]) assert.ok(line.length <= 60, line)
})
