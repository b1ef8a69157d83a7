import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { costOf } from '../../src/billing/cost.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import { ulidTime } from '../../src/core/ids.ts'
import type { UsageRecord } from '../../src/core/model.ts'
import type { Usage } from '../../src/core/usage.ts'
import { openStore } from '../../src/store/open.ts'
import { cliWorld, NOW_MS } from './support.ts'

const GOLDEN = new URL('../golden/cli/walk.txt', import.meta.url)
const KEY_OPTIONS = { env: { UPSTREAM_KEY: 'sk-ant-api03-canary-main-Xk4A' } }
const REQUEST_MS = NOW_MS + 30_000
const REQUEST = `ccr_${ulidTime(REQUEST_MS)}2e8v4c6h0t5w3b9k`

/** What differs from run to run is replaced by its kind. */
function stable(text: string, dir: string): string {
  return (
    text
      .replaceAll(dir, '<dir>')
      .replace(/cc_user_[0-9A-Za-z]{38}/g, 'cc_user_<secret>')
      .replace(/\b(usr|key|acct|led)_[0-9a-z]{26}\b/g, '$1_<id>')
      .replace(/cc_user_…\w{4}/g, 'cc_user_…last')
      .replace(/\b(grant|adjust|refund)-[0-9a-z]{12}\b/g, '$1-<ref>')
      .replace(/\d+ kB, \d+% free/g, '<size> kB, <n>% free')
      .replace(/"bytes":\d+,"free_ratio":[\d.]+/g, '"bytes":<n>,"free_ratio":<n>')
      // Widths of columns follow the replaced texts.
      .replace(/ {2,}/g, '  ')
      .replace(/ +$/gm, '')
  )
}

