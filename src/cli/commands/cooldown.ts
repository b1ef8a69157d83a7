import { type AccountState, accountStateOf, formatLeft } from '../../core/account-state.ts'
import { parseDuration } from '../../core/quantity.ts'
import { safeText } from '../../core/text.ts'
import type { AccountSummary } from '../../store/store.ts'
import { type Context, expectFound } from '../context.ts'
import { usageError } from '../errors.ts'
import type { Invocation } from '../invocation.ts'
import { accountJson, listJson } from '../records.ts'
import { changeJson, expectChange, roleOf } from './accounts.ts'

const MAX_REST_MS = 30 * 86_400_000

export async function listCooldowns(context: Context, _call: Invocation): Promise<void> {
  const { print, nowMs } = context
  const resting = await restingAccounts(context, 'read')
  if (print.json)
    return print.document(listJson(resting.map(({ account }) => accountJson(account, nowMs))))
  if (print.quiet) return print.outAll(resting.map(({ account }) => account.name))
  if (resting.length === 0) return print.out('No account rests.')
  print.table(
    [
      {
        header: 'STATE',
        cell: ({ state }) => `${state.glyph} ${state.word}`,
        role: ({ state }) => roleOf(state),
      },
      { header: 'NAME', cell: ({ account }) => account.name, mayCut: true },
      { header: 'FOR', cell: ({ state }) => state.modelClass ?? 'all models', dropOrder: 2 },
      {
        header: 'LEFT',
        cell: ({ state }) =>
          state.untilMs === null ? 'until cleared' : formatLeft(state.untilMs - nowMs),
        align: 'right',
      },
      { header: 'STEP', cell: ({ state }) => String(state.step), align: 'right', dropOrder: 3 },
      { header: 'REASON', cell: ({ state }) => state.reason ?? '', dropOrder: 1, mayCut: true },
    ],
    resting,
  )
}

export async function clearCooldowns(context: Context, call: Invocation): Promise<void> {
  const { print, nowMs } = context
  if (call.args.length === 0 && !call.flag('all')) {
    throw usageError('Which account?', 'Name one, or add --all', 'missing_argument')
  }
  const store = await context.store()
  const accounts: AccountSummary[] = []
  for (const ref of call.args)
    accounts.push(expectFound(await store.findAccount(ref), 'account', ref))
  if (call.flag('all'))
    accounts.push(...(await restingAccounts(context, 'write')).map(({ account }) => account))
  const records: unknown[] = []
  for (const account of accounts) {
    const state = accountStateOf(account, nowMs)
    const isResting = rests(state)
    // Clearing what does not rest would still leave a trace in the audit log.
    if (!isResting) {
      records.push({ ...accountJson(account, nowMs), changed: false })
      if (!print.json && !print.quiet) print.out(`${account.name} does not rest.`)
      continue
    }
    const change = expectChange(await store.clearCooldown(account.id, context.by()), account)
    records.push(changeJson(context, account, change))
    const left =
      state.untilMs === null
        ? safeText(state.reason ?? state.word)
        : `${formatLeft(state.untilMs - nowMs)} left, step ${state.step}`
    if (!print.json && !print.quiet)
      print.out(`${account.name}: cooldown ended (was ${left}). The next request will try it.`)
  }
  if (print.json) print.document(records.length === 1 ? records[0] : listJson(records))
  else if (accounts.length === 0 && !print.quiet) print.out('No account rests.')
}

export async function setCooldown(context: Context, call: Invocation): Promise<void> {
  const { print, nowMs } = context
  const forMs = call.read('for', parseDuration)
  if (forMs === null) throw usageError('For how long?', 'Example: --for 10m', 'missing_option')
  if (forMs < 1_000 || forMs > MAX_REST_MS) {
    throw usageError(
      '--for: 1s to 30d are possible.',
      'Longer: ccgate accounts disable',
      'bad_value',
    )
  }
  const store = await context.store()
  const account = expectFound(await store.findAccount(call.arg(0)), 'account', call.arg(0))
  const change = expectChange(
    await store.setCooldown(account.id, nowMs + forMs, context.by()),
    account,
  )
  if (print.json) return print.document(changeJson(context, account, change))
  if (print.quiet) return
  print.out(
    `${account.name} rests for ${formatLeft(forMs)}. End it: ccgate accounts cooldown clear ${account.name}`,
  )
}

function rests(state: AccountState): boolean {
  return !['healthy', 'full', 'disabled'].includes(state.word)
}

async function restingAccounts(context: Context, access: 'read' | 'write') {
  const store = await context.store(access)
  return (await store.listAccounts(context.nowMs))
    .map((account) => ({ account, state: accountStateOf(account, context.nowMs) }))
    .filter(({ state }) => rests(state))
}
