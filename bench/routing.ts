/**
 * What routing costs: simulated conversations through the real choice, against the sandbox's prompt cache.
 * `npm run bench:routing`, or with `-- --seed 7 --prompt 20000 --only 529 --json`; `-- --seeds 20` plays ours
 * alone under many seeds and tells the best, the middle and the worst of them; `-- --daemon` plays the scenarios
 * without trouble through a real gateway as well, in a minute each (`--seconds 60`); `-- --reroute` measures what
 * cold requests lose to an account that cannot serve.
 */

import { parseArgs } from 'node:util'
import { measureChoice } from './routing/cost-of-choice.ts'
import { choiceText, manySeedsText, scenarioText } from './routing/report.ts'
import { isRerouteMet, measureReroutes, rerouteText } from './routing/reroute.ts'
import { type Play, playOurs, playScenario, SCENARIOS, type Scenario } from './routing/scenarios.ts'
import { agrees, playSideBySide, sideBySideText } from './routing/side-by-side.ts'

const { values } = readArguments()
const seed = wholeNumber('seed', values.seed)
const seeds = wholeNumber('seeds', values.seeds)
const seconds = wholeNumber('seconds', values.seconds)
const prompts = values.prompt.map((text) => wholeNumber('prompt', text))
const scenarios = SCENARIOS.filter(
  ({ name, trouble }) => name.includes(values.only) && (!values.daemon || trouble === 'none'),
)
if (seconds === 0) fail('--seconds takes a whole number from 1')
if (prompts.some((tokens) => tokens < 100)) fail('--prompt takes at least 100 tokens')
if (scenarios.length === 0) {
  fail(
    `No scenario has "${values.only}" in its name: ${SCENARIOS.map(({ name }) => name).join('; ')}`,
  )
}

let missed = 0
if (values.reroute) {
  const reroutes = await measureReroutes()
  show(reroutes, () => rerouteText(reroutes))
  if (!isRerouteMet(reroutes)) missed++
} else if (!values.daemon) {
  const choice = measureChoice()
  show(choice, () => choiceText(choice))
}
for (const scenario of values.reroute ? [] : scenarios) {
  for (const promptTokens of prompts) {
    const isMet = await play(scenario, { promptTokens, seed })
    if (!isMet) missed++
  }
}
process.exitCode = missed === 0 ? 0 : 1

/** Plays and prints one scenario; answers whether its goal was met. */
async function play(scenario: Scenario, how: Play): Promise<boolean> {
  if (values.daemon) {
    const both = await playSideBySide(scenario, how, seconds)
    show(both, () => sideBySideText(both))
    return agrees(both)
  }
  if (seeds > 0) {
    const ratios: number[] = []
    for (let k = 0; k < seeds; k++) {
      ratios.push((await playOurs(scenario, { ...how, seed: seed + k })).ratio)
    }
    const many = { scenario, ...how, ratios }
    show(many, () => manySeedsText(many))
    return ratios.every((ratio) => ratio <= scenario.goal)
  }
  const figures = await playScenario(scenario, how)
  show(figures, () => scenarioText(figures))
  const own = figures.runs.at(-1)
  return own !== undefined && own.costMicro <= figures.yardstick.costMicro * scenario.goal
}

function show(figures: unknown, text: () => string): void {
  process.stdout.write(`${values.json ? JSON.stringify(figures) : text()}\n`)
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        seed: { type: 'string', default: '1' },
        seeds: { type: 'string', default: '0' },
        prompt: { type: 'string', multiple: true, default: ['2000', '20000'] },
        only: { type: 'string', default: '' },
        json: { type: 'boolean', default: false },
        daemon: { type: 'boolean', default: false },
        seconds: { type: 'string', default: '60' },
        reroute: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    return fail((error as Error).message)
  }
}

function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) fail(`--${name} takes a whole number, not "${text}"`)
  return Number(text)
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(2)
}
