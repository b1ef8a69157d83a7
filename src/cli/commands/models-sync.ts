import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { isSameJson } from '../../billing/config-changes.ts'
import { priceTableWith, priceValue } from '../../billing/price-changes.ts'
import { modelOf } from '../../billing/price-entry.ts'
import { pathText, readPriceFile } from '../../billing/price-file.ts'
import { findPrice, listModels, type ModelPrice, type PriceRow } from '../../billing/price-table.ts'
import { BUILT_IN_PRICES } from '../../billing/prices.ts'
import { formatUsdFull } from '../../core/money.ts'
import type { NewPriceChange } from '../../store/store.ts'
import { readAll } from '../ask.ts'
import type { Context } from '../context.ts'
import { CliError, EXIT, fileTrouble, usageError } from '../errors.ts'
import { formatCount } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import { type ModelFacts, modelFacts } from '../model-table.ts'
import { modelJson, ratesChange } from '../model-text.ts'

/** A larger file is no list of prices. */
const MAX_BYTES = 4_000_000
/** Problems that are told at once; more of them say the same. */
const MAX_PROBLEMS = 50

/** What becomes of one model. */
interface Step {
  readonly kind: 'new' | 'changed' | 'retired'
  readonly before: PriceRow | null
  readonly price: ModelPrice
}

export async function syncModels(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const file = call.text('from-file')
  if (file === null) {
    throw usageError(
      'models sync needs a price file.',
      'Example: ccgate models sync --from-file prices.json',
      'missing_option',
    )
  }
  const shown = file === '-' ? 'stdin' : file
  const json = parseJson(await readFile(context, file), shown)
  const facts = await modelFacts(context, 'write')
  const read = readPriceFile(json, facts.table, facts.nowMs)
  if (read.kind === 'bad') throw fileProblems(read.problems, { file: shown, isJson: print.json })
  const steps = stepsOf(facts, read.models, call.flag('prune'))
  const unchanged = read.models.length - steps.filter(({ kind }) => kind !== 'retired').length
  if (!print.json && !print.quiet) print.outAll(steps.map(stepLine))
  const total = `= ${formatCount(unchanged)} unchanged.`
  if (steps.length > 0) {
    const what = steps.length === 1 ? 'this price' : `these ${formatCount(steps.length)} prices`
    await context.ask.confirm(`Put ${what} in force now?`)
    const by = context.by()
    const changes = steps.map(
      ({ price }): NewPriceChange => ({
        kind: 'price',
        subject: price.id,
        value: priceValue(price),
        effectiveAtMs: by.nowMs,
        source: 'sync',
      }),
    )
    const store = await context.store()
    const result = await store.addPriceChanges(changes, by)
    // The clock of this process gave both times.
    if (result.kind !== 'added') throw new Error('a price of now cannot lie in the past')
  }
  if (print.json) return print.document(syncJson(facts, steps, unchanged))
  if (print.quiet) return print.outAll(steps.map(({ price }) => price.id))
  const saved = steps.length === 0 ? '' : ' In force for requests from now on.'
  print.out(`${total}${context.globals.dryRun ? '' : saved}`)
}

async function readFile(context: Context, file: string): Promise<string> {
  const { terminal } = context
  if (file === '-') return readAll(terminal, MAX_BYTES)
  try {
    const bytes = readFileSync(resolve(terminal.place.cwd, file))
    if (bytes.length > MAX_BYTES) throw new RangeError('it is larger than 4 MB')
    return bytes.toString('utf8')
  } catch (error) {
    throw usageError(
      `Cannot read ${file}: ${fileTrouble(error)}.`,
      'Check its path and mode.',
      'bad_value',
    )
  }
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    const problem = error instanceof Error ? error.message : 'unreadable'
    throw new CliError({
      code: 'price_file_invalid',
      message: `${file} is not JSON: ${problem}.`,
      hint: 'A good example: ccgate models list --json',
      exitCode: EXIT.problems,
    })
  }
}

function fileProblems(
  found: readonly { readonly path: readonly (string | number)[]; readonly message: string }[],
  { file, isJson }: { readonly file: string; readonly isJson: boolean },
): CliError {
  const problems = found.map(({ path, message }) => ({ path: pathText(path), message }))
  const lines = problems
    .slice(0, MAX_PROBLEMS)
    .map(({ path, message }) => `  ${path === '' ? 'the file' : path}: ${message}`)
  const more = problems.length - lines.length
  if (more > 0) lines.push(`  and ${formatCount(more)} more`)
  const count = problems.length === 1 ? '1 problem' : `${formatCount(problems.length)} problems`
  return new CliError({
    code: 'price_file_invalid',
    message: `${file} has ${count}. Nothing was written.`,
    hint: isJson ? 'Correct them, then repeat the command.' : lines.join('\n'),
    exitCode: EXIT.problems,
    problems,
  })
}

function stepsOf(
  { table, nowMs }: ModelFacts,
  models: readonly ModelPrice[],
  isPrune: boolean,
): readonly Step[] {
  const steps: Step[] = []
  for (const price of models) {
    const before = findPrice(table, price.id, nowMs)
    if (before === null) steps.push({ kind: 'new', before, price })
    else if (!isSameJson(priceValue(modelOf(before)), priceValue(price)))
      steps.push({ kind: 'changed', before, price })
  }
  const named = new Set(models.map(({ id }) => id))
  for (const row of isPrune ? listModels(table, nowMs) : []) {
    if (named.has(row.id)) continue
    steps.push({ kind: 'retired', before: row, price: { ...modelOf(row), status: 'retired' } })
  }
  return steps
}

function stepLine({ kind, before, price }: Step): string {
  const { id, rates } = price
  if (kind === 'retired') return `- ${id.padEnd(28)}  retired: the file does not name it`
  if (before === null) {
    return `+ ${id.padEnd(28)}  ${formatUsdFull(rates.input)} / ${formatUsdFull(rates.output)}`
  }
  const changes = [
    ratesChange(before.rates, rates),
    before.status === price.status ? '' : `${before.status} → ${price.status}`,
  ].filter((text) => text !== '')
  return `~ ${id.padEnd(28)}  ${changes.length === 0 ? 'sizes, dates or other prices' : changes.join(' · ')}`
}

function syncJson(facts: ModelFacts, steps: readonly Step[], unchanged: number) {
  const after: ModelFacts = {
    ...facts,
    table: priceTableWith(
      BUILT_IN_PRICES,
      steps.map(({ price }, i) => ({
        seq: i + 1,
        kind: 'price',
        subject: price.id,
        value: priceValue(price),
        effectiveAtMs: facts.nowMs,
      })),
    ),
  }
  return {
    object: 'price_sync',
    changed: steps.length > 0,
    in_force: 'now',
    unchanged,
    changes: steps.map(({ kind, before, price }) => {
      const row = findPrice(after.table, price.id, facts.nowMs)
      return {
        change: kind,
        id: price.id,
        before: before === null ? null : modelJson(facts, before),
        after: row === null ? null : { ...modelJson(facts, row), source: 'sync' },
      }
    }),
  }
}
