import { formatUsdFull } from '../../core/money.ts'
import { safeText } from '../../core/text.ts'
import type { UserChange, UserSummary, UserUpdate } from '../../store/store.ts'
import { type Context, expectFound } from '../context.ts'
import { CliError, EXIT, usageError } from '../errors.ts'
import { userGone } from '../grant.ts'
import type { Invocation } from '../invocation.ts'
import { readLowBalance } from '../money-limits.ts'
import { parseEmail, parseName, parseNote } from '../parse/name.ts'
import { entryJson, userJson } from '../records.ts'

/** Changes what is known of a user. */
export async function updateUser(context: Context, call: Invocation): Promise<void> {
  const update = readUpdate(call)
  if (Object.keys(update).length === 0) {
    throw usageError('Nothing to change.', 'Example: --low-balance 20', 'missing_option')
  }
  const store = await context.store()
  const user = expectFound(await store.findUser(call.arg(0)), 'user', call.arg(0))
  const change = await store.updateUser(user.id, update, context.by())
  if (change.kind === 'name_taken') {
    throw new CliError({
      code: 'user_exists',
      message: 'Another user has this name or e-mail.',
      hint: 'See them: ccgate users list',
      exitCode: EXIT.conflict,
    })
  }
  printChange(context, user, change, (after) => {
    const changes = userChanges(user, { ...user, ...after })
    const when = context.globals.dryRun ? '' : '   In force now.'
    return `${user.name}  ${changes.join(' · ')}.${when}`
  })
}

function readUpdate(call: Invocation): UserUpdate {
  const name = call.read('name', parseName)
  const email = call.text('email') === 'none' ? null : call.read('email', parseEmail)
  const note = call.read('note', parseNote)
  const low = readLowBalance(call)
  return {
    ...(name === null ? {} : { name }),
    ...(call.text('email') === null ? {} : { email }),
    ...(note === null ? {} : { note: note === 'none' ? null : note }),
    ...(low === null ? {} : { lowBalanceMicro: low.value }),
  }
}

function userChanges(before: UserSummary, after: UserSummary): readonly string[] {
  const fields: readonly (readonly [string, (user: UserSummary) => string])[] = [
    ['name', (user) => user.name],
    ['email', (user) => safeText(user.email ?? 'none')],
    ['low balance', lowBalanceText],
    ['note', (user) => safeText(user.note ?? 'none')],
  ]
  return fields
    .filter(([, text]) => text(before) !== text(after))
    .map(([name, text]) => `${name} ${text(before)} → ${text(after)}`)
}

function lowBalanceText({ lowBalanceMicro }: UserSummary): string {
  if (lowBalanceMicro === null) return 'default'
  // Nothing is below zero but a debt: `none` is written so.
  return lowBalanceMicro === 0 ? 'none' : formatUsdFull(lowBalanceMicro)
}

/** No key of the user works until somebody resumes them. */
export async function suspendUser(context: Context, call: Invocation): Promise<void> {
  await switchUser(context, call, true)
}

/** The keys of the user work again. */
export async function resumeUser(context: Context, call: Invocation): Promise<void> {
  await switchUser(context, call, false)
}

async function switchUser(context: Context, call: Invocation, isSuspended: boolean): Promise<void> {
  const reason = call.read('reason', (text) => parseNote(text, 200))
  const store = await context.store()
  const user = expectFound(await store.findUser(call.arg(0)), 'user', call.arg(0))
  if (isSuspended && user.state === 'active') {
    await context.ask.confirm(`Suspend ${user.name}? ${keysStop(user)} until you resume them.`)
  }
  const change = await store.setUserSuspended(user.id, { isSuspended, reason }, context.by())
  const isRehearsal = context.globals.dryRun
  printChange(
    context,
    user,
    change,
    () => {
      if (isRehearsal) return `Would ${isSuspended ? 'suspend' : 'resume'} ${user.name}.`
      return isSuspended
        ? `${user.name} suspended. In force from the next request. Undo: ccgate users resume ${user.name}`
        : `${user.name} resumed. In force from the next request.`
    },
    `${user.name} is ${isSuspended ? 'suspended' : 'active'} already.`,
  )
}

function keysStop({ activeKeys }: UserSummary): string {
  if (activeKeys === 0) return 'No key of theirs works'
  return activeKeys === 1 ? 'Their key stops working' : `Their ${activeKeys} keys stop working`
}

