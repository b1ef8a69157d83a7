import { lowBalanceMicro } from '../../core/low-balance.ts'
import { formatUsd, formatUsdFull, formatUsdSmall } from '../../core/money.ts'
import { safeText } from '../../core/text.ts'
import type { UserSummary } from '../../store/store.ts'
import { type Context, expectFound } from '../context.ts'
import { CliError, EXIT, usageError } from '../errors.ts'
import { confirmGrant, moveCredit, readGrant } from '../grant.ts'
import { accept, type Invocation } from '../invocation.ts'
import { notePage, pageOf, pageRequest } from '../page.ts'
import { parseEmail, parseName, parseNote } from '../parse/name.ts'
import type { Column } from '../print.ts'
import { listJson, userJson } from '../records.ts'

export async function createUser(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const name = accept(parseName(call.arg(0)), 'name')
  const email = call.read('email', parseEmail)
  const note = call.read('note', parseNote)
  const credit = call.text('credit')
  const creditMicro = credit === null ? 0 : readGrant(credit, '--credit')
  const store = await context.store()
  const existing = await store.findUser(name)
  if (existing.kind === 'found' && existing.value.name === name) {
    if (!call.flag('if-not-exists')) {
      throw new CliError({
        code: 'user_exists',
        message: `There is a user ${name} already.`,
        hint: `See it: ccgate users show ${name}   (scripts: --if-not-exists)`,
        exitCode: EXIT.conflict,
      })
    }
    if (print.json) print.document({ ...userJson(existing.value), changed: false })
    else print.out(print.quiet ? existing.value.id : `${name} exists already, nothing changed.`)
    return
  }
  await confirmGrant(context, creditMicro, name)
  const created = await store.createUser(
    { id: context.makeId('user'), name, email, note },
    context.by(),
  )
  if (created.kind === 'exists') {
    throw new CliError({
      code: 'user_exists',
      message: `A user with this name or e-mail exists already: ${created.user.name}.`,
      hint: `See it: ccgate users show ${created.user.name}`,
      exitCode: EXIT.conflict,
    })
  }
  if (creditMicro > 0) {
    await moveCredit(context, {
      type: 'grant',
      userId: created.user.id,
      userName: name,
      amountMicro: creditMicro,
      ref: null,
      note: null,
      isRepeatable: false,
    })
  }
  const user = expectFound(await store.findUser(created.user.id), 'user', name)
  if (print.json) print.document({ ...userJson(user), changed: true, in_force: 'now' })
  else if (print.quiet) print.out(user.id)
  else {
    const balance = `balance ${formatUsdFull(user.balanceMicro)}`
    print.out(
      context.globals.dryRun
        ? `Would add ${name}   ${balance}`
        : `Added ${name}   ${user.id}   ${balance}`,
    )
  }
  print.note(`Next: ccgate keys create ${name}/laptop`)
}

export async function listUsers(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const request = pageRequest(call)
  const state = call.text('status')
  if (state !== null && state !== 'active' && state !== 'suspended') {
    throw usageError(
      `--status: "${state}" is not possible.`,
      'Use active or suspended.',
      'bad_value',
    )
  }
  const store = await context.store('read')
  const users = await store.listUsers({
    search: call.text('search') ?? undefined,
    state: state ?? undefined,
  })
  const page = pageOf(users, request, (user) => user.id)
  if (print.json) return print.document(listJson(page.rows.map(userJson), page))
  if (print.quiet) return print.outAll(page.rows.map((user) => user.id))
  if (users.length === 0) return print.note('No users. Add one: ccgate users create alice')
  const suspensions = await Promise.all(page.rows.map((user) => store.getSuspension(user.id)))
  const reasons = new Map(page.rows.map((user, i) => [user.id, suspensions[i]?.reason ?? '']))
  const hasReason = [...reasons.values()].some((reason) => reason !== '')
  const reason: Column<UserSummary> = {
    header: 'REASON',
    cell: (user) => reasons.get(user.id) ?? '',
    dropOrder: 4,
    mayCut: true,
  }
  print.table(hasReason ? [...USER_COLUMNS, reason] : USER_COLUMNS, page.rows)
  notePage(context, { shown: page.rows.length, total: users.length, nextAfter: page.nextAfter })
}

const USER_COLUMNS: readonly Column<UserSummary>[] = [
  { header: 'USER', cell: (user) => user.name, mayCut: true },
  { header: 'STATE', cell: (user) => user.state },
  { header: 'EMAIL', cell: (user) => user.email ?? '–', dropOrder: 2, mayCut: true },
  { header: 'BALANCE', cell: (user) => formatUsd(user.balanceMicro), align: 'right' },
  { header: 'HELD', cell: (user) => formatUsdSmall(user.heldMicro), align: 'right', dropOrder: 3 },
  { header: 'KEYS', cell: (user) => String(user.activeKeys), align: 'right' },
  {
    header: 'SPENT 30 D',
    cell: (user) => formatUsdSmall(user.spent30dMicro),
    align: 'right',
    dropOrder: 1,
  },
]

export async function showUser(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const store = await context.store('read')
  const user = expectFound(await store.findUser(call.arg(0)), 'user', call.arg(0))
  if (print.json) return print.document(userJson(user))
  if (print.quiet) return print.out(user.id)
  print.out(`${user.name}   ${user.id}   ${user.state}`)
  const suspension = await store.getSuspension(user.id)
  if (suspension !== null) {
    const { reason, actor, atMs } = suspension
    const why = reason === null ? '' : `: ${safeText(reason)}`
    print.out(
      `Suspended ${context.calendar().stamp(atMs, context.nowMs)} by ${safeText(actor)}${why}`,
    )
  }
  print.out(`Email     ${safeText(user.email ?? '–')}`)
  print.out(
    `Balance   ${formatUsdFull(user.balanceMicro)}, ${formatUsdFull(user.heldMicro)} held by running requests`,
  )
  const lowMicro = lowBalanceMicro(user, (await context.config()).config.billing.lowBalanceMicro)
  if (lowMicro !== null && lowMicro > 0) {
    const own = user.lowBalanceMicro === null ? ' (default)' : ''
    print.out(`Warning   below ${formatUsdFull(lowMicro)}${own}`)
  }
  print.out(`Spent     ${formatUsdSmall(user.spent30dMicro)} in 30 days`)
  print.out(`Keys      ${user.activeKeys} active`)
  print.out(`Created   ${context.calendar().day(user.createdAtMs)}`)
  if (user.note !== null) print.out(`Note      ${safeText(user.note)}`)
}
