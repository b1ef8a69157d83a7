import { formatUsd } from '../core/money.ts'
import { bar, sparkline } from '../core/spark.ts'
import type { RunFigures } from '../simulate/tally.ts'
import { formatCount, formatMs, formatSpan } from './format.ts'
import type { Column, Printer } from './print.ts'
import type { SimulateOptions } from './simulate-options.ts'

const BAR_WIDTH = 36

/** What was played, and by how many requests. */
export interface Played {
  readonly options: SimulateOptions
  readonly yardstick: RunFigures
  /** Ours comes last. */
  readonly runs: readonly RunFigures[]
}

/** Table, charts and shares for people. */
export function printSimulation(print: Printer, played: Played): void {
  const { options, yardstick, runs } = played
  for (const line of headOf(played)) print.wrapped(line, 2)
  print.out()
  print.table(columnsOf(played), [yardstick, ...runs])
  for (const line of legendOf(played)) print.wrapped(line, 2)
  print.out()
  print.out(
    print.style('heading', 'Cost, by that of one account with unlimited room and no trouble'),
  )
  printBars(
    print,
    runs,
    (run) => run.costMicro / yardstick.costMicro,
    (ratio) => ratio.toFixed(2),
  )
  print.out(print.style('heading', 'Prompt tokens that were read from a cache'))
  printBars(print, runs, ({ readShare }) => readShare, percent)
  const width = nameWidth(runs)
  const most = Math.max(...runs.flatMap(({ hourlyMicro }) => hourlyMicro))
  print.out(print.style('heading', 'Dollars by hour of the day, 0:00 on the left'))
  for (const run of runs) {
    print.out(`${run.strategy.padEnd(width)}  ${sparkline(run.hourlyMicro, most)}`)
  }
  print.out()
  print.out(`The highest hour is ${formatUsd(most)}.`)
  if (options.accounts.length < 2) return
  print.out()
  print.table(
    [
      { header: 'SHARE OF REQUESTS', cell: ({ name }) => name, mayCut: true },
      { header: 'WEIGHT', cell: ({ weight }) => String(weight), align: 'right' },
      ...runs.map(
        (run, at): Column<(typeof options.accounts)[number]> => ({
          header: run.strategy.toUpperCase(),
          cell: (account) => percent(run.shares[options.accounts.indexOf(account)] ?? 0),
          align: 'right',
          dropOrder: runs.length - 1 - at,
        }),
      ),
    ],
    options.accounts,
  )
}

function headOf({ options, yardstick }: Played): readonly string[] {
  const { accounts, conversations, model, promptTokens, seed, trouble } = options
  const prompts = promptTokens.map(formatCount).join(' and ')
  const count = accounts.length === 1 ? '1 account' : `${accounts.length} accounts`
  const failing =
    trouble.outage === null
      ? 'no account fails'
      : `the busiest account fails at 10:00 for ${formatSpan(trouble.outage.forMs)}`
  const errors = `${Number((trouble.overloaded * 100).toFixed(3))} % of answers are a 529`
  return [
    `A day of ${formatCount(conversations)} conversations and six bursts of agents (${formatCount(yardstick.requests)} requests), ${model}, first prompts of ${prompts} tokens, seed ${seed}.`,
    `${count}, ${errors}, ${failing}.`,
  ]
}

/** What the columns count, and what many errors mean. */
function legendOf({ yardstick, runs }: Played): readonly string[] {
  const own = runs[runs.length - 1]
  const legend =
    'RATIO: cost by that of the first line. P99 WAIT: from first asking until an account began, with what clients wait before they ask again. MOVED: turns answered elsewhere than the turn before. ERRORS: a 429 or 5xx that a client got; each asks again.'
  // One request in ten: that is no trouble that passes.
  if (own.clientErrors * 10 < yardstick.requests) return [legend]
  return [legend, 'This pool is too small for this day: most of the wait is clients asking again.']
}

function columnsOf({ yardstick }: Played): readonly Column<RunFigures>[] {
  const figure = (
    header: string,
    cell: (run: RunFigures) => string,
    dropOrder: number,
  ): Column<RunFigures> => ({ header, cell, align: 'right', dropOrder })
  return [
    { header: 'STRATEGY', cell: ({ strategy }) => strategy },
    figure('COST', ({ costMicro }) => formatUsd(costMicro), 0),
    figure('RATIO', (run) => (run.costMicro / yardstick.costMicro).toFixed(3), 0),
    figure('CACHE READS', ({ readShare }) => percent(readShare), 0),
    figure('P99 WAIT', ({ p99WaitMs }) => formatMs(p99WaitMs), 0),
    figure('REROUTES', ({ reroutes }) => formatCount(reroutes), 1),
    figure('MOVED', ({ moved, requests }) => percent(moved / requests), 2),
    figure('BUSIEST', ({ largestShare }) => percent(largestShare), 3),
    figure('ERRORS', ({ clientErrors }) => formatCount(clientErrors), 1),
  ]
}

function printBars(
  print: Printer,
  runs: readonly RunFigures[],
  figureOf: (run: RunFigures) => number,
  text: (value: number) => string,
): void {
  const most = Math.max(...runs.map(figureOf))
  const width = nameWidth(runs)
  for (const [k, run] of runs.entries()) {
    const value = figureOf(run)
    const drawn = bar(value, most, BAR_WIDTH)
    const shown = k === runs.length - 1 ? print.style('accent', drawn) : drawn
    print.out(`${run.strategy.padEnd(width)}  ${shown} ${text(value)}`)
  }
  print.out()
}

function nameWidth(runs: readonly RunFigures[]): number {
  return Math.max(...runs.map(({ strategy }) => strategy.length))
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}

/** The same for machines. */
export function simulationJson({ options, yardstick, runs }: Played): unknown {
  const { accounts, conversations, model, promptTokens, seed, trouble } = options
  return {
    object: 'simulation',
    seed,
    model,
    conversations,
    prompt_tokens: promptTokens,
    overloaded_share: trouble.overloaded,
    outage_ms: trouble.outage?.forMs ?? 0,
    accounts: accounts.map(({ name, weight, priority, concurrencyLimit, rpmLimit }) => ({
      name,
      weight,
      priority,
      concurrency_limit: concurrencyLimit,
      rpm_limit: rpmLimit,
    })),
    yardstick: runJson(yardstick, yardstick),
    strategies: runs.map((run) => runJson(run, yardstick)),
  }
}

function runJson(run: RunFigures, yardstick: RunFigures): unknown {
  return {
    strategy: run.strategy,
    requests: run.requests,
    cost_micro: run.costMicro,
    cost_ratio: run.costMicro / yardstick.costMicro,
    hourly_micro: run.hourlyMicro,
    cache_read_share: run.readShare,
    p99_wait_ms: run.p99WaitMs,
    longest_wait_ms: run.longestWaitMs,
    reroutes: run.reroutes,
    moved: run.moved,
    errors: run.clientErrors,
    shares: run.shares,
  }
}
