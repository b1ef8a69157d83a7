import { setTimeout as sleep } from 'node:timers/promises'
import { accountStateOf, formatLeft, type Now } from '../../core/account-state.ts'
import type { Boot } from '../../core/model.ts'
import { formatUsdSmall, type Micro } from '../../core/money.ts'
import { parseDuration } from '../../core/quantity.ts'
import { sparkline } from '../../core/spark.ts'
import { safeText } from '../../core/text.ts'
import type { TokenCounts } from '../../core/usage.ts'
import type { Store } from '../../store/store.ts'
import { formatMs } from '../../tui/format.ts'
import { RECENT_MINUTES, ratesOf } from '../../tui/model-traffic.ts'
import { Traffic } from '../../tui/traffic.ts'
import { type WatchedAccount, watchedAccounts } from '../../tui/watched-accounts.ts'
import { type Attention, accountAttention, lowBalanceAttention } from '../attention.ts'
import type { Context } from '../context.ts'
import { EXIT, usageError } from '../errors.ts'
import { formatCount, formatSpan } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import { unservedAttention, unservedKeys } from '../unserved-keys.ts'

const MINUTE_MS = 60_000
const SPARK_MINUTES = 12
const PAGE_ROWS = 500
/** A busier gateway's shares and percentiles are those of its newest rows. */
const MOST_ROWS = 20_000

/** One screen: daemon, accounts, traffic, today. Exit 7 when the daemon is down. */
export async function status(context: Context, call: Invocation): Promise<number> {
  const { print } = context
  // `--watch` may stand alone; the library then says true instead of a text.
  const everyMs =
    call.text('watch') === null
      ? call.flag('watch')
        ? 2_000
        : null
      : call.read('watch', parseDuration)
  if (everyMs !== null && everyMs < 100)
    throw usageError('--watch: at least 100ms.', 'Example: --watch 2s', 'bad_value')
  for (;;) {
    const facts = await gather(context, context.terminal.nowMs())
    if (print.json) print.document(statusJson(facts))
    else if (!print.quiet) for (const line of statusLines(context, facts)) print.wrapped(line, 12)
    if (everyMs === null) {
      if (facts.boot === null) return EXIT.daemon
      return call.flag('strict') && facts.attention.length > 0 ? EXIT.problems : EXIT.ok
    }
    await sleep(everyMs)
    if (!print.json) print.out()
  }
}

const DAEMON_DOWN: Attention = {
  code: 'daemon_down',
  message: 'the gateway does not run',
  command: 'ccgate serve',
}

interface Facts extends Now {
  /** The living boot, or null. */
  readonly boot: Boot | null
  readonly lastBoot: Boot | null
  readonly accounts: readonly WatchedAccount[]
  readonly inFlight: number
  /** Requests per minute, oldest first; the last is the running minute's. */
  readonly perMinute: readonly number[]
  readonly rpm: number
  /** 5xx and answers that broke off, of the last five minutes; null without requests. */
  readonly errorRate: number | null
  /** 4xx of the last five minutes. */
  readonly refused: number
  readonly firstTokenMs: number | null
  readonly today: {
    readonly requests: number
    readonly costMicro: Micro
    readonly cacheHit: number | null
  }
  readonly attention: readonly Attention[]
}

async function gather(context: Context, nowMs: number): Promise<Facts> {
  const { config } = await context.config()
  const store = await context.store('read')
  const boot = await context.daemon()
  const [lastBoot = null] = await store.listBoots()
  const { timeZone } = config
  const accounts = await watchedAccounts(store, { nowMs, timeZone })
  const perMinute: number[] = []
  for (let i = SPARK_MINUTES; i > 0; i--) {
    const window = { sinceMs: nowMs - i * MINUTE_MS, untilMs: nowMs - (i - 1) * MINUTE_MS }
    perMinute.push((await store.sumUsage(window)).requests)
  }
  const today = await store.sumUsage({
    sinceMs: context.calendar().startOfDay(nowMs),
    untilMs: nowMs + 1,
  })
  const holds = await store.listOpenHolds()
  // The same figures as the monitor's, made in the same way.
  const rates = ratesOf({ traffic: await recentTraffic(store, nowMs), holds }, nowMs)
  return {
    nowMs,
    timeZone,
    boot,
    lastBoot,
    accounts,
    inFlight: holds.length,
    perMinute,
    rpm: rates.requestsPerMinute,
    errorRate: rates.errorShare,
    refused: rates.refused,
    firstTokenMs: rates.firstByteMs === null ? null : Math.round(rates.firstByteMs[0]),
    today: {
      requests: today.requests,
      costMicro: today.costMicro,
      cacheHit: cacheHit(today.tokens),
    },
    attention: [
      ...(boot === null ? [DAEMON_DOWN] : []),
      ...accountAttention(accounts, { nowMs, timeZone }),
      ...unservedAttention(await unservedKeys(context, accounts)),
      ...lowBalanceAttention(await store.listUsers({ state: 'active' }), {
        nowMs,
        noticeMicro: config.billing.lowBalanceMicro,
      }),
    ],
  }
}