test('a walk through the commands prints what it printed before', async (t) => {
  const world = cliWorld(t)
  const shown: string[] = []
  async function show(line: string | readonly string[], options = {}): Promise<void> {
    const words =
      typeof line === 'string'
        ? line
        : line.map((word) => (/[\s"*]/.test(word) ? `'${word}'` : word)).join(' ')
    const ran = await world.run(line, options)
    const err = ran.err.replace(/^(?=.)/gm, '2> ')
    shown.push(
      `$ ccgate ${words.replaceAll('\x1b', '^[')}\n${ran.out}${err}${ran.code === 0 ? '' : `(exit ${ran.code})\n`}`,
    )
  }

  await show('status')
  await show('init --dir home --public-url https://api.example.com')
  await show('init --dir home')
  await show('init --dir home --json')
  await show('status')
  await show('accounts list')
  await show(
    'accounts add main --key-env UPSTREAM_KEY --no-test --rpm 50 --note first',
    KEY_OPTIONS,
  )
  await show(
    'accounts add spare --key-env UPSTREAM_KEY --no-test --priority 2 --disabled --json',
    KEY_OPTIONS,
  )
  await show('accounts add main --key-env UPSTREAM_KEY --no-test', KEY_OPTIONS)
  await show('accounts add main --key-env UPSTREAM_KEY --no-test --if-not-exists -q', KEY_OPTIONS)
  await show('accounts enable spare')
  await show('accounts enable spare')
  await show(['accounts', 'disable', 'spare', '--reason', 'billing check'])
  await show('accounts cooldown')
  await show('accounts cooldown set main --for 10m')
  await show('accounts cooldown')
  await show('accounts list')
  await show('accounts cooldown clear --all')
  await show('accounts show spare')
  await show('users list')
  await show(['users', 'create', 'bob', '--email', 'bob@example.com', '--note', 'a\x1b[31mred'])
  await show('users create bob')
  await show('users create bob --if-not-exists --json')
  await show('keys create alice/laptop --create-user --credit 25 --rpm 60')
  await show('keys create alice/phone --env --models claude-haiku-* --expires 30d')
  await show('keys create alice/ci --json --note robot')
  await show('keys create carol/x')
  await show('keys create alice/laptop')
  await show('keys list --user alice')
  await show('keys show alice/laptop')
  await show('keys limit alice/laptop --rpm 120 --concurrency none')
  await show('keys limit alice/laptop --rpm 120 --json')
  await show('keys revoke alice/ci --yes --reason gone')
  await show('keys revoke alice/ci --yes')
  await show('keys revoke alice/ci alice/none --if-exists --yes')
  await show('keys list --status active')
  await show([
    'credit',
    'grant',
    'alice',
    '162.44',
    '--note',
    'bank transfer 118',
    '--ref',
    'bank-118',
  ])
  await show([
    'credit',
    'grant',
    'alice',
    '162.44',
    '--note',
    'bank transfer 118',
    '--ref',
    'bank-118',
    '--json',
  ])
  await show('credit grant alice 1 --ref bank-118')
  await show('credit grant alice 1500')
  await show('credit grant bob 2 -q --ref r2')
  await show(['credit', 'adjust', 'bob', '-0.50', '--note', 'double', '--yes'])
  await show(['credit', 'adjust', 'bob', '-9', '--note', 'double', '--yes'])
  await show('credit adjust bob 1')

  await record(
    world.databaseFile,
    await world.json('keys show alice/laptop'),
    await world.json('accounts show main'),
  )
  await show('usage list')
  await show('usage list --json')
  await show('usage list --status 5xx')
  await show(`usage show ${REQUEST}`)
  await show(`usage show ${REQUEST.slice(0, 18)} --json`)
  await show('usage show req_011CSaP2')
  await show('usage show ccr_01zzzzzzzz')
  await show('usage summary --by day,model --since 7d --chart')
  await show('usage summary --by user --json')
  await show('usage export')
  await show('usage tail')
  await show(['credit', 'refund', REQUEST, '0.01', '--note', 'cut', '--ref', 't-77', '--yes'])
  await show(`credit refund ${REQUEST} --yes --json`)
  await show(`credit refund ${REQUEST} --yes`)
  await show('credit reconcile')
  await show('credit reconcile --user alice --json')
  await show('keys limit alice/laptop --spend-limit 200/month --burn-limit 2 --markup 1.2')
  await show('keys limit alice/laptop --spend-limit 200/month --on-disconnect 30s --json')
  await show('keys limit alice/laptop --spend-limit 200')
  await show('keys show alice/laptop')
  await show('accounts update main --day-cap 50 --priority 2')
  await show('accounts update main --day-cap 50 --json')
  await show('users update bob --low-balance 20 --email none')
  await show('credit show')
  await show('credit show alice --json')
  await show('credit show alice -q')
  await show('credit history alice')
  await show('credit history alice --group day')
  await show('users suspend bob')
  await show('users suspend bob --reason unpaid --yes')
  await show('users resume bob --json')
  await show('users delete bob')
  await show('users delete bob --forfeit')
  await show('users delete bob --forfeit --dry-run')
  await show('users delete bob --forfeit --confirm bob')
  await show('users list')
  await show('users show alice')
  await show('keys list')
  await show('status')
  await show('models show claude-sonnet-4-6')
  await show('models show claude-sonet-4-6')
  await show('config check')
  await show('config print --changed')
  await show('config path')
  await show('config explain upstream.timeouts.connect')
  await show([
    'accounts',
    'update',
    'main',
    '--tag',
    'fast,eu',
    '--tpm',
    '400k',
    '--cache-scope',
    'research',
    '--hours',
    'Mon-Fri 8:00-18:00',
    '--proxy',
    'socks5h://proxy.example.com',
  ])
  await show('accounts list')
  await show('accounts list --state closed -q')
  await show('accounts show main')
  await show('accounts show main --json')
  await show('accounts cooldown clear main')
  await show('accounts update main --proxy http://anna:secret@proxy.example.com')
  await show('accounts update main --hours 24/7')
  await show('accounts update main --tag EU')
  await show('accounts update main --tag none --tpm none --cache-scope none --hours none')
  await show('accounts update main --proxy none --json')
  await show('keys limit alice/phone --account-tag eu,us')
  await show('keys show alice/phone')
  await show('keys limit alice/phone --account-tag any --json')
  await show('accounts remove spare --yes')
  await show('accounts remove main --yes')
  await show('accounts remove main --confirm main')
  await show('db check')
  await show('db check --json')
  await show('keys create')
  await show('key list')
  await show('keys lsit')
  await show('keys list --usr alice')
  await show('keys list --user')
  await show('users show alice bob')
  await show('usage list --since 11/22/26')
  await show('help keys revoke')
  await show('help')

  const text = stable(`${shown.join('\n')}`, world.dir)
  assert.doesNotMatch(text, /\x1b/, 'no escape sequence reaches a pipe')
  assert.doesNotMatch(text, /sk-ant-api03/, 'no credential is printed')
  assert.doesNotMatch(
    text.replace(/^\$ .*$/gm, ''),
    /anna|secret@/,
    'no login of a proxy is printed',
  )
  if (process.env.UPDATE_GOLDEN === '1' || !existsSync(GOLDEN)) writeFileSync(GOLDEN, text)
  assert.equal(text, readFileSync(GOLDEN, 'utf8'))
})

/** Writes one finished request as the daemon would. */
async function record(
  databaseFile: string,
  key: Record<string, unknown>,
  account: Record<string, unknown>,
): Promise<void> {
  const opened = await openStore({
    path: databaseFile,
    mode: 'write',
    nowMs: () => REQUEST_MS + 4_020,
  })
  assert.ok(opened.kind === 'opened')
  const { store } = opened
  const ids = { userId: String(key.user_id), keyId: String(key.id), accountId: String(account.id) }
  const tokens = { input: 7_904, output: 377, cacheRead: 1_001, cacheWrite5m: 0, cacheWrite1h: 0 }
  const usage: Usage = {
    model: 'claude-sonnet-4-6',
    tokens,
    iterations: [],
    webSearchRequests: 1,
    speed: null,
    inferenceGeo: null,
    serviceTier: null,
    stopReason: 'end_turn',
    hasContent: true,
    anomalies: 0,
  }
  const createdAtMs = REQUEST_MS
  const receipt = costOf(usage, BUILT_IN_PRICES, { atMs: createdAtMs })
  const bootId = 'boot_01jdq9jx7m2e8v4c6h0t5w3b9k'
  await store.addBoot({
    id: bootId,
    pid: 4_121,
    pidStartedAt: null,
    pidSpace: null,
    version: '0.1.0',
    listen: '127.0.0.1:8787',
    publicUrl: 'https://api.example.com',
    demo: false,
    startedAtMs: NOW_MS - 100_000,
    heartbeatAtMs: NOW_MS - 60_000,
    state: 'serving',
  })
  await store.heartbeat(bootId, 'stopped', NOW_MS - 60_000)
  const held = await store.openHold({
    ...ids,
    requestId: REQUEST,
    bootId,
    model: usage.model,
    stream: true,
    amountMicro: 42_000,
    markup: [1, 1],
    limitWindow: null,
    openedAtMs: createdAtMs,
  })
  assert.equal(held.kind, 'held')
  const finished: UsageRecord = {
    ...ids,
    requestId: REQUEST,
    dialect: 'anthropic',
    model: 'claude-sonnet-4-6',
    responseModel: 'claude-sonnet-4-6',
    stream: true,
    status: 'complete',
    httpStatus: 200,
    errorCode: null,
    tokens,
    webSearchRequests: 1,
    costMicro: receipt.costMicro,
    receipt,
    holdMicro: 42_000,
    holdSteps: [{ kind: 'opened', amountMicro: 42_000, afterMs: 3 }],
    onDisconnect: null,
    joinedRequestId: null,
    trail: [],
    source: 'exact',
    anomalies: 0,
    upstreamRequestId: 'req_011CSaP2',
    attempts: [
      {
        accountId: ids.accountId,
        outcome: 'ok',
        httpStatus: 200,
        durationMs: 4_000,
        upstreamRequestId: 'req_011CSaP2',
        listCostMicro: receipt.costMicro,
      },
    ],
    createdAtMs,
    firstByteMs: 1_900,
    durationMs: 4_020,
    gatewayUs: 3_200,
    clientIp: '203.0.113.7',
    clientAgent: 'curl\x1b[2J/8',
  }
  assert.equal((await store.settleHold(finished)).kind, 'closed')
  await store.close()
}
