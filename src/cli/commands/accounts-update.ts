import type { Account } from '../../core/model.ts'
import { formatUsdFull, type Micro } from '../../core/money.ts'
import type { ProxyUrl } from '../../core/proxy-url.ts'
import { type Parsed, parseCount } from '../../core/quantity.ts'
import { safeText } from '../../core/text.ts'
import type { AccountUpdate } from '../../store/store.ts'
import {
  openProxy,
  readCacheScope,
  readHours,
  readProxy,
  readTags,
  readTpm,
  sealProxy,
} from '../account-options.ts'
import { type Context, expectFound } from '../context.ts'
import { usageError } from '../errors.ts'
import type { Invocation } from '../invocation.ts'
import { readLimit, readModels } from '../limits.ts'
import { readCap } from '../money-limits.ts'
import { parseNote } from '../parse/name.ts'
import { unservedKeys, warnOfUnservedKeys } from '../unserved-keys.ts'
import { changeJson, expectChange } from './accounts.ts'

/** Changes what the operator says of an account; its key is replaced by `rotate`. */
export async function updateAccount(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const settings = await readSettings(context, call)
  const proxy = await readProxy(context, call)
  if (Object.keys(settings).length === 0 && proxy === null) {
    throw usageError('Nothing to change.', 'Example: --day-cap 50', 'missing_option')
  }
  const store = await context.store()
  const account = expectFound(await store.findAccount(call.arg(0)), 'account', call.arg(0))
  const update = { ...settings, ...(await proxyChange(context, account, proxy)) }
  const unserved = await unservedKeys(context)
  const change = expectChange(await store.updateAccount(account.id, update, context.by()), account)
  const now = await context.now()
  await warnOfUnservedKeys(context, unserved)
  if (print.json) return print.document(changeJson(now, account, change))
  if (print.quiet) return
  const changes = accountChanges(change.before, change.after)
  const isNewLogin = update.proxy != null && change.before.proxy === change.after.proxy
  if (isNewLogin) changes.push(`proxy ${change.after.proxy} with another login`)
  print.out(
    change.kind === 'changed'
      ? `${account.name}  ${changes.join(' · ')}.${context.globals.dryRun ? '' : '   In force now.'}`
      : `${account.name} is set like that already.`,
  )
  if (update.hours != null)
    print.note(`Hours are those of ${now.timeZone} (timezone in the config).`)
}

/** The store would take the same proxy for a new one: sealed twice, it looks different. */
async function proxyChange(
  context: Context,
  { id, proxy: before }: Account,
  given: { readonly value: ProxyUrl | null } | null,
): Promise<Pick<AccountUpdate, 'proxy'>> {
  if (given === null) return {}
  if (given.value === null) return { proxy: null }
  const { vault } = await context.install()
  if (before === given.value.text) {
    const stored = (await (await context.store()).loadAccounts()).find(
      ({ account }) => account.id === id,
    )
    if (openProxy(vault, id, stored?.sealedProxy ?? null) === given.value.url) return {}
  }
  return { proxy: sealProxy(vault, id, given.value) }
}

async function readSettings(
  context: Context,
  call: Invocation,
): Promise<Omit<AccountUpdate, 'proxy'>> {
  const priority = call.read('priority', readRank)
  const weight = call.read('weight', readRank)
  const rpm = readLimit(call, 'rpm', null)
  const concurrency = readLimit(call, 'concurrency', null)
  const models = await readModels(context, call)
  const dayCap = readCap(call, 'day-cap')
  const monthCap = readCap(call, 'month-cap')
  const tpm = readTpm(call)
  const tags = readTags(call, 'tag', 'none')
  const cacheScope = readCacheScope(call)
  const hours = readHours(call)
  const note = call.read('note', parseNote)
  return {
    ...(priority === null ? {} : { priority }),
    ...(weight === null ? {} : { weight }),
    ...(rpm === null ? {} : { rpmLimit: rpm.value }),
    ...(concurrency === null ? {} : { concurrencyLimit: concurrency.value }),
    ...(models === null ? {} : { models }),
    ...(dayCap === null ? {} : { dayCapMicro: dayCap.value }),
    ...(monthCap === null ? {} : { monthCapMicro: monthCap.value }),
    ...(tpm === null ? {} : { tpmLimit: tpm.value }),
    ...(tags === null ? {} : { tags: tags.value ?? [] }),
    ...(cacheScope === null ? {} : { cacheScope: cacheScope.value }),
    ...(hours === null ? {} : { hours: hours.value }),
    ...(note === null ? {} : { note: note === 'none' ? null : note }),
  }
}

/** A priority or a weight. */
export function readRank(text: string): Parsed<number> {
  const count = parseCount(text)
  if (count.kind === 'bad' || (count.value >= 1 && count.value <= 1_000)) return count
  return { kind: 'bad', problem: `${count.value} is out of range: use 1 to 1000` }
}

function accountChanges(before: Account, after: Account): string[] {
  const count = (limit: number | null) => (limit === null ? 'none' : String(limit))
  const money = (cap: Micro | null) => (cap === null ? 'none' : formatUsdFull(cap))
  const fields: readonly (readonly [string, (account: Account) => string])[] = [
    ['priority', (account) => String(account.priority)],
    ['weight', (account) => String(account.weight)],
    ['requests/min', (account) => count(account.rpmLimit)],
    ['parallel', (account) => count(account.concurrencyLimit)],
    ['tokens/min', (account) => count(account.tpmLimit)],
    ['models', (account) => account.models.join(',')],
    ['tags', (account) => account.tags.join(',') || 'none'],
    ['cache scope', (account) => account.cacheScope ?? 'none'],
    ['hours', (account) => account.hours ?? 'always'],
    ['proxy', (account) => account.proxy ?? 'none'],
    ['day cap', (account) => money(account.dayCapMicro)],
    ['month cap', (account) => money(account.monthCapMicro)],
    ['note', (account) => safeText(account.note ?? 'none')],
  ]
  return fields
    .filter(([, text]) => text(before) !== text(after))
    .map(([name, text]) => `${name} ${text(before)} → ${text(after)}`)
}
