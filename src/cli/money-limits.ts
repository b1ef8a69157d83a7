import { parseMoney } from '../core/amount.ts'
import { windowOf } from '../core/calendar.ts'
import { parseDisconnectPolicy } from '../core/disconnect-policy.ts'
import { parseMarkup } from '../core/markup.ts'
import type { DisconnectPolicy, Fraction, SpendLimit } from '../core/model.ts'
import type { Micro } from '../core/money.ts'
import type { Parsed } from '../core/quantity.ts'
import { parseSpendLimit } from '../core/spend-limit.ts'
import type { KeySummary, Window } from '../store/store.ts'
import type { Invocation } from './invocation.ts'

/** A limit as typed, null where it was taken away; the whole is null when the option was not given. */
type Given<T> = { readonly value: T | null } | null

/** `--spend-limit 200/month`; `none` takes it away, `default` is that of the config. */
export function readSpendLimit(call: Invocation, fallback: SpendLimit | null): Given<SpendLimit> {
  return readGiven(call, 'spend-limit', parseSpendLimit, { none: null, default: fallback })
}

/** `--burn-limit 2`: dollars per minute; `/min` may follow. */
export function readBurnLimit(call: Invocation): Given<Micro> {
  const parse = (text: string) => above0(text.replace(/\s*\/\s*min(ute)?$/i, ''))
  return readGiven(call, 'burn-limit', parse, { none: null })
}

/** `--markup 1.2`; `default` is that of model and server. */
export function readMarkup(call: Invocation): Given<Fraction> {
  return readGiven(call, 'markup', parseMarkup, { default: null })
}

/** `--on-disconnect cancel`; `default` is that of the server. */
export function readOnDisconnect(call: Invocation): Given<DisconnectPolicy> {
  return readGiven(call, 'on-disconnect', parseDisconnectPolicy, { default: null })
}

/** `--day-cap 50`, `--month-cap 1000`, in dollars of our own list cost. */
export function readCap(call: Invocation, name: 'day-cap' | 'month-cap'): Given<Micro> {
  return readGiven(call, name, above0, { none: null })
}

/** `--low-balance 20`; `none` never warns, `default` is that of the config. */
export function readLowBalance(call: Invocation): Given<Micro> {
  return readGiven(call, 'low-balance', parseMoney, { none: 0, default: null })
}

/** The window of a limit that `nowMs` is in; null where there is no limit. */
export function windowOfLimit(
  limit: SpendLimit | null,
  now: { readonly nowMs: number; readonly timeZone: string },
): Window | null {
  return limit === null ? null : windowOf(limit.period, now.nowMs, now.timeZone)
}

/** What a key has used of its spend limit, and when that begins anew; null without a limit. */
export function limitUseOf(
  key: Pick<KeySummary, 'spendLimit'> & Partial<Pick<KeySummary, 'limitUse'>>,
  now: { readonly nowMs: number; readonly timeZone: string },
): { spentMicro: Micro; heldMicro: Micro; resetsAtMs: number | null } | null {
  const window = windowOfLimit(key.spendLimit, now)
  if (key.spendLimit === null || window === null) return null
  return {
    spentMicro: key.limitUse?.spentMicro ?? 0,
    heldMicro: key.limitUse?.heldMicro ?? 0,
    resetsAtMs: key.spendLimit.period === 'total' ? null : window.untilMs,
  }
}

function readGiven<T>(
  call: Invocation,
  name: string,
  parse: (text: string) => Parsed<T>,
  words: Readonly<Record<string, T | null>>,
): Given<T> {
  return call.read(name, (text): Parsed<{ readonly value: T | null }> => {
    const word = text.trim().toLowerCase()
    if (Object.hasOwn(words, word)) return { kind: 'ok', value: { value: words[word] } }
    const parsed = parse(text)
    return parsed.kind === 'bad' ? parsed : { kind: 'ok', value: { value: parsed.value } }
  })
}

function above0(text: string): Parsed<Micro> {
  const parsed = parseMoney(text)
  if (parsed.kind === 'bad' || parsed.value > 0) return parsed
  return { kind: 'bad', problem: 'nothing could be spent; for no limit say none' }
}
