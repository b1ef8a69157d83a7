import type { Boot, HealthRow, Hold } from '../../src/core/model.ts'
import { NO_TOKENS } from '../../src/core/usage.ts'
import type { AccountSummary, UsageRow, UserSummary } from '../../src/store/store.ts'
import type { Snapshot } from '../../src/tui/facts.ts'
import { Traffic } from '../../src/tui/traffic.ts'

/** The instant of the mock-ups: 2026-11-22 12:04:31 UTC. */
export const NOW = Date.UTC(2026, 10, 22, 12, 4, 31)
const MINUTE = 60_000

let made = 0
/** A made-up id whose order is the order of making. */
export function fakeId(prefix: string): string {
  made += 1
  return `${prefix}_01jdq9${String(made).padStart(20, '0')}`
}

export function boot(change: Partial<Boot> = {}): Boot {
  return {
    id: 'boot_1',
    pid: 4121,
    pidStartedAt: null,
    pidSpace: null,
    version: '0.1.0',
    listen: '127.0.0.1:8787',
    publicUrl: 'https://api.example.com',
    demo: false,
    startedAtMs: NOW - 76 * 60 * MINUTE,
    heartbeatAtMs: NOW - 1_000,
    state: 'serving',
    ...change,
  }
}

export function account(name: string, change: Partial<AccountSummary> = {}): AccountSummary {
  return {
    id: `acct_01jd8c9t0a4n2p6s8v1y3e${name.padEnd(4, '0').slice(0, 4)}`,
    name,
    provider: 'anthropic',
    baseUrl: 'https://api.anthropic.com',
    allowPrivate: false,
    credentialLast4: 'Xk4A',
    credentialFingerprint: '4f1caa',
    priority: 1,
    weight: 1,
    rpmLimit: 50,
    concurrencyLimit: 8,
    models: ['*'],
    tpmLimit: null,
    tags: [],
    cacheScope: null,
    hours: null,
    proxy: null,
    dayCapMicro: null,
    monthCapMicro: null,
    note: null,
    createdAtMs: Date.UTC(2026, 7, 2),
    disabledAtMs: null,
    disabledBy: null,
    disabledReason: null,
    cooldownClearedAtMs: null,
    cooldownUntilMs: null,
    credentialVersion: 1,
    health: [],
    headroom: null,
    inFlight: 0,
    requests1m: 0,
    requests5m: 0,
    errors5m: 0,
    isTpmUsedUp: false,
    requestsToday: 0,
    spendTodayMicro: 0,
    lastUsedAtMs: null,
    ...change,
  }
}

export function health(accountId: string, change: Partial<HealthRow> = {}): HealthRow {
  return {
    accountId,
    modelClass: '',
    state: 'cooling',
    reason: '529 overloaded_error',
    httpStatus: 529,
    upstreamRequestId: null,
    sinceMs: NOW - 18_000,
    untilMs: NOW + 42_000,
    step: 2,
    credentialVersion: 1,
    ...change,
  }
}

/** `recentMicro`: spent within the last hour, and so within the month. */
export function user(name: string, dollars: number, recentMicro = 0): UserSummary {
  return {
    id: `usr_${name}`,
    name,
    email: null,
    state: 'active',
    lowBalanceMicro: null,
    note: null,
    createdAtMs: NOW - 90 * MINUTE,
    balanceMicro: Math.round(dollars * 1e6),
    heldMicro: 0,
    activeKeys: 1,
    spent30dMicro: recentMicro,
    spentRecentMicro: recentMicro,
  }
}

export function row(change: Partial<UsageRow> = {}): UsageRow {
  const userName = change.userName ?? 'alice'
  const keyName = change.keyName ?? 'laptop'
  return {
    kind: 'usage',
    requestId: fakeId('ccr'),
    userId: `usr_${userName}`,
    keyId: `key_${userName}_${keyName}`,
    dialect: 'anthropic',
    model: 'claude-sonnet-4-6',
    responseModel: 'claude-sonnet-4-6',
    stream: true,
    status: 'complete',
    httpStatus: 200,
    errorCode: null,
    tokens: { ...NO_TOKENS, input: 2_000, output: 412, cacheRead: 6_100 },
    webSearchRequests: 0,
    costMicro: 31_045,
    receipt: null,
    holdMicro: 50_000,
    holdSteps: [],
    onDisconnect: null,
    joinedRequestId: null,
    trail: [],
    source: 'exact',
    anomalies: 0,
    accountId: MAIN.id,
    accountName: 'main',
    accountNames: NAMES,
    upstreamRequestId: null,
    attempts: [attempt(MAIN.id, 'ok', 200)],
    createdAtMs: NOW - 30_000,
    firstByteMs: 612,
    durationMs: 3_100,
    gatewayUs: 3_100,
    clientIp: null,
    clientAgent: null,
    userName,
    keyName,
    keyLast4: '9fQ2',
    balanceAfterMicro: null,
    refunds: [],
    ...change,
  }
}

/** A request refused before any account was tried. */
export function refusal(
  httpStatus: number,
  errorCode: string,
  change: Partial<UsageRow>,
): UsageRow {
  return row({
    httpStatus,
    errorCode,
    status: 'rejected',
    tokens: NO_TOKENS,
    costMicro: 0,
    accountId: null,
    accountName: null,
    attempts: [],
    firstByteMs: null,
    ...change,
  })
}

/** A request that one account failed and another served. */
export function reroute(change: Partial<UsageRow> = {}): UsageRow {
  return row({
    attempts: [attempt(SPARE.id, 'overloaded', 529), attempt(MAIN.id, 'ok', 200)],
    ...change,
  })
}

