import type { Account } from '../../core/model.ts'
import { formatUsdFull, type Micro } from '../../core/money.ts'
import { type Parsed, parseCount } from '../../core/quantity.ts'
import { safeText } from '../../core/text.ts'
import type { AccountUpdate } from '../../store/store.ts'
import { type Context, expectFound } from '../context.ts'
import { usageError } from '../errors.ts'
import type { Invocation } from '../invocation.ts'
import { readLimit, readModels } from '../limits.ts'
import { readCap } from '../money-limits.ts'
import { parseNote } from '../parse/name.ts'
import { changeJson, expectChange } from './accounts.ts'

/** Changes order, limits and caps of an account; its key is replaced by `rotate`. */
export async function updateAccount(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const update = await readUpdate(context, call)
  if (Object.keys(update).length === 0) {
    throw usageError('Nothing to change.', 'Example: --day-cap 50', 'missing_option')
  }
  const store = await context.store()
  const account = expectFound(await store.findAccount(call.arg(0)), 'account', call.arg(0))
  const change = expectChange(await store.updateAccount(account.id, update, context.by()), account)
  if (print.json) return print.document(changeJson(context, account, change))
  if (print.quiet) return
  const changes = accountChanges(change.before, change.after)
  print.out(
    change.kind === 'changed'
      ? `${account.name}  ${changes.join(' · ')}.   In force now.`
      : `${account.name} is set like that already.`,
  )
}

async function readUpdate(context: Context, call: Invocation): Promise<AccountUpdate> {
  const priority = call.read('priority', readRank)
  const weight = call.read('weight', readRank)
  const rpm = readLimit(call, 'rpm', null)
  const concurrency = readLimit(call, 'concurrency', null)
  const models = await readModels(context, call)
  const dayCap = readCap(call, 'day-cap')
  const monthCap = readCap(call, 'month-cap')
  const note = call.read('note', parseNote)
  return {
    ...(priority === null ? {} : { priority }),
    ...(weight === null ? {} : { weight }),
    ...(rpm === null ? {} : { rpmLimit: rpm.value }),
    ...(concurrency === null ? {} : { concurrencyLimit: concurrency.value }),
    ...(models === null ? {} : { models }),
    ...(dayCap === null ? {} : { dayCapMicro: dayCap.value }),
    ...(monthCap === null ? {} : { monthCapMicro: monthCap.value }),
    ...(note === null ? {} : { note: note === 'none' ? null : note }),
  }
}

/** A priority or a weight. */
export function readRank(text: string): Parsed<number> {
  const count = parseCount(text)
  if (count.kind === 'bad' || (count.value >= 1 && count.value <= 1_000)) return count
  return { kind: 'bad', problem: `${count.value} is out of range: use 1 to 1000` }
}

function accountChanges(before: Account, after: Account): readonly string[] {
  const count = (limit: number | null) => (limit === null ? 'none' : String(limit))
  const money = (cap: Micro | null) => (cap === null ? 'none' : formatUsdFull(cap))
  const fields: readonly (readonly [string, (account: Account) => string])[] = [
    ['priority', (account) => String(account.priority)],
    ['weight', (account) => String(account.weight)],
    ['requests/min', (account) => count(account.rpmLimit)],
    ['parallel', (account) => count(account.concurrencyLimit)],
    ['models', (account) => account.models.join(',')],
    ['day cap', (account) => money(account.dayCapMicro)],
    ['month cap', (account) => money(account.monthCapMicro)],
    ['note', (account) => safeText(account.note ?? 'none')],
  ]
  return fields
    .filter(([, text]) => text(before) !== text(after))
    .map(([name, text]) => `${name} ${text(before)} → ${text(after)}`)
}
