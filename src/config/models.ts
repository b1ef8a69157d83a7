import { isModelPattern, isPlainName } from '../billing/model-names.ts'
import { priceValue, type StoredChange, UNKNOWN_MODELS } from '../billing/price-changes.ts'
import { hasPrice, Problems, priceOfEntry, readSettingEntry } from '../billing/price-entry.ts'
import { findPrice } from '../billing/price-table.ts'
import { isRecord } from '../billing/price-value.ts'
import { BUILT_IN_PRICES } from '../billing/prices.ts'

/** A change of prices or mark-ups that the config asks for; the daemon writes it down when it is new. */
export type ConfiguredChange = Pick<StoredChange, 'kind' | 'subject' | 'value'>

/** Something wrong below a setting: `path` leads on from it. */
export interface MemberProblem {
  readonly path: readonly (string | number)[]
  readonly message: string
}

type Read<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'bad'; readonly problems: readonly MemberProblem[] }

/** The newest row that is built in: a config has no time. */
const LATEST_MS = Number.MAX_SAFE_INTEGER

/** `["claude-*"]`, or `claude-opus-*,claude-haiku-*` from the environment. */
export function readPatterns(value: unknown): Read<readonly string[]> {
  const items = typeof value === 'string' ? value.split(',') : value
  if (!Array.isArray(items)) {
    return bad(`${shown(value)} is not a list. Example: ["claude-haiku-*"]`)
  }
  const patterns = items.map((item) => String(item).trim()).filter((item) => item !== '')
  const wrong = patterns.find((pattern) => !isModelPattern(pattern))
  if (wrong === undefined) return { kind: 'ok', value: patterns }
  return bad(`"${wrong}" is not a model or glob. Example: claude-haiku-*`)
}

/** `{my-model: claude-sonnet-4-6}`. */
export function readAliases(value: unknown): Read<Readonly<Record<string, string>>> {
  if (!isRecord(value)) return bad(noGroup(value, '{my-model: claude-sonnet-4-6}'))
  const problems = new Problems()
  const aliases: Record<string, string> = {}
  for (const [alias, target] of Object.entries(value)) {
    const known = findPrice(BUILT_IN_PRICES, alias, LATEST_MS)
    if (!isPlainName(alias)) problems.add([alias], 'is not a name: letters, digits and . _ : @ / -')
    else if (known !== null) {
      problems.add([alias], `is the name of ${known.id} itself. Choose another one`)
    } else if (typeof target !== 'string' || !isPlainName(target)) {
      problems.add([alias], 'needs the id of a model. Example: my-model: claude-sonnet-4-6')
    } else if (Object.hasOwn(value, target)) {
      problems.add([alias], `stands for "${target}", which is an alias too: name the model`)
    } else aliases[alias] = target
  }
  return problems.found.length > 0
    ? { kind: 'bad', problems: problems.found }
    : { kind: 'ok', value: aliases }
}

/**
 * `{gpt-4o: claude-sonnet-4-6, "gpt-*": claude-haiku-4-5}`: names and globs that clients of OpenAI's formats
 * use, and what they mean.
 */
export function readModelMap(value: unknown): Read<Readonly<Record<string, string>>> {
  if (!isRecord(value)) return bad(noGroup(value, '{gpt-4o: claude-sonnet-4-6}'))
  const problems = new Problems()
  const map: Record<string, string> = {}
  for (const [name, target] of Object.entries(value)) {
    if (!isModelPattern(name))
      problems.add([name], 'is not a name or a glob. Example: gpt-4o, gpt-*')
    else if (typeof target !== 'string' || !isPlainName(target)) {
      problems.add([name], 'needs the id of a model. Example: gpt-4o: claude-sonnet-4-6')
    } else map[name] = target
  }
  return problems.found.length > 0
    ? { kind: 'bad', problems: problems.found }
    : { kind: 'ok', value: map }
}

/** `{claude-sonnet-4-6: {input: 3.00, …}, "claude-opus-*": {markup: 1.20}}`. */
export function readPrices(value: unknown): Read<readonly ConfiguredChange[]> {
  if (!isRecord(value)) return bad(noGroup(value, '{claude-opus-5: {markup: 1.20}}'))
  const problems = new Problems()
  const changes: ConfiguredChange[] = []
  for (const [name, said] of Object.entries(value)) {
    changes.push(...readPricesOf(name, said, problems))
  }
  for (const { kind, subject } of changes) {
    if (changes.filter((other) => other.kind === kind && other.subject === subject).length > 1) {
      problems.add([subject], 'is there twice: by its id and by another name')
      break
    }
  }
  return problems.found.length > 0
    ? { kind: 'bad', problems: problems.found }
    : { kind: 'ok', value: changes }
}

function readPricesOf(
  name: string,
  value: unknown,
  problems: Problems,
): readonly ConfiguredChange[] {
  if (!isModelPattern(name)) {
    problems.add([name], 'is not a model or glob')
    return []
  }
  const entry = readSettingEntry(value, [name], problems)
  if (entry === null) return []
  const known = findPrice(BUILT_IN_PRICES, name, LATEST_MS)
  const subject = known?.id ?? name
  const changes: ConfiguredChange[] = []
  if (entry.markup !== undefined) changes.push({ kind: 'markup', subject, value: entry.markup })
  if (!hasPrice(entry)) {
    if (changes.length === 0) problems.add([name], 'says nothing. Give prices or a markup')
    return changes
  }
  if (name.includes('*')) {
    problems.add([name], 'is a glob, which takes a markup only: write prices per model')
    return []
  }
  const made = priceOfEntry(subject, entry, known)
  if (made.kind === 'missing') {
    const names = made.names.join(', ')
    problems.add([name], `is not a built-in model, so it needs all five prices. Missing: ${names}`)
    return []
  }
  return [...changes, { kind: 'price', subject, value: priceValue(made.price) }]
}

/** `reject` is null, `{price_as: claude-opus-5}` its model. */
export function readUnknownModel(value: unknown): Read<string | null> {
  if (value === 'reject') return { kind: 'ok', value: null }
  const example = 'Use reject, or {price_as: claude-opus-5}'
  if (!isRecord(value)) return bad(`${shown(value)} is not possible here. ${example}`)
  const { price_as: model, ...rest } = value
  if (Object.keys(rest).length > 0) return bad(`has a member too many. ${example}`)
  return typeof model === 'string' && isPlainName(model)
    ? { kind: 'ok', value: model }
    : bad(`needs a model. ${example}`)
}

/** The change that says what unknown models cost. */
export function unknownModelChange(priceAs: string): ConfiguredChange {
  return { kind: 'price', subject: UNKNOWN_MODELS, value: { priceAs } }
}

function noGroup(value: unknown, example: string): string {
  return `${shown(value)} is not a group. Example: ${example}`
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}

function bad(message: string): { readonly kind: 'bad'; readonly problems: MemberProblem[] } {
  return { kind: 'bad', problems: [{ path: [], message }] }
}
