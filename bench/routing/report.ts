// Tables and charts for people, on stdout.

import { bar } from '../../src/core/spark.ts'
import type { RunFigures } from '../../src/simulate/tally.ts'
import type { ChoiceCost } from './cost-of-choice.ts'
import type { Scenario, ScenarioFigures } from './scenarios.ts'

const CHART_WIDTH = 36
const COLUMNS = [
  'strategy',
  'cost',
  'prompt cost',
  'cache reads',
  'largest share',
  'p99 wait',
  'moved',
  'reroutes',
  'errors',
] as const

/** One scenario: a table and a chart of the cost ratios. */
export function scenarioText(figures: ScenarioFigures): string {
  const { scenario, promptTokens, seed, yardstick, runs } = figures
  const rows = [yardstick, ...runs].map((run) => rowOf(run, yardstick))
  const widths = COLUMNS.map((title, k) =>
    Math.max(title.length, ...rows.map((row) => row[k].length)),
  )
  const line = (cells: readonly string[]) =>
    cells.map((cell, k) => (k === 0 ? cell.padEnd(widths[k]) : cell.padStart(widths[k]))).join('  ')
  const ratios = runs.map((run) => run.costMicro / yardstick.costMicro)
  const most = Math.max(...ratios)
  const chart = runs.map((run, k) => {
    const length = bar(ratios[k], most, CHART_WIDTH)
    return `${run.strategy.padEnd(widths[0])}  ${length} ${ratios[k].toFixed(2)}`
  })
  const own = ratios.at(-1) ?? Number.NaN
  const verdict = own <= scenario.goal ? 'met' : 'MISSED'
  return [
    `${scenario.name}; first prompts of ${promptTokens.toLocaleString('en')} tokens; seed ${seed}`,
    '',
    line(COLUMNS),
    ...rows.map(line),
    '',
    'cost, by that of one account with unlimited room and no trouble',
    ...chart,
    `goal: ccgate at most ${scenario.goal}: ${verdict} (${own.toFixed(3)})`,
    '',
  ].join('\n')
}

function rowOf(run: RunFigures, yardstick: RunFigures): readonly string[] {
  const share = (value: number) => `${(value * 100).toFixed(1)} %`
  return [
    run.strategy,
    `${(run.costMicro / yardstick.costMicro).toFixed(3)} x`,
    `${(run.promptMicro / yardstick.promptMicro).toFixed(3)} x`,
    share(run.readShare),
    share(run.largestShare),
    run.p99WaitMs < 1_000
      ? `${run.p99WaitMs.toFixed(0)} ms`
      : `${(run.p99WaitMs / 1_000).toFixed(1)} s`,
    share(run.moved / run.requests),
    `${run.reroutes}`,
    `${run.clientErrors}`,
  ]
}

/** What fingerprint and choice cost, and the goal for both together. */
export function choiceText(cost: ChoiceCost): string {
  const us = (value: number) => `${value.toFixed(0)} us`
  const own = cost.fingerprintUs + cost.chooseUs
  return [
    `one request of ${(cost.bytes / 1_000).toFixed(0)} KB in 100 messages, four accounts`,
    `fingerprint ${us(cost.fingerprintUs)}, look-up and choice ${us(cost.chooseUs)}; the inspection before them ${us(cost.inspectUs)}`,
    `goal: fingerprint and choice below 1,000 us: ${own < 1_000 ? 'met' : 'MISSED'} (${us(own)})`,
    '',
  ].join('\n')
}

/** The cost ratios of ours under many seeds. */
export function manySeedsText(many: {
  readonly scenario: Scenario
  readonly promptTokens: number
  readonly seed: number
  readonly ratios: readonly number[]
}): string {
  const { scenario, promptTokens, seed, ratios } = many
  const sorted = ratios.toSorted((a, b) => a - b)
  const at = (share: number) => (sorted[Math.round(share * (sorted.length - 1))] ?? 0).toFixed(3)
  const verdict = sorted.every((ratio) => ratio <= scenario.goal) ? 'met' : 'MISSED'
  return [
    `${scenario.name}; first prompts of ${promptTokens.toLocaleString('en')} tokens; seeds ${seed} to ${seed + ratios.length - 1}`,
    `cost: best ${at(0)}, middle ${at(0.5)}, worst ${at(1)}; goal: at most ${scenario.goal}: ${verdict}`,
    '',
  ].join('\n')
}
