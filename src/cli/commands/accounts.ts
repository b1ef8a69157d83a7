import { setTimeout as sleep } from 'node:timers/promises'
import { maskCredential } from '../../access/key.ts'
import {
  ACCOUNT_STATE_WORDS,
  type AccountState,
  accountNote,
  accountStateOf,
  isUsable,
  type Now,
} from '../../core/account-state.ts'
import { formatUsdSmall } from '../../core/money.ts'
import type { AccountChange, AccountSummary } from '../../store/store.ts'
import { type WatchedAccount, watchedAccounts } from '../../tui/watched-accounts.ts'
import { type Context, expectFound } from '../context.ts'
import { CliError, EXIT, usageError } from '../errors.ts'
import type { Invocation } from '../invocation.ts'
import { notePage, pageOf, pageRequest } from '../page.ts'
import { parseNote } from '../parse/name.ts'
import type { Column, Role } from '../print.ts'
import { accountJson, listJson } from '../records.ts'
import { unservedKeys, unservedText, warnOfUnservedKeys } from '../unserved-keys.ts'

export async function listAccounts(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const request = pageRequest(call)
  const wanted = call.text('state')
  if (wanted !== null && !ACCOUNT_STATE_WORDS.some((word) => word === wanted)) {
    throw usageError(
      `--state: "${wanted}" is not possible.`,
      `Use ${ACCOUNT_STATE_WORDS.join(', ')}.`,
      'bad_value',
    )
  }
  const store = await context.store('read')
  const now = await context.now()
  const accounts = (await watchedAccounts(store, now)).filter(
    (account) => wanted === null || accountStateOf(account, now).word === wanted,
  )
  const page = pageOf(accounts, request, (account) => account.id)
  if (print.json)
    return print.document(
      listJson(
        page.rows.map((account) => accountJson(account, now)),
        page,
      ),
    )
  if (print.quiet) return print.outAll(page.rows.map((account) => account.id))
  if (accounts.length === 0) {
    return print.note(
      wanted === null
        ? 'No upstream accounts yet. Add one: ccgate accounts add main'
        : `No account is ${wanted}.`,
    )
  }
  print.table(accountColumns(page.rows, now), page.rows)
  notePage(context, { shown: page.rows.length, total: accounts.length, nextAfter: page.nextAfter })
}

/** The colour of a state's word. */
export function roleOf(state: AccountState): Role {
  if (state.glyph === '●') return 'ok'
  if (state.glyph === '◐') return 'warn'
  return state.glyph === '✕' ? 'bad' : 'dim'
}

function accountColumns(
  accounts: readonly WatchedAccount[],
  now: Now,
): readonly Column<WatchedAccount>[] {
  const state = (account: WatchedAccount) => accountStateOf(account, now)
  const isTagged = accounts.some(({ tags }) => tags.length > 0)
  const tags: Column<WatchedAccount> = {
    header: 'TAGS',
    cell: (account) => account.tags.join(','),
    dropOrder: 4,
    mayCut: true,
  }
  return [
    {
      header: 'STATE',
      cell: (account) => `${state(account).glyph} ${state(account).word}`,
      role: (account) => roleOf(state(account)),
    },
    { header: 'NAME', cell: (account) => account.name, mayCut: true },
    ...(isTagged ? [tags] : []),
    { header: 'KEY', cell: (account) => maskCredential(account.credentialLast4), dropOrder: 2 },
    { header: 'PRI', cell: (account) => String(account.priority), align: 'right', dropOrder: 5 },
    { header: 'W', cell: (account) => String(account.weight), align: 'right', dropOrder: 6 },
    { header: 'RPM', cell: rpmCell, align: 'right', dropOrder: 3 },
    {
      header: 'IN-FLIGHT',
      cell: (account) => String(account.inFlight),
      align: 'right',
      dropOrder: 4,
    },
    { header: 'ERR 5M', cell: errorCell, align: 'right', dropOrder: 3 },
    {
      header: 'CHARGED TODAY',
      cell: (account) => formatUsdSmall(account.spendTodayMicro),
      align: 'right',
      dropOrder: 1,
    },
    {
      header: 'NOTE',
      cell: (account) => accountNote(state(account), now.nowMs) || (account.note ?? ''),
      dropOrder: 1,
      mayCut: true,
    },
  ]
}

function rpmCell(account: AccountSummary): string {
  return account.rpmLimit === null
    ? String(account.requests1m)
    : `${account.requests1m}/${account.rpmLimit}`
}

/** The share of failed attempts; a dash where there were none. */
export function errorCell(account: AccountSummary): string {
  return account.requests5m === 0
    ? '–'
    : `${((account.errors5m / account.requests5m) * 100).toFixed(1)}%`
}

export async function enableAccounts(context: Context, call: Invocation): Promise<void> {
  await switchAccounts(context, call, 'enable')
}

export async function disableAccounts(context: Context, call: Invocation): Promise<void> {
  await switchAccounts(context, call, 'disable')
}

