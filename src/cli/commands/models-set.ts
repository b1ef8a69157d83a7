import { priceTableWith } from '../../billing/price-changes.ts'
import { aliasTarget, findPrice, isServed } from '../../billing/price-table.ts'
import { BUILT_IN_PRICES } from '../../billing/prices.ts'
import { formatUsdFull } from '../../core/money.ts'
import type { Context } from '../context.ts'
import { isoTime } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import { changeLine, undoOf } from '../model-change-text.ts'
import { expectModel, type ModelFacts, modelFacts } from '../model-table.ts'
import { modelJson } from '../model-text.ts'
import {
  changesOf,
  findTarget,
  hasRates,
  inThePast,
  isEnabledByName,
  isInForce,
  modelsOf,
  nameOf,
  readFrom,
  readWish,
  type Target,
  type Wanted,
  type Wish,
} from '../model-wish.ts'
import { listJson } from '../records.ts'

export async function setModel(context: Context, call: Invocation): Promise<void> {
  const wish = readWish(call)
  const now = await modelFacts(context, 'write')
  const fromMs = readFrom(context, call)
  // A change of later changes what will be in force then.
  const facts = fromMs === null ? now : { ...now, nowMs: fromMs }
  const target = findTarget(facts, call.arg(0), wish)
  const changed = changesOf(facts, target, wish).filter(
    (change) => !isInForce(facts.changes, change, facts.nowMs),
  )
  if (changed.length === 0) return printSame(context, facts, target)
  const { lists } = (await context.config()).config.models
  const lastSeq = facts.changes.at(-1)?.seq ?? 0
  const planned = changed.map((change, i) => ({
    ...change,
    seq: lastSeq + 1 + i,
    effectiveAtMs: facts.nowMs,
    source: 'set' as const,
  }))
  const changes = [
    ...facts.changes,
    ...planned.map((change) => ({ ...change, actor: '', createdAtMs: now.nowMs })),
  ]
  const after = { ...facts, changes, table: priceTableWith(BUILT_IN_PRICES, changes, lists) }
  await confirmSet(context, { facts, after, target, changed })
  const by = context.by()
  const result = await (await context.store()).addPriceChanges(
    planned.map(({ seq: _seq, ...change }) => ({
      ...change,
      effectiveAtMs: fromMs ?? by.nowMs,
    })),
    by,
  )
  if (result.kind === 'in_the_past') throw inThePast()
  printSet(context, { facts, after, target, wish, fromMs })
}

/** Everything that is asked about; enabling a model is not. */
async function confirmSet(
  context: Context,
  plan: Pick<Said, 'facts' | 'after' | 'target'> & { readonly changed: readonly Wanted[] },
): Promise<void> {
  const { facts, target, changed } = plan
  const stop = stopQuestion(plan)
  if (stop !== null) await context.ask.confirm(stop)
  if (changed.some(({ kind }) => kind === 'price' || kind === 'markup')) {
    const count = modelsOf(facts, target).length
    const what =
      target.kind === 'model'
        ? target.id
        : count === 1
          ? `1 model (${target.glob})`
          : `${count} models (${target.glob})`
    await context.ask.confirm(
      `Change what ${what} ${count === 1 || target.kind === 'model' ? 'costs' : 'cost'}?`,
    )
  }
  for (const { kind, subject, value } of changed) {
    if (kind !== 'alias') continue
    const owner = aliasTarget(facts.table, subject, facts.nowMs)
    const is = owner === null ? '' : `"${subject}" stands for ${owner}. `
    await context.ask.confirm(
      value === null
        ? `${is}Take that name away?`
        : `${is}Let ${owner === null ? `"${subject}"` : 'it'} stand for ${value}?`,
    )
  }
}

/** `Stop serving 2 models (claude-fable-*)?`, counting what really stops; null when nothing does. */
function stopQuestion({ facts, after, target }: Pick<Said, 'facts' | 'after' | 'target'>) {
  const served = modelsOf(facts, target).filter((row) => isServed(facts.table, row, facts.nowMs))
  const left = served.filter((row) => isServed(after.table, row, after.nowMs))
  const count = served.length - left.length
  if (count === 0) return null
  if (target.kind === 'model') return `Stop serving ${target.id}?`
  const named = left.filter((row) => isEnabledByName(facts, row)).map(({ id }) => id)
  const stays =
    named.length === 0
      ? ''
      : ` ${named.join(', ')} ${named.length === 1 ? 'stays: it was' : 'stay: they were'} enabled by name.`
  return `Stop serving ${count === 1 ? '1 model' : `${count} models`} (${target.glob})?${stays}`
}

/** What there is to say of a change that was made. */
interface Said {
  readonly facts: ModelFacts
  readonly after: ModelFacts
  readonly target: Target
  readonly wish: Wish
  readonly fromMs: number | null
}

function printSame(context: Context, facts: ModelFacts, target: Target): void {
  const { print } = context
  if (print.json) print.document(setJson(facts, target, { changed: false, in_force: 'now' }))
  else if (print.quiet) print.out(nameOf(target))
  else print.out(`${nameOf(target)} is so already; nothing changed.`)
}

function setJson(facts: ModelFacts, target: Target, fields: object): object {
  const rows = modelsOf(facts, target)
  return target.kind === 'glob'
    ? { ...listJson(rows.map((row) => modelJson(facts, row))), ...fields }
    : { ...modelJson(facts, expectModel(facts, target.id)), ...fields }
}

function printSet(context: Context, said: Said): void {
  const { print } = context
  const { facts, after, target, fromMs } = said
  if (print.quiet) print.out(nameOf(target))
  else if (!print.json) printChange(context, said)
  else {
    const row = target.kind === 'model' ? target.row : null
    const document = setJson(after, target, {
      changed: true,
      in_force: fromMs === null ? 'now' : isoTime(fromMs),
      previous: row === null ? null : modelJson(facts, row),
    })
    print.document(document)
  }
}

function printChange(context: Context, { facts, after, target, wish, fromMs }: Said): void {
  const { print, globals } = context
  for (const row of modelsOf(after, target)) print.out(changeLine(facts, after, row, wish))
  const when =
    fromMs === null
      ? 'now on'
      : `${context.calendar().stamp(fromMs, context.nowMs)} (${context.calendar().zone}) on`
  const verb = globals.dryRun ? 'Would apply' : 'Applies'
  const undo = globals.dryRun ? '' : undoOf(facts, target, wish, fromMs)
  print.out(
    `${verb} to requests from ${when}; past costs do not change.${undo === '' ? '' : ` Undo: ${undo}`}`,
  )
  if (target.kind === 'model') noteOtherTiers(context, after, target.id, wish)
}

/** Fast and long-prompt prices are rows of their own: who changes the plain ones should know. */
function noteOtherTiers(context: Context, after: ModelFacts, id: string, wish: Wish): void {
  const row = findPrice(after.table, id, after.nowMs)
  if (row === null || !hasRates(wish)) return
  const others = [
    ...(row.fastRates === null
      ? []
      : [
          `fast stays ${formatUsdFull(row.fastRates.input)} / ${formatUsdFull(row.fastRates.output)}`,
        ]),
    ...(row.longPrompt === null
      ? []
      : [
          `long prompts stay ${formatUsdFull(row.longPrompt.rates.input)} / ${formatUsdFull(row.longPrompt.rates.output)}`,
        ]),
  ]
  if (others.length > 0) {
    context.print.note(
      `Its ${others.join(', its ')}; a price file changes those: ccgate models sync`,
    )
  }
}