function printChange(
  context: Context,
  user: UserSummary,
  change: UserChange,
  text: (after: Partial<UserSummary>) => string,
  sameText = `${user.name} is set like that already.`,
): void {
  const { print } = context
  if (change.kind !== 'changed' && change.kind !== 'unchanged') throw userGone(user.name)
  const isChanged = change.kind === 'changed'
  if (print.json) {
    const after = userJson({ ...user, ...change.after })
    const before = userJson({ ...user, ...change.before })
    const previous = Object.fromEntries(
      Object.keys(after)
        .filter((name) => after[name] !== before[name])
        .map((name) => [name, before[name]]),
    )
    print.document({ ...after, changed: isChanged, in_force: 'now', previous })
  } else if (!print.quiet) print.out(isChanged ? text(change.after) : sameText)
}

/** Revokes all keys of a user and hides them; refused while there is credit, unless it may lapse. */
export async function deleteUser(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const note = call.read('note', parseNote)
  const store = await context.store()
  const user = expectFound(await store.findUser(call.arg(0)), 'user', call.arg(0))
  const isForfeit = call.flag('forfeit')
  if (user.heldMicro > 0) throw busy(user)
  if (user.balanceMicro !== 0 && !isForfeit) throw hasBalance(user)
  await context.ask.confirmName(deleteEffect(user), user.name, call.text('confirm'))
  const result = await store.deleteUser(
    user.id,
    { forfeit: isForfeit ? { id: context.makeId('entry'), note } : null },
    context.by(),
  )
  if (result.kind === 'not_found') throw userGone(user.name)
  if (result.kind !== 'deleted') {
    const now = { ...user, ...result.wallet }
    throw result.kind === 'busy' ? busy(now) : hasBalance(now)
  }
  const { forfeited, revokedKeys } = result
  if (print.json) {
    return print.document({
      ...userJson({ ...user, balanceMicro: 0, activeKeys: 0 }),
      state: 'deleted',
      revoked_keys: revokedKeys,
      forfeited: forfeited === null ? null : entryJson(forfeited, user.name),
      changed: true,
      in_force: 'now',
    })
  }
  if (print.quiet) return
  const lapsed = forfeited === null ? '' : ` ${lapseText(user)}   (${forfeited.id})`
  const revoked = revokedKeys === 0 ? '' : ` ${keysText(revokedKeys)} revoked.`
  if (context.globals.dryRun) {
    // The id of a rehearsal is nobody's.
    const lapse = forfeited === null ? '' : ` ${lapseText(user)}`
    return print.out(`Would delete ${user.name}.${revoked}${lapse}`)
  }
  print.out(`Deleted ${user.name}.${revoked}${lapsed}`)
  print.note(`Their ledger stays: ccgate credit history ${user.id}`)
}

function deleteEffect(user: UserSummary): string {
  const keys = user.activeKeys === 0 ? '' : ` ${keysStop(user)} at once.`
  const lapse = user.balanceMicro === 0 ? '' : ` ${lapseText(user)}`
  return `Delete ${user.name}?${keys}${lapse} Their history stays, but this cannot be undone.`
}

function lapseText({ balanceMicro }: UserSummary): string {
  return balanceMicro > 0
    ? `${formatUsdFull(balanceMicro)} of credit lapses.`
    : `${formatUsdFull(-balanceMicro)} that they owe is written off.`
}

function keysText(count: number): string {
  return count === 1 ? '1 key' : `${count} keys`
}

function busy(user: UserSummary): CliError {
  return new CliError({
    code: 'user_busy',
    message: `Requests of ${user.name} are still running (${formatUsdFull(user.heldMicro)} held).`,
    hint: `Let no new ones begin: ccgate users suspend ${user.name}   Then try again.`,
    exitCode: EXIT.conflict,
  })
}

function hasBalance(user: UserSummary): CliError {
  const { name, balanceMicro } = user
  const isCredit = balanceMicro > 0
  return new CliError({
    code: 'user_has_balance',
    message: isCredit
      ? `${name} still has ${formatUsdFull(balanceMicro)} of credit.`
      : `${name} owes ${formatUsdFull(-balanceMicro)}.`,
    hint: isCredit
      ? `Paid back? ccgate credit adjust ${name} -${formatUsdFull(balanceMicro).replace(/[$,]/g, '')} --note "paid back"   Let it lapse: add --forfeit`
      : 'Write it off: add --forfeit',
    exitCode: EXIT.conflict,
  })
}
