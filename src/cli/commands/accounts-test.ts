import { accountNote, accountStateOf, type Now } from '../../core/account-state.ts'
import { parseDuration } from '../../core/quantity.ts'
import { fitText, safeText } from '../../core/text.ts'
import type { AccountSummary } from '../../store/store.ts'
import { credentialPlace } from '../../vault/vault.ts'
import { openProxy } from '../account-options.ts'
import { type Context, expectFound } from '../context.ts'
import { EXIT, usageError } from '../errors.ts'
import type { Invocation } from '../invocation.ts'
import { listJson } from '../records.ts'
import { TEST_MODEL, type TestResult, testAccount } from '../upstream-test.ts'

/** Tries accounts with a request that costs nothing; exit 8 when one fails. Changes no state. */
export async function testAccounts(context: Context, call: Invocation): Promise<number> {
  const { print, nowMs } = context
  const { config } = await context.config()
  const now = await context.now()
  const model = call.text('model') ?? TEST_MODEL
  const timeoutMs = call.read('timeout', parseDuration) ?? 20_000
  const { vault } = await context.install()
  const store = await context.store()
  const everything = await store.listAccounts(nowMs)
  if (everything.length === 0)
    throw usageError(
      'There is no account to test.',
      'Add one: ccgate accounts add main',
      'no_accounts',
    )
  if (call.args.length === 0 && !call.flag('all') && everything.length > 1) {
    throw usageError(
      'Which account?',
      `Name one (${everything.map((account) => account.name).join(', ')}), or add --all`,
      'missing_argument',
    )
  }
  const accounts: AccountSummary[] = []
  for (const ref of call.args)
    accounts.push(expectFound(await store.findAccount(ref), 'account', ref))
  if (accounts.length === 0) accounts.push(...everything)

  const stored = new Map((await store.loadAccounts()).map((row) => [row.account.id, row]))
  const width = Math.max(...accounts.map((account) => account.name.length))
  const results = await Promise.all(
    accounts.map(async (account) => {
      const row = stored.get(account.id)
      const credential =
        row === undefined
          ? ''
          : Buffer.from(vault.open(row.sealed, credentialPlace(account.id))).toString('utf8')
      const proxy = openProxy(vault, account.id, row?.sealedProxy ?? null)
      const result = await testAccount({
        account,
        credential,
        proxy: proxy ?? config.upstream.proxy,
        model,
        timeoutMs,
        anthropicVersion: config.upstream.anthropicVersion,
        connectMs: config.upstream.timeouts.connectMs,
      })
      if (!print.json && !print.quiet) print.out(resultLine(account, result, width, now))
      return { account, result }
    }),
  )
  const working = results.filter(({ result }) => result.ok).length
  if (print.json) {
    print.document(
      listJson(
        results.map(({ account, result }) => ({
          object: 'account_test',
          account: account.name,
          account_id: account.id,
          ok: result.ok,
          latency_ms: result.latencyMs,
          status: result.status,
          error: result.error,
          upstream_limits: result.limits,
        })),
      ),
    )
  } else if (!print.quiet && results.length > 1) print.out(`${working} of ${results.length} ok`)
  return working === results.length ? EXIT.ok : EXIT.upstream
}

function resultLine(account: AccountSummary, result: TestResult, width: number, now: Now): string {
  const name = fitText(account.name, width)
  if (!result.ok) {
    const replace =
      result.status === 401 ? ` → replace it: ccgate accounts rotate ${account.name}` : ''
    return `${name}  failed  ${safeText(result.error ?? '')}${replace}`
  }
  const time = `${String(result.latencyMs).padStart(5)} ms`
  const state = accountStateOf(account, now)
  if (state.word === 'disabled')
    return `${name}  ok  ${time}   still disabled (use it: ccgate accounts enable ${account.name})`
  if (state.word === 'closed') {
    return `${name}  ok  ${time}   still closed (${state.reason}, ${accountNote(state, now.nowMs)})`
  }
  if (state.word !== 'healthy' && state.word !== 'full') {
    return `${name}  ok  ${time}   still ${state.word} (end it: ccgate accounts cooldown clear ${account.name})`
  }
  return `${name}  ok  ${time}   ${limitsText(result)}`.trimEnd()
}

function limitsText(result: TestResult): string {
  const { limits } = result
  const part = (label: string, left: number | null, limit: number | null) =>
    left === null || limit === null ? [] : [`${label} ${short(left)}/${short(limit)}`]
  return [
    ...part('requests', limits.requests_remaining, limits.requests_limit),
    ...part('input tokens', limits.input_tokens_remaining, limits.input_tokens_limit),
  ].join(' · ')
}

function short(value: number): string {
  if (value < 10_000) return String(value)
  return value < 1_000_000 ? `${Math.floor(value / 1000)}k` : `${Math.floor(value / 100_000) / 10}M`
}