export function attempt(accountId: string, outcome: string, httpStatus: number | null) {
  const costs = { upstreamRequestId: null, listCostMicro: 0 }
  return { accountId, outcome, httpStatus, durationMs: 410, ...costs }
}

export function hold(change: Partial<Hold> = {}): Hold {
  return {
    requestId: fakeId('ccr'),
    userId: 'usr_alice',
    keyId: 'key_alice_laptop',
    bootId: 'boot_1',
    accountId: MAIN.id,
    model: 'claude-sonnet-4-6',
    stream: true,
    amountMicro: 50_000,
    markup: [1, 1],
    state: 'open',
    openedAtMs: NOW - 2_000,
    phase: 'sent',
    progress: null,
    ...change,
  }
}

const MAIN = account('main', {
  weight: 3,
  inFlight: 5,
  requests1m: 48,
  requests5m: 240,
  spendTodayMicro: 61_200_000,
  lastUsedAtMs: NOW - 200,
  headroom: {
    accountId: 'main',
    requestsLimit: 50,
    requestsRemaining: 2,
    inputTokensLimit: 40_000,
    inputTokensRemaining: 21_000,
    outputTokensLimit: 8_000,
    outputTokensRemaining: 6_000,
    resetAtMs: NOW + 11_000,
    organizationId: null,
    workspaceId: null,
    updatedAtMs: NOW - 1_000,
  },
})
const BACKUP = account('backup', {
  credentialLast4: '0bQe',
  weight: 2,
  inFlight: 3,
  requests1m: 31,
  requests5m: 150,
  spendTodayMicro: 40_020_000,
  lastUsedAtMs: NOW - 2_100,
})
const EU1 = account('eu-1', {
  credentialLast4: 'LLw2',
  priority: 2,
  inFlight: 1,
  requests1m: 12,
  requests5m: 91,
  errors5m: 1,
  spendTodayMicro: 26_910_000,
  lastUsedAtMs: NOW - 5_000,
})
const SPARE = account('spare', {
  credentialLast4: 'Tz9Q',
  priority: 2,
  requests5m: 61,
  errors5m: 6,
  spendTodayMicro: 270_000,
  lastUsedAtMs: NOW - 41_000,
  health: [health('spare')],
})
const OLD = account('old-key', {
  credentialLast4: '9sAd',
  priority: 9,
  lastUsedAtMs: NOW - 12 * 24 * 60 * MINUTE,
  disabledAtMs: NOW - 1_000_000,
  disabledBy: 'cli:operator',
})
export const ACCOUNTS = [MAIN, BACKUP, EU1, SPARE, OLD]
const NAMES = Object.fromEntries(ACCOUNTS.map((each) => [each.id, each.name]))

/** The world that the screens are drawn from: an hour of traffic over five accounts. */
export function mockupSnapshot(change: Partial<Snapshot> = {}): Snapshot {
  const traffic = new Traffic()
  const rows: UsageRow[] = []
  for (let minute = 59; minute >= 0; minute--) {
    const count = 60 + Math.round(30 * Math.sin(minute / 5)) + (minute % 7)
    for (let i = 0; i < count; i++) {
      const createdAtMs = NOW - minute * MINUTE - Math.floor((i * MINUTE) / count) - 100
      const turn = i % 20
      const [userName, keyName] =
        turn < 9 ? ['alice', 'laptop'] : turn < 16 ? ['ci-bot', 'nightly'] : ['bob', 'editor']
      const by = turn < 10 ? MAIN : turn < 17 ? BACKUP : EU1
      rows.push(
        row({
          userName,
          keyName,
          createdAtMs,
          accountId: by.id,
          accountName: by.name,
          attempts: [attempt(by.id, 'ok', 200)],
          gatewayUs: turn === 0 ? 11_000 : 3_100,
          firstByteMs: turn === 0 ? 2_900 : 612,
          ...(turn === 15 ? { model: 'claude-haiku-4-5', responseModel: 'claude-haiku-4-5' } : {}),
        }),
      )
    }
  }
  rows.push(
    reroute({ createdAtMs: NOW - 41_000 }),
    row({
      createdAtMs: NOW - 140_000,
      httpStatus: 502,
      errorCode: 'upstream_error',
      accountId: SPARE.id,
      accountName: 'spare',
      attempts: [attempt(SPARE.id, 'overloaded', 529)],
      tokens: NO_TOKENS,
      costMicro: 0,
      firstByteMs: null,
      status: 'rejected',
    }),
    refusal(402, 'insufficient_credit', {
      createdAtMs: NOW - 351_000,
      userName: 'ci-bot',
      keyName: 'test',
    }),
    refusal(429, 'rate_limited', {
      createdAtMs: NOW - 3_000,
      userName: 'ci-bot',
      keyName: 'nightly',
    }),
  )
  traffic.add(rows)
  return {
    boots: [boot()],
    accounts: ACCOUNTS,
    holds: [hold({ phase: 'started', openedAtMs: NOW - 600 }), ...many(8, () => hold())],
    users: new Map(
      [user('alice', 212.44), user('ci-bot', 3.02, 39_520_000), user('bob', 118)].map((each) => [
        each.id,
        each,
      ]),
    ),
    lowBalanceMicro: 5_000_000,
    today: {
      requests: 2_918,
      costMicro: 128_400_000,
      tokens: {
        input: 16_200_000,
        output: 3_400_000,
        cacheRead: 44_900_000,
        cacheWrite5m: 2_000_000,
        cacheWrite1h: 100_000,
      },
    },
    traffic,
    ...change,
  }
}

export function many<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make)
}
