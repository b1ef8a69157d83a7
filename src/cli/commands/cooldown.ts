import {
  type AccountState,
  accountRestsOf,
  accountStateOf,
  endOfRest,
  formatLeft,
  type Now,
} from '../../core/account-state.ts'
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
  if (print.json) {
    const now = await context.now()
    return print.document(listJson(resting.map(({ account }) => accountJson(account, now))))
  }
  if (print.quiet) return print.outAll(resting.map(({ account }) => account.name))
  if (resting.length === 0) return print.out('No account rests.')
  const calendar = context.calendar()
  print.table(
    [
      {
        header: 'STATE',
        cell: ({ state }) => `${state.glyph} ${state.word}`,
        role: ({ state }) => roleOf(state),
      },
      { header: 'NAME', cell: ({ account }) => account.name, mayCut: true },
      { header: 'FOR', cell: ({ state }) => state.modelClass ?? 'all models', dropOrder: 2 },
      { header: 'LEFT', cell: ({ state }) => leftText(state, nowMs), align: 'right' },
      {
        header: 'UNTIL',
        cell: ({ state }) => (state.untilMs === null ? '–' : calendar.second(state.untilMs)),
        dropOrder: 4,
      },
      { header: 'STEP', cell: ({ state }) => String(state.step), align: 'right', dropOrder: 5 },
      { header: 'REASON', cell: ({ state }) => state.reason ?? '', dropOrder: 1, mayCut: true },
      {
        header: 'STATUS',
        cell: ({ state }) => (state.httpStatus === null ? '–' : String(state.httpStatus)),
        dropOrder: 6,
      },
      {
        header: 'UPSTREAM REQUEST',
        cell: ({ state }) => state.upstreamRequestId ?? '–',
        dropOrder: 3,
      },
    ],
    resting.flatMap(({ account, rests }) => rests.map((state) => ({ account, state }))),
  )
}

function leftText(state: AccountState, nowMs: number): string {
  if (state.exact === 'half_open') return 'to be tried'
  return state.untilMs === null ? endOfRest(state) : formatLeft(state.untilMs - nowMs)
}

export async function clearCooldowns(context: Context, call: Invocation): Promise<void> {
  const { print, nowMs } = context
  if (call.args.length === 0 && !call.flag('all')) {
    throw usageError('Which account?', 'Name one, or add --all', 'missing_argument')
  }
  const now = await context.now()
  const store = await context.store()
  const accounts: AccountSummary[] = []
  for (const ref of call.args)
    accounts.push(expectFound(await store.findAccount(ref), 'account', ref))
  if (call.flag('all'))
    accounts.push(...(await restingAccounts(context, 'write')).map(({ account }) => account))
  const records: unknown[] = []
  for (const account of accounts) {
    const [state] = accountRestsOf(account, nowMs)
    // Clearing what does not rest would still leave a trace in the audit log.
    if (state === undefined) {
      records.push({ ...accountJson(account, now), changed: false })
      if (!print.json && !print.quiet) print.out(notResting(account, now))
      continue
    }
    const change = expectChange(await store.clearCooldown(account.id, context.by()), account)
    records.push(changeJson(now, account, change))
    const left =
      state.untilMs === null
        ? `was: ${safeText(state.reason ?? state.word)}`
        : `${formatLeft(state.untilMs - nowMs)} were left${state.step === 0 ? '' : `, step ${state.step}`}`
    if (!print.json && !print.quiet)
      print.out(`${account.name}: cooldown ended (${left}). The next request will try it.`)
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
  if (print.json) return print.document(changeJson(await context.now(), account, change))
  if (print.quiet) return
  print.out(
    `${account.name} rests for ${formatLeft(forMs)}. End it: ccgate accounts cooldown clear ${account.name}`,
  )
}

/** Hours are no rest: they end when the operator changes them. */
function notResting(account: AccountSummary, now: Now): string {
  const state = accountStateOf(account, now)
  if (state.exact !== 'closed') return `${account.name} does not rest.`
  return `${account.name} does not rest, it is closed (${state.reason}): ccgate accounts update ${account.name} --hours …`
}

async function restingAccounts(context: Context, access: 'read' | 'write') {
  const store = await context.store(access)
  return (await store.listAccounts(context.nowMs))
    .map((account) => ({ account, rests: accountRestsOf(account, context.nowMs) }))
    .filter(({ rests }) => rests.length > 0)
}
