import { credit } from '../billing/ledger.ts'
import { parseMoney } from '../core/amount.ts'
import { unreachable } from '../core/invariant.ts'
import type { LedgerEntry, Wallet } from '../core/model.ts'
import { formatUsd, formatUsdFull, MAX_GRANT_MICRO, type Micro } from '../core/money.ts'
import type { Context } from './context.ts'
import { CliError, EXIT, SEE_HELP, usageError } from './errors.ts'
import type { Invocation } from './invocation.ts'
import { parseNote, parseRef } from './parse/name.ts'

/** From here on a grant is asked about. */
const ASK_FROM_MICRO: Micro = 1_000_000_000

/** One movement of credit by an operator. */
export interface Movement {
  readonly type: 'grant' | 'adjust'
  readonly userId: string
  readonly userName: string
  readonly amountMicro: Micro
  readonly ref: string | null
  readonly note: string | null
  readonly allowNegative?: boolean
  /** Whether the command takes `--ref`; one that does not says nothing of references. */
  readonly isRepeatable?: boolean
}

/** Reads an amount for a grant: positive, and at most what one grant may be. */
export function readGrant(text: string, what: string): Micro {
  const parsed = parseMoney(text)
  if (parsed.kind === 'bad') {
    const isTaking = /^\s*[-$]+\d/.test(text) && text.includes('-')
    const hint = isTaking ? 'To take credit away: ccgate credit adjust' : SEE_HELP
    throw usageError(`${what}: ${parsed.problem}.`, hint, 'bad_value')
  }
  if (parsed.value === 0) throw usageError(`${what}: nothing to grant.`, 'Example: 25', 'bad_value')
  checkSize(parsed.value, what)
  return parsed.value
}

/** Refuses what is more than one movement may be. */
export function checkSize(amountMicro: Micro, what: string): void {
  if (Math.abs(amountMicro) > MAX_GRANT_MICRO) {
    throw usageError(
      `${what}: ${formatUsdFull(amountMicro)} is more than ${formatUsd(MAX_GRANT_MICRO).replace('.00', '')} at a time.`,
      'Check the number of zeros.',
      'bad_value',
    )
  }
}

/** `--ref` and `--note`. */
export function readRefAndNote(call: Invocation): { ref: string | null; note: string | null } {
  return { ref: call.read('ref', parseRef), note: call.read('note', parseNote) }
}

/** Asks when the grant is large. */
export async function confirmGrant(
  context: Context,
  amountMicro: Micro,
  userName: string,
): Promise<void> {
  if (amountMicro >= ASK_FROM_MICRO) {
    await context.ask.confirm(`Grant ${formatUsdFull(amountMicro)} to ${userName}?`)
  }
}

/** Id and reference of a new entry; a reference that is made here is told before anything is written. */
export function nameMovement(
  context: Context,
  movement: { readonly type: string; readonly ref: string | null; readonly isRepeatable?: boolean },
): { readonly id: string; readonly ref: string } {
  const id = context.makeId('entry')
  const ref = movement.ref ?? `${movement.type}-${id.slice(-12)}`
  const { print, globals, terminal } = context
  const isTold = movement.ref === null && movement.isRepeatable !== false && !globals.dryRun
  const message = `To repeat this safely, add --ref ${ref}`
  // Also with --quiet: it is what a person needs when the command dies before its answer.
  if (isTold) {
    terminal.stderr.write(
      `${print.json ? JSON.stringify({ notice: { ref, message } }) : message}\n`,
    )
  }
  return { id, ref }
}

/** The reference belongs to something else already. */
export async function refConflict(
  context: Context,
  ref: string,
  { id, type, amountMicro }: LedgerEntry,
): Promise<CliError> {
  const found = await (await context.store()).findEntry(id)
  const whose = found === null ? '' : ` for ${found.userName}`
  return new CliError({
    code: 'ref_conflict',
    message: `The reference ${ref} was used before, for another movement: ${type} of ${formatUsdFull(amountMicro)}${whose} (${id}).`,
    hint: 'Nothing was changed. Use a new --ref, or repeat the first command exactly.',
    exitCode: EXIT.conflict,
  })
}

/** No balance can be that large. */
export function beyondTheBooks(userName: string): CliError {
  return new CliError({
    code: 'out_of_range',
    message: `The balance of ${userName} would be more than the books can hold.`,
    hint: 'Nothing was changed.',
    exitCode: EXIT.conflict,
  })
}

/** Somebody deleted the user meanwhile. */
export function userGone(userName: string): CliError {
  return new CliError({
    code: 'user_not_found',
    message: `The user ${userName} was deleted.`,
    hint: 'Nothing was changed. List users with: ccgate users list',
    exitCode: EXIT.notFound,
  })
}

/** Whether something was written under this reference already: then the store says what, and nobody is asked. */
export async function isRefUsed(context: Context, ref: string | null): Promise<boolean> {
  if (ref === null) return false
  const found = await (await context.store()).findEntry(ref)
  return found?.entry.ref === ref
}

/** Ends here what the store would refuse, so that nobody is asked in vain. */
export async function checkMovement(context: Context, movement: Movement): Promise<void> {
  const { type, userId, userName, amountMicro, allowNegative = false } = movement
  const wallet = await (await context.store()).getWallet(userId)
  if (wallet === null) throw userGone(userName)
  const { kind } = credit(wallet, { type, amountMicro, allowNegative })
  if (kind === 'insufficient') throw insufficient(userName, wallet)
  if (kind === 'out_of_range') throw beyondTheBooks(userName)
}

function insufficient(userName: string, { balanceMicro, heldMicro }: Wallet): CliError {
  return new CliError({
    code: 'insufficient_credit',
    message: `${userName} has ${formatUsdFull(balanceMicro - heldMicro)} available (balance ${formatUsdFull(balanceMicro)}, held ${formatUsdFull(heldMicro)}).`,
    hint: 'Take less, or add --allow-negative.',
    exitCode: EXIT.conflict,
  })
}

/** Writes the movement once; a reference is made, and told, before anything is written. */
export async function moveCredit(
  context: Context,
  movement: Movement,
): Promise<{ readonly entry: LedgerEntry; readonly duplicate: boolean }> {
  const store = await context.store()
  const { id, ref } = nameMovement(context, movement)
  const { userName, isRepeatable, ...wanted } = movement
  const result = await store.addCredit({ ...wanted, id, ref }, context.by())
  switch (result.kind) {
    case 'added':
    case 'duplicate':
      return { entry: result.entry, duplicate: result.kind === 'duplicate' }
    case 'conflict':
      throw await refConflict(context, ref, result.entry)
    case 'insufficient':
      throw insufficient(userName, result.wallet)
    case 'out_of_range':
      throw beyondTheBooks(userName)
    case 'no_user':
      throw userGone(userName)
    default:
      return unreachable(result)
  }
}
