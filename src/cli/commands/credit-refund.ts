import { parseMoney } from '../../core/amount.ts'
import { unreachable } from '../../core/invariant.ts'
import { formatUsdFull, type Micro } from '../../core/money.ts'
import type { Charge, RefundResult } from '../../store/store.ts'
import type { Context } from '../context.ts'
import { CliError, EXIT, usageError } from '../errors.ts'
import {
  beyondTheBooks,
  isRefUsed,
  nameMovement,
  readRefAndNote,
  refConflict,
  userGone,
} from '../grant.ts'
import { accept, type Invocation } from '../invocation.ts'
import { entryJson } from '../records.ts'

/** Gives back the charge of a request, or a part of it; without an amount all that is left. */
export async function refundCredit(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const amountMicro = call.args[1] === undefined ? null : readAmount(call.args[1])
  const { ref, note } = readRefAndNote(call)
  const store = await context.store()
  const requestId = await findRequestId(context, call.arg(0))
  const charge = await store.getCharge(requestId)
  if (charge === null) throw await notCharged(context, requestId)
  const leftMicro = charge.chargeMicro - charge.refundedMicro
  const wantedMicro = amountMicro ?? leftMicro
  // Under a reference that was used, only the store knows whether this is a repetition.
  if (!(await isRefUsed(context, ref))) {
    if (wantedMicro === 0 || wantedMicro > leftMicro) throw tooMuch(charge, leftMicro)
    if ((await store.findUser(charge.userId)).kind !== 'found') throw userGone(charge.userName)
    const of = wantedMicro === charge.chargeMicro ? '' : ` of ${formatUsdFull(charge.chargeMicro)}`
    await context.ask.confirm(
      `Give back ${formatUsdFull(wantedMicro)}${of} to ${charge.userName} for ${requestId}?`,
    )
  }
  const named = nameMovement(context, { type: 'refund', ref })
  const result = await store.refundCharge({ ...named, requestId, amountMicro, note }, context.by())
  if (result.kind === 'conflict') throw await refConflict(context, named.ref, result.entry)
  const { kind, entry, leftMicro: restMicro } = expectRefund(charge, result)
  const duplicate = kind === 'duplicate'
  if (print.json) {
    return print.document({
      ...entryJson(entry, charge.userName),
      duplicate,
      charge_micro: charge.chargeMicro,
      left_micro: restMicro,
      changed: !duplicate,
      in_force: 'now',
    })
  }
  if (print.quiet) return print.out(entry.id)
  const amount = formatUsdFull(entry.amountMicro)
  // A reference that was made here has been told already.
  const source = `(${entry.id}${ref === null ? '' : `, ref ${ref}`})`
  if (duplicate) {
    return print.out(`Done before, nothing changed: ${amount} for ${charge.userName}.   ${source}`)
  }
  const beforeMicro: Micro = entry.balanceAfterMicro - entry.amountMicro
  const [did, of] = context.globals.dryRun ? ['Would give back', ''] : ['Gave back', `   ${source}`]
  print.out(
    `${did} ${amount} to ${charge.userName}. Balance ${formatUsdFull(beforeMicro)} → ${formatUsdFull(entry.balanceAfterMicro)}.${of}`,
  )
  if (restMicro > 0) print.note(`${formatUsdFull(restMicro)} of what it cost is left.`)
}

function readAmount(text: string): Micro {
  const amountMicro = accept(parseMoney(text), 'amount')
  if (amountMicro === 0) {
    throw usageError(
      'Amount: nothing to refund.',
      'Leave the amount out to give all back.',
      'bad_value',
    )
  }
  return amountMicro
}

/** The entry that was made, or an error that says why there is none. */
function expectRefund(
  charge: Charge,
  result: Exclude<RefundResult, { kind: 'conflict' }>,
): Extract<RefundResult, { kind: 'added' | 'duplicate' }> {
  const { userName, requestId } = charge
  switch (result.kind) {
    case 'added':
    case 'duplicate':
      return result
    case 'too_much':
      throw tooMuch(charge, result.leftMicro)
    case 'no_charge':
      throw nothingToRefund(`${requestId} was not charged.`, `See: ccgate usage show ${requestId}`)
    case 'no_user':
      throw userGone(userName)
    case 'out_of_range':
      throw beyondTheBooks(userName)
    default:
      return unreachable(result)
  }
}

function tooMuch({ requestId, chargeMicro }: Charge, leftMicro: Micro): CliError {
  return nothingToRefund(
    `${requestId} cost ${formatUsdFull(chargeMicro)}, of which ${formatUsdFull(leftMicro)} is left to give back.`,
    'More than a charge: ccgate credit grant, with a note',
  )
}

/** By `ccr_…` or a unique prefix of it, or Anthropic's `req_…`. */
async function findRequestId(context: Context, ref: string): Promise<string> {
  const store = await context.store()
  if (ref.startsWith('req_')) {
    const row = await store.findUsageByUpstreamId(ref)
    if (row !== null) return row.requestId
  } else if ((await store.getCharge(ref)) !== null) {
    return ref
  } else if (/^ccr_[0-9a-z]{8,}$/.test(ref)) {
    const ids = await store.findUsageIds(ref)
    if (ids.length === 1) return ids[0]
    if (ids.length > 1) {
      throw usageError(
        `"${ref}" means more than one request.`,
        `Say which: ${ids.slice(0, 5).join(', ')}`,
        'ambiguous',
      )
    }
    // A running request has no usage row yet.
    if ((await store.getUsage(ref)) !== null) return ref
  }
  throw new CliError({
    code: 'request_not_found',
    message: `There is no request "${ref}".`,
    hint: 'Ids look like ccr_… and are in the X-CC-Request-Id header. The latest: ccgate usage list',
    exitCode: EXIT.notFound,
  })
}

async function notCharged(context: Context, requestId: string): Promise<CliError> {
  const usage = await (await context.store()).getUsage(requestId)
  return usage?.kind === 'pending'
    ? nothingToRefund(`${requestId} is still running.`, 'Try again when it has ended.')
    : nothingToRefund(`${requestId} was not charged.`, `See: ccgate usage show ${requestId}`)
}

function nothingToRefund(message: string, hint: string): CliError {
  return new CliError({ code: 'nothing_to_refund', message, hint, exitCode: EXIT.conflict })
}
