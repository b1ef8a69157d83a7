import { disconnectPolicyText } from '../core/disconnect-policy.ts'
import { markupText } from '../core/markup.ts'
import type { Key } from '../core/model.ts'
import { formatUsdFull } from '../core/money.ts'
import { spendLimitText } from '../core/spend-limit.ts'
import { safeText } from '../core/text.ts'
import type { KeySummary } from '../store/store.ts'
import type { Calendar } from './format.ts'
import { countOf, formatCount } from './format.ts'
import { modelsText } from './limits.ts'
import { limitUseOf } from './money-limits.ts'

/** `60 requests/min, $200.00/month`: what a new key may do, in a sentence. */
export function limitsText(key: Key): string {
  const rpm =
    key.rpmLimit === null ? 'no limit per minute' : `${countOf(key.rpmLimit, 'request')}/min`
  return [
    rpm,
    ...(key.spendLimit === null ? [] : [spendLimitText(key.spendLimit)]),
    ...(key.models.includes('*') ? [] : [modelsText(key.models)]),
    ...accountTagsPart(key),
  ].join(', ')
}

/** All limits of a key with how much of them is used: `60/min · 20 parallel · $200.00/month, $118.03 used, resets 1 Dec · all models`. */
export function limitsLine(
  key: KeySummary,
  now: { readonly nowMs: number; readonly timeZone: string },
): string {
  const rpm = key.rpmLimit === null ? 'no limit per minute' : `${formatCount(key.rpmLimit)}/min`
  const parallel =
    key.concurrencyLimit === null
      ? 'any number parallel'
      : `${formatCount(key.concurrencyLimit)} parallel`
  return [
    rpm,
    parallel,
    ...spendPart(key, now),
    ...(key.burnLimitMicro === null ? [] : [`${formatUsdFull(key.burnLimitMicro)}/min`]),
    modelsText(key.models),
    ...accountTagsPart(key),
  ].join(' · ')
}

function accountTagsPart({ accountTags }: Key): readonly string[] {
  return accountTags === null ? [] : [`accounts tagged ${accountTags.join(' or ')}`]
}

function spendPart(
  key: KeySummary,
  now: { readonly nowMs: number; readonly timeZone: string },
): readonly string[] {
  const use = limitUseOf(key, now)
  if (use === null) return []
  const held = use.heldMicro === 0 ? '' : ` and ${formatUsdFull(use.heldMicro)} held`
  const resets = use.resetsAtMs === null ? '' : `, resets ${resetText(use.resetsAtMs, now)}`
  return [
    `${spendLimitText(key.spendLimit)}, ${formatUsdFull(use.spentMicro)} used${held}${resets}`,
  ]
}

/** `1 Dec`, or `00:00` when that is within a day; in the zone whose days are counted. */
function resetText(
  atMs: number,
  { nowMs, timeZone }: { readonly nowMs: number; readonly timeZone: string },
): string {
  const isSoon = atMs - nowMs <= 86_400_000
  const time = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    ...(isSoon ? { hour: '2-digit', minute: '2-digit' } : { day: 'numeric', month: 'short' }),
  }).format(atMs)
  return isSoon ? `${time} ${timeZone}` : time
}

/** Settings of a key that differ from the server's; empty when none does. */
export function ownSettings(key: Key): readonly string[] {
  return [
    ...(key.markup === null ? [] : [`mark-up ${markupText(key.markup)}`]),
    ...(key.onDisconnect === null
      ? []
      : [`on disconnect ${disconnectPolicyText(key.onDisconnect)}`]),
  ]
}

/** `requests/min 60 → 120`: what a change of limits did. */
export function limitChanges(
  before: Key,
  after: Key,
  { calendar, nowMs }: { readonly calendar: Calendar; readonly nowMs: number },
): readonly string[] {
  const count = (limit: number | null) => (limit === null ? 'none' : formatCount(limit))
  const fields: readonly (readonly [string, (key: Key) => string])[] = [
    ['requests/min', (key) => count(key.rpmLimit)],
    ['parallel', (key) => count(key.concurrencyLimit)],
    ['spend limit', (key) => spendLimitText(key.spendLimit)],
    [
      'burn limit',
      (key) => (key.burnLimitMicro === null ? 'none' : `${formatUsdFull(key.burnLimitMicro)}/min`),
    ],
    ['mark-up', (key) => (key.markup === null ? 'default' : markupText(key.markup))],
    ['on disconnect', (key) => disconnectPolicyText(key.onDisconnect)],
    ['models', (key) => key.models.join(',')],
    ['account tags', (key) => key.accountTags?.join(',') ?? 'any'],
    ['expires', (key) => expiryText(key, { calendar, nowMs })],
    ['note', (key) => safeText(key.note ?? 'none')],
  ]
  return fields
    .filter(([, text]) => text(before) !== text(after))
    .map(([name, text]) => `${name} ${text(before)} → ${text(after)}`)
}

/** `never`, or when. */
export function expiryText(
  key: Key,
  { calendar, nowMs }: { readonly calendar: Calendar; readonly nowMs: number },
): string {
  return key.expiresAtMs === null ? 'never' : calendar.stamp(key.expiresAtMs, nowMs)
}