/** The requests of the last minutes, newest first. */
async function recentTraffic(store: Pick<Store, 'listUsage'>, nowMs: number): Promise<Traffic> {
  const traffic = new Traffic()
  const sinceMs = (Math.floor(nowMs / MINUTE_MS) - RECENT_MINUTES + 1) * MINUTE_MS
  let afterId: string | undefined
  for (let count = 0; count < MOST_ROWS; count += PAGE_ROWS) {
    const { rows, hasMore } = await store.listUsage({ sinceMs, limit: PAGE_ROWS, afterId })
    traffic.add(rows)
    afterId = rows.at(-1)?.requestId
    if (!hasMore) break
  }
  return traffic
}

function statusLines(context: Context, facts: Facts): readonly string[] {
  const { style } = context.print
  const { boot, lastBoot, nowMs, accounts, today } = facts
  const lines: string[] = []
  if (boot !== null) {
    const word = boot.state === 'draining' ? style('warn', '◐ draining') : style('ok', '● serving')
    const up = formatSpan(nowMs - boot.startedAtMs)
    const demo = boot.demo ? '   DEMO' : ''
    lines.push(
      `${word}   ${safeText(boot.publicUrl)}   up ${up}   ${safeText(boot.version)}   pid ${boot.pid}${demo}`,
    )
  } else {
    const last =
      lastBoot === null
        ? 'never ran here'
        : `last seen ${formatSpan(nowMs - lastBoot.heartbeatAtMs)} ago`
    lines.push(`${style('bad', '○ down')}   ${last}   start it: ccgate serve`)
  }
  lines.push(`Accounts    ${accountsText(accounts, facts)}`)
  const errors =
    facts.errorRate === null
      ? 'no requests in 5 min'
      : `${(facts.errorRate * 100).toFixed(1)}% errors`
  const refused = facts.refused === 0 ? '' : ` · ${formatCount(facts.refused)} refused`
  const first =
    facts.firstTokenMs === null ? '' : ` · p50 first token ${formatMs(facts.firstTokenMs)}`
  lines.push(
    `Traffic     ${formatCount(facts.rpm)} req/min ${sparkline(facts.perMinute)} · ${errors}${refused} · ${facts.inFlight} in flight${first}`,
  )
  const hit = today.cacheHit === null ? '' : ` · cache hit ${Math.round(today.cacheHit * 100)}%`
  lines.push(
    `Today       ${formatCount(today.requests)} ${today.requests === 1 ? 'request' : 'requests'} · ${formatUsdSmall(today.costMicro)}${hit}`,
  )
  const others = facts.attention.filter((item) => item.code !== 'daemon_down')
  if (others.length > 0) {
    // Each on a line of its own: what is read one after the other is found one after the other.
    for (const [i, { message, command }] of others.entries())
      lines.push(`${(i === 0 ? 'Attention' : '').padEnd(12)}${safeText(message)}: ${command}`)
  }
  return lines
}

function accountsText(accounts: readonly WatchedAccount[], now: Now): string {
  if (accounts.length === 0) return 'none yet'
  const words = new Map<string, string[]>()
  for (const account of accounts) {
    const state = accountStateOf(account, now)
    const left = state.untilMs === null ? '' : `, ${formatLeft(state.untilMs - now.nowMs)}`
    words.set(state.word, [...(words.get(state.word) ?? []), `${account.name}${left}`])
  }
  return [...words]
    .map(([word, names]) => {
      const isPlain = word === 'healthy' || word === 'disabled'
      return `${names.length} ${word}${isPlain ? '' : ` (${names.slice(0, 3).join('; ')}${names.length > 3 ? '; …' : ''})`}`
    })
    .join(' · ')
}

function statusJson(facts: Facts) {
  const { boot, nowMs } = facts
  const count = (word: string) =>
    facts.accounts.filter((account) => accountStateOf(account, facts).word === word).length
  return {
    object: 'status',
    daemon: {
      running: boot !== null,
      state: boot?.state ?? 'stopped',
      pid: boot?.pid ?? null,
      version: boot?.version ?? null,
      uptime_s: boot === null ? null : Math.floor((nowMs - boot.startedAtMs) / 1000),
      listen: boot?.listen ?? null,
      public_url: boot?.publicUrl ?? null,
      demo: boot?.demo ?? false,
    },
    accounts: {
      healthy: count('healthy'),
      cooling: count('cooling'),
      limited: count('limited'),
      full: count('full'),
      invalid: count('invalid'),
      no_credit: count('no-credit'),
      blocked: count('blocked'),
      closed: count('closed'),
      disabled: count('disabled'),
    },
    traffic: {
      rpm: facts.rpm,
      error_rate: facts.errorRate,
      refused_5m: facts.refused,
      in_flight: facts.inFlight,
      p50_ttft_ms: facts.firstTokenMs,
    },
    today: {
      requests: facts.today.requests,
      cost_micro: facts.today.costMicro,
      cache_hit: facts.today.cacheHit,
    },
    attention: facts.attention,
  }
}

function cacheHit(tokens: TokenCounts): number | null {
  const all = tokens.input + tokens.cacheRead + tokens.cacheWrite5m + tokens.cacheWrite1h
  return all === 0 ? null : tokens.cacheRead / all
}
