import { findPrice, nearestModels, type PriceTable } from '../billing/price-table.ts'
import { BUILT_IN_PRICES } from '../billing/prices.ts'
import { type Parsed, parseCount, parseDuration } from '../core/quantity.ts'
import type { AccountPlan } from '../simulate/account.ts'
import { START_MS } from '../simulate/agenda.ts'
import type { Trouble } from '../simulate/run.ts'
import { readRank } from './commands/accounts-update.ts'
import type { Context } from './context.ts'
import { usageError } from './errors.ts'
import { accept, type Invocation } from './invocation.ts'

const MOST_ACCOUNTS = 64
const MOST_CONVERSATIONS = 5_000
const MOST_PROMPT = 150_000
/** All first prompts together: more would need more memory than a small machine has. */
const MOST_TOKENS = 10_000_000
const MODEL = 'claude-opus-5-5'
const HOUR_MS = 3_600_000
/** The outage begins when most requests come. */
const OUTAGE_FROM_MS = 10 * HOUR_MS
const LONGEST_OUTAGE_MS = 12 * HOUR_MS

/** What `ccgate simulate` was asked to play. */
export interface SimulateOptions {
  readonly model: string
  readonly prices: PriceTable
  readonly accounts: readonly AccountPlan[]
  readonly conversations: number
  readonly promptTokens: readonly number[]
  readonly trouble: Trouble
  readonly seed: number
}

/** Reads the options; mistakes are usage errors that name the option. */
export async function readSimulateOptions(
  context: Context,
  call: Invocation,
): Promise<SimulateOptions> {
  const conversations = call.read('conversations', between(1, MOST_CONVERSATIONS)) ?? 300
  const promptTokens = numbers(call, 'prompt', between(100, MOST_PROMPT)) ?? [2_000, 20_000]
  const mean = promptTokens.reduce((sum, tokens) => sum + tokens, 0) / promptTokens.length
  if (mean * conversations > MOST_TOKENS) {
    throw usageError(
      `${conversations} conversations of ${Math.round(mean)} tokens are more than this can hold.`,
      `Use fewer conversations or shorter prompts: at most ${MOST_TOKENS / 1_000_000}M tokens in all.`,
      'bad_value',
    )
  }
  const outageMs = call.read('outage', parseOutage) ?? 2 * HOUR_MS
  return {
    model: readModel(call),
    prices: BUILT_IN_PRICES,
    accounts: call.flag('mine') ? await ownAccounts(context, call) : madeUpAccounts(call),
    conversations,
    promptTokens,
    trouble: {
      overloaded: (call.read('overloaded', parsePercent) ?? 1) / 100,
      outage: outageMs === 0 ? null : { fromMs: OUTAGE_FROM_MS, forMs: outageMs },
    },
    seed: call.read('seed', between(0, 1_000_000_000)) ?? 1,
  }
}

function readModel(call: Invocation): string {
  const model = call.text('model') ?? MODEL
  const price = findPrice(BUILT_IN_PRICES, model, START_MS)
  if (price !== null) return price.id
  throw usageError(
    `--model: no model named "${model.slice(0, 100)}" here.`,
    `Nearest: ${nearestModels(BUILT_IN_PRICES, model, 3).join(', ')}`,
    'bad_value',
  )
}

function madeUpAccounts(call: Invocation): readonly AccountPlan[] {
  const asked = call.read('accounts', between(1, MOST_ACCOUNTS))
  const weights = numbers(call, 'weights', readRank)
  const count = asked ?? (weights !== null && weights.length > 1 ? weights.length : 4)
  const concurrency = numbers(call, 'concurrency', limit) ?? [10]
  const rpm = numbers(call, 'rpm', limit) ?? [null]
  const ofEach = <T>(name: string, list: readonly T[]) => {
    if (list.length === 1) return (_: number) => list[0]
    if (list.length === count) return (k: number) => list[k]
    throw usageError(
      `--${name} has ${list.length} values for ${count} accounts.`,
      `Give one for all, or ${count}: one for each.`,
      'bad_value',
    )
  }
  const weightOf = ofEach('weights', weights ?? [1])
  const concurrencyOf = ofEach('concurrency', concurrency)
  const rpmOf = ofEach('rpm', rpm)
  return Array.from({ length: count }, (_, k) => ({
    name: `account-${k + 1}`,
    weight: weightOf(k),
    priority: 1,
    concurrencyLimit: concurrencyOf(k),
    rpmLimit: rpmOf(k),
  }))
}

/** The enabled accounts of the database, with the figures that the choice goes by. */
async function ownAccounts(context: Context, call: Invocation): Promise<readonly AccountPlan[]> {
  const both = ['accounts', 'weights', 'concurrency', 'rpm'].find(
    (name) => call.text(name) !== null || call.list(name) !== null,
  )
  if (both !== undefined) {
    throw usageError(
      `--mine and --${both} cannot be used together.`,
      'Leave --mine out to describe a pool of your own making.',
      'bad_value',
    )
  }
  const store = await context.store('read')
  const all = await store.listAccounts(context.nowMs)
  const enabled = all.filter(({ disabledAtMs }) => disabledAtMs === null)
  if (enabled.length === 0) {
    throw usageError(
      '--mine: there is no enabled account.',
      'Add one: ccgate accounts add main',
      'bad_value',
    )
  }
  return enabled.map(({ name, weight, priority, concurrencyLimit, rpmLimit }) => ({
    name,
    weight,
    priority,
    concurrencyLimit,
    rpmLimit,
  }))
}

/** A repeatable option of values; null when it was not given. */
function numbers<T>(
  call: Invocation,
  name: string,
  read: (text: string) => Parsed<T>,
): readonly T[] | null {
  const texts = call.list(name)
  if (texts === null) return null
  if (texts.length > 0) return texts.map((text) => accept(read(text), `--${name}`))
  throw usageError(`--${name}: there is no value.`, 'Example: 3,1,1,1', 'bad_value')
}

function between(least: number, most: number): (text: string) => Parsed<number> {
  return (text) => {
    const count = parseCount(text)
    if (count.kind === 'bad' || (count.value >= least && count.value <= most)) return count
    return { kind: 'bad', problem: `${count.value} is out of range: use ${least} to ${most}` }
  }
}

function limit(text: string): Parsed<number | null> {
  if (text === 'none') return { kind: 'ok', value: null }
  const count = between(1, 1_000_000)(text)
  return count.kind === 'bad' ? { ...count, problem: `${count.problem}, or none` } : count
}

function parsePercent(text: string): Parsed<number> {
  const value = Number(text.replace(/\s?%$/, ''))
  return /^\d{1,2}(\.\d{1,3})?\s?%?$/.test(text) && value <= 90
    ? { kind: 'ok', value }
    : { kind: 'bad', problem: `"${text}" is not a percentage from 0 to 90. Example: 2.5` }
}

function parseOutage(text: string): Parsed<number> {
  const duration = parseDuration(text)
  if (duration.kind === 'bad' || duration.value <= LONGEST_OUTAGE_MS) return duration
  return { kind: 'bad', problem: `"${text}" is too long: at most 12h` }
}
