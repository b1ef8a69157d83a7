import type { KeyLimits } from '../../store/store.ts'
import { readTags, warnWhereUnserved } from '../account-options.ts'
import { type Context, expectFound } from '../context.ts'
import { CliError, EXIT } from '../errors.ts'
import type { Invocation } from '../invocation.ts'
import { limitChanges } from '../key-text.ts'
import { readLimit, readModels } from '../limits.ts'
import {
  readBurnLimit,
  readMarkup,
  readOnDisconnect,
  readSpendLimit,
  windowOfLimit,
} from '../money-limits.ts'
import { parseNote } from '../parse/name.ts'
import { keyJson } from '../records.ts'
import { printKey, readExpiry } from './keys.ts'

/** Changes what a key may do; without an option it shows the key. */
export async function limitKey(context: Context, call: Invocation): Promise<void> {
  const { print, nowMs } = context
  const { config } = await context.config()
  const { timeZone } = config
  const change = await readChange(context, call)
  const isShow = Object.keys(change).length === 0
  const store = await context.store(isShow ? 'read' : 'write')
  const key = expectFound(await store.findKey(call.arg(0)), 'key', call.arg(0))
  if (isShow) return printKey(context, key)
  const limit = change.spendLimit === undefined ? key.spendLimit : change.spendLimit
  const window = windowOfLimit(limit, { nowMs, timeZone })
  const result = await store.limitKey(key.id, change, window, context.by())
  if (result.kind === 'not_found') {
    throw new CliError({
      code: 'key_not_found',
      message: `The key ${call.arg(0)} is gone.`,
      hint: 'List them with: ccgate keys list',
      exitCode: EXIT.notFound,
    })
  }
  if (change.accountTags !== undefined || change.models !== undefined)
    await warnWhereUnserved(context, result.after)
  const isChanged = result.kind === 'changed'
  if (print.json) {
    // Read again: a new limit counts what was spent in its period so far.
    const activity = expectFound(await store.findKey(key.id), 'key', key.id)
    const facts = { userState: key.userState, nowMs, timeZone }
    const after = keyJson(result.after, { ...facts, activity })
    const before = keyJson(result.before, { ...facts, activity: key })
    const previous = Object.fromEntries(
      LIMIT_FIELDS.filter(
        (name) =>
          JSON.stringify(settingOf(before[name])) !== JSON.stringify(settingOf(after[name])),
      ).map((name) => [name, before[name]]),
    )
    return print.document({ ...after, changed: isChanged, in_force: 'now', previous })
  }
  if (print.quiet) return
  const changes = limitChanges(result.before, result.after, {
    calendar: context.calendar(),
    nowMs,
  })
  print.out(
    isChanged
      ? `${key.userName}/${key.name}  ${changes.join(' · ')}.${context.globals.dryRun ? '' : '   In force now.'}`
      : `${key.userName}/${key.name} is set like that already.`,
  )
}

async function readChange(context: Context, call: Invocation): Promise<KeyLimits> {
  const { limits } = (await context.config()).config
  const rpm = readLimit(call, 'rpm', limits.defaultRpm)
  const concurrency = readLimit(call, 'concurrency', limits.defaultConcurrency)
  const spendLimit = readSpendLimit(call, limits.defaultSpendLimit)
  const burnLimit = readBurnLimit(call)
  const markup = readMarkup(call)
  const onDisconnect = readOnDisconnect(call)
  const models = await readModels(context, call)
  const accountTags = readTags(call, 'account-tag', 'any')
  const expiry = readExpiry(context, call)
  const note = call.read('note', parseNote)
  return {
    ...(rpm === null ? {} : { rpmLimit: rpm.value }),
    ...(concurrency === null ? {} : { concurrencyLimit: concurrency.value }),
    ...(spendLimit === null ? {} : { spendLimit: spendLimit.value }),
    ...(burnLimit === null ? {} : { burnLimitMicro: burnLimit.value }),
    ...(markup === null ? {} : { markup: markup.value }),
    ...(onDisconnect === null ? {} : { onDisconnect: onDisconnect.value }),
    ...(models === null ? {} : { models }),
    ...(accountTags === null ? {} : { accountTags: accountTags.value }),
    ...(expiry === null ? {} : { expiresAtMs: expiry.atMs }),
    ...(note === null ? {} : { note: note === 'none' ? null : note }),
  }
}

const LIMIT_FIELDS = [
  'rpm_limit',
  'concurrency_limit',
  'spend_limit',
  'burn_limit_micro',
  'markup',
  'on_disconnect',
  'models',
  'account_tags',
  'expires_at',
  'note',
] as const

/** A spend limit without what was used of it. */
function settingOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const { amount_micro, period } = value as Record<string, unknown>
  return { amount_micro, period }
}
