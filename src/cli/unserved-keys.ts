import { allowsModel, servedModels } from '../billing/price-table.ts'
import type { Account, Key } from '../core/model.ts'
import type { Attention } from './attention.ts'
import type { Context } from './context.ts'
import { formatCount } from './format.ts'
import { type ModelFacts, modelFacts } from './model-table.ts'

/** So many keys are named; the rest are counted. */
const MOST_NAMED = 5

/** What of an account decides whom it may serve. */
export type ServingAccount = Pick<Account, 'id' | 'name' | 'tags' | 'models' | 'disabledAtMs'>

/**
 * Keys that may be used and that no enabled account can ever serve: by tags, by models, or by both. None where
 * no account is enabled at all, which is news of another kind.
 */
export async function unservedKeys(
  context: Context,
  accounts?: readonly ServingAccount[],
): Promise<readonly Key[]> {
  const { nowMs } = context
  const store = await context.store('read')
  const all = accounts ?? (await store.listAccounts(nowMs))
  const enabled = all.filter(({ disabledAtMs }) => disabledAtMs === null)
  if (enabled.length === 0) return []
  const facts = await modelFacts(context)
  const known = new Map<string, boolean>()
  const isServed = (key: Key) => {
    // Most keys are confined alike.
    const confined = JSON.stringify([key.accountTags, key.models])
    const served = known.get(confined) ?? enabled.some((account) => mayServe(account, key, facts))
    known.set(confined, served)
    return served
  }
  return (await store.loadKeys())
    .filter(({ userState }) => userState === 'active')
    .map(({ key }) => key)
    .filter(
      ({ revokedAtMs, expiresAtMs }) =>
        revokedAtMs === null && (expiresAtMs ?? Number.POSITIVE_INFINITY) > nowMs,
    )
    .filter((key) => !isServed(key))
}

function mayServe(account: ServingAccount, key: Key, { table, nowMs }: ModelFacts): boolean {
  const { accountTags } = key
  if (accountTags !== null && !accountTags.some((tag) => account.tags.includes(tag))) return false
  return servedModels(table, nowMs).some(
    (row) =>
      allowsModel(table, key.models, row, nowMs) && allowsModel(table, account.models, row, nowMs),
  )
}

/** Says which keys a change has left without any account; `before` are those that had none already. */
export async function warnOfUnservedKeys(context: Context, before: readonly Key[]): Promise<void> {
  const had = new Set(before.map(({ id }) => id))
  const lost = (await unservedKeys(context)).filter(({ id }) => !had.has(id))
  if (lost.length > 0)
    context.print.warn(
      `${unservedText(lost)}. ${lost.length === 1 ? 'Its' : 'Their'} requests are refused until one may.`,
    )
}

/** `No enabled account may serve dave/slow (tagged us)`. */
export function unservedText(keys: readonly Key[]): string {
  const named = keys.slice(0, MOST_NAMED).map(nameOf)
  const rest = keys.length - named.length
  const texts = rest === 0 ? named : [...named, `${formatCount(rest)} more`]
  const last = texts.length > 1 ? ` and ${texts.pop()}` : ''
  return `No enabled account may serve ${texts.join(', ')}${last}`
}

/** Keys that no account may serve, for what a person should look at. */
export function unservedAttention(keys: readonly Key[]): readonly Attention[] {
  if (keys.length === 0) return []
  const [first] = keys
  return [
    {
      code: 'keys_without_account',
      message: unservedText(keys),
      command: `ccgate keys show ${first.userName}/${first.name}`,
    },
  ]
}

function nameOf({ userName, name, accountTags, models }: Key): string {
  const confined = [
    ...(accountTags === null ? [] : [`tagged ${accountTags.join(' or ')}`]),
    ...(models.includes('*') ? [] : [`for ${models.join(', ')}`]),
  ]
  return `${userName}/${name}${confined.length === 0 ? '' : ` (${confined.join(', ')})`}`
}