async function switchAccounts(
  context: Context,
  call: Invocation,
  way: 'enable' | 'disable',
): Promise<void> {
  const { print } = context
  const reason = call.read('reason', (text) => parseNote(text, 200))
  const store = await context.store()
  const accounts: AccountSummary[] = []
  for (const ref of call.args)
    accounts.push(expectFound(await store.findAccount(ref), 'account', ref))
  const now = await context.now()
  const unserved = await unservedKeys(context)
  const records: unknown[] = []
  for (const account of accounts) {
    const change = expectChange(
      await store.setAccountDisabled(
        account.id,
        way === 'enable' ? null : { reason },
        context.by(),
      ),
      account,
    )
    records.push(changeJson(now, account, change))
    if (print.json || print.quiet) continue
    print.out(switchLine(account, way, change.kind === 'changed'))
  }
  if (way === 'disable' && !(await watchedAccounts(store, now)).some(canServe(now))) {
    print.warn('No healthy account is left: requests will be refused.')
  }
  await warnOfUnservedKeys(context, unserved)
  if (way === 'disable' && call.flag('drain')) await drain(context, accounts)
  if (print.json) print.document(records.length === 1 ? records[0] : listJson(records))
}

function canServe(now: Now): (account: WatchedAccount) => boolean {
  return (account) => isUsable(accountStateOf(account, now))
}

function switchLine(
  account: AccountSummary,
  way: 'enable' | 'disable',
  isChanged: boolean,
): string {
  if (!isChanged) return `${account.name} is ${way}d already.`
  if (way === 'enable') return `${account.name} enabled. The next request may use it.`
  const running =
    account.inFlight === 0
      ? ''
      : ` ${account.inFlight === 1 ? '1 request is' : `${account.inFlight} requests are`} still finishing.`
  return `${account.name} disabled.${running} Undo: ccgate accounts enable ${account.name}`
}

/** Waits until no open hold names the accounts any more. */
async function drain(context: Context, accounts: readonly AccountSummary[]): Promise<void> {
  // A rehearsal keeps others from writing: it must not wait for them.
  if (context.globals.dryRun) return
  const store = await context.store()
  const ids = new Set(accounts.map((account) => account.id))
  let told = -1
  for (;;) {
    const running = (await store.listOpenHolds()).filter(
      (hold) => hold.accountId !== null && ids.has(hold.accountId),
    ).length
    if (running === 0) return
    if (running !== told)
      context.print.note(`Waiting for ${running} ${running === 1 ? 'request' : 'requests'} …`)
    told = running
    await sleep(250)
  }
}

export async function removeAccount(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const now = await context.now()
  const store = await context.store()
  const found = await store.findAccount(call.arg(0))
  if (found.kind === 'not_found' && call.flag('if-exists')) {
    if (print.json) print.document({ object: 'account', name: call.arg(0), changed: false })
    return print.note(`No account ${call.arg(0)}, nothing to remove.`)
  }
  const account = expectFound(found, 'account', call.arg(0))
  const state = accountStateOf(account, now)
  const effect = `Remove ${account.name} (${state.word}, ${account.inFlight} in flight)? Its history stays, its API key is erased.`
  const others = (await watchedAccounts(store, now)).filter((other) => other.id !== account.id)
  const isHealthy = canServe(now)
  const unserved = await unservedKeys(context)
  const had = new Set(unserved.map(({ id }) => id))
  const lost = (await unservedKeys(context, others)).filter(({ id }) => !had.has(id))
  const left = lost.length === 0 ? '' : ` ${unservedText(lost)} then.`
  if (isHealthy(account) && !others.some(isHealthy)) {
    await context.ask.confirmName(
      `${effect}${left} It is the last healthy account: requests will be refused.`,
      account.name,
      call.text('confirm'),
    )
  } else {
    await context.ask.confirm(effect + left)
  }
  if (call.flag('drain')) {
    await store.setAccountDisabled(account.id, { reason: 'being removed' }, context.by())
    await drain(context, [account])
  }
  const change = expectChange(await store.removeAccount(account.id, context.by()), account)
  await warnOfUnservedKeys(context, unserved)
  if (print.json) print.document({ ...changeJson(now, account, change), removed: true })
  else if (!print.quiet) print.out('Removed.')
}

/** The change, or exit 3 when somebody removed the account meanwhile. */
export function expectChange(
  change: AccountChange,
  account: { readonly name: string },
): Exclude<AccountChange, { kind: 'not_found' }> {
  if (change.kind !== 'not_found') return change
  throw new CliError({
    code: 'account_not_found',
    message: `The account ${account.name} was removed meanwhile.`,
    hint: 'List them with: ccgate accounts list',
    exitCode: EXIT.notFound,
  })
}

/** The record after a change, with what it was before. */
export function changeJson(
  now: Now,
  account: AccountSummary,
  change: Exclude<AccountChange, { kind: 'not_found' }>,
) {
  const after = accountJson({ ...account, ...change.after }, now)
  const before = accountJson({ ...account, ...change.before }, now)
  const previous = Object.fromEntries(
    Object.keys(after)
      .filter((name) => JSON.stringify(after[name]) !== JSON.stringify(before[name]))
      .map((name) => [name, before[name]]),
  )
  return { ...after, changed: change.kind === 'changed', in_force: 'now', previous }
}
