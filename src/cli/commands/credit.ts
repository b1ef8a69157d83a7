import { parseMoney } from '../../core/amount.ts'
import { formatUsdFull, type Micro } from '../../core/money.ts'
import { type Context, expectFound } from '../context.ts'
import { usageError } from '../errors.ts'
import {
  checkMovement,
  checkSize,
  confirmGrant,
  isRefUsed,
  type Movement,
  moveCredit,
  readGrant,
  readRefAndNote,
} from '../grant.ts'
import { accept, type Invocation } from '../invocation.ts'
import { entryJson } from '../records.ts'

export async function grantCredit(context: Context, call: Invocation): Promise<void> {
  const amountMicro = readGrant(call.arg(1), 'Amount')
  const user = await findUser(context, call.arg(0))
  const movement = { type: 'grant', ...user, amountMicro, ...readRefAndNote(call) } as const
  if (!(await isRefUsed(context, movement.ref))) {
    await checkMovement(context, movement)
    await confirmGrant(context, amountMicro, user.name)
  }
  await moveAndPrint(context, movement)
}

export async function adjustCredit(context: Context, call: Invocation): Promise<void> {
  const amountMicro = accept(parseMoney(call.arg(1), { signed: true }), 'Amount')
  checkSize(amountMicro, 'Amount')
  if (amountMicro === 0)
    throw usageError('Amount: nothing to adjust.', 'Example: -4.50', 'bad_value')
  const { ref, note } = readRefAndNote(call)
  if (note === null || note.trim() === '') {
    throw usageError('An adjustment needs a reason.', 'Add --note "why"', 'missing_note')
  }
  const user = await findUser(context, call.arg(0))
  const allowNegative = call.flag('allow-negative')
  const movement = { type: 'adjust', ...user, amountMicro, ref, note, allowNegative } as const
  if (!(await isRefUsed(context, ref))) {
    await checkMovement(context, movement)
    if (amountMicro < 0) {
      await context.ask.confirm(`Take ${formatUsdFull(-amountMicro)} from ${user.name}?`)
    }
  }
  await moveAndPrint(context, movement)
}

async function findUser(context: Context, ref: string) {
  const store = await context.store()
  const user = expectFound(await store.findUser(ref), 'user', ref)
  return { userId: user.id, userName: user.name, name: user.name }
}

async function moveAndPrint(
  context: Context,
  movement: Movement & { readonly name: string },
): Promise<void> {
  const { print } = context
  const { name, ...plain } = movement
  const { entry, duplicate } = await moveCredit(context, plain)
  if (print.json)
    return print.document({
      ...entryJson(entry, name),
      duplicate,
      changed: !duplicate,
      in_force: 'now',
    })
  if (print.quiet) return print.out(entry.id)
  const before: Micro = entry.balanceAfterMicro - entry.amountMicro
  const balance = `${formatUsdFull(before)} → ${formatUsdFull(entry.balanceAfterMicro)}`
  // A reference that was made here has been told already.
  const source = `(${entry.id}${movement.ref === null ? '' : `, ref ${entry.ref}`})`
  if (context.globals.dryRun && !duplicate) {
    // The id of a rehearsal is nobody's.
    const what =
      entry.type === 'grant'
        ? `Would grant ${formatUsdFull(entry.amountMicro)} to ${name}. Balance`
        : `${name}: balance would go`
    return print.out(`${what} ${balance}.`)
  }
  if (duplicate)
    print.out(
      `Done before, nothing changed: ${formatUsdFull(entry.amountMicro)} for ${name}.   ${source}`,
    )
  else if (entry.type === 'grant') {
    print.out(
      `Granted ${formatUsdFull(entry.amountMicro)} to ${name}. Balance ${balance}.   ${source}`,
    )
  } else print.out(`${name}: balance ${balance}.   ${source}`)
}
