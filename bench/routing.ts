/**
 * What routing costs: simulated conversations through the real choice, against the sandbox's prompt cache.
 * `npm run bench:routing`, or with `-- --seed 7 --prompt 20000 --only 529 --json`; `-- --seeds 20` plays ours
 * alone under many seeds and tells the best, the middle and the worst of them.
 */

import { parseArgs } from 'node:util'
import { measureChoice } from './routing/cost-of-choice.ts'
import { choiceText, manySeedsText, scenarioText } from './routing/report.ts'
import { playOurs, playScenario, SCENARIOS } from './routing/scenarios.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '0' },
    prompt: { type: 'string', multiple: true, default: ['2000', '20000'] },
    only: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
  },
})
const seed = wholeNumber('seed', values.seed)
const seeds = wholeNumber('seeds', values.seeds)
const prompts = values.prompt.map((text) => wholeNumber('prompt', text))
const scenarios = SCENARIOS.filter(({ name }) => name.includes(values.only))
if (scenarios.length === 0) {
  fail(
    `No scenario has "${values.only}" in its name: ${SCENARIOS.map(({ name }) => name).join('; ')}`,
  )
}

const choice = measureChoice()
process.stdout.write(values.json ? `${JSON.stringify(choice)}\n` : `${choiceText(choice)}\n`)

let missed = 0
for (const scenario of scenarios) {
  for (const promptTokens of prompts) {
    if (seeds > 0) {
      const runs: { readonly ratio: number }[] = []
      for (let k = 0; k < seeds; k++) {
        runs.push(await playOurs(scenario, { promptTokens, seed: seed + k }))
      }
      if (runs.some(({ ratio }) => ratio > scenario.goal)) missed++
      const many = { scenario, promptTokens, seed, ratios: runs.map(({ ratio }) => ratio) }
      process.stdout.write(values.json ? `${JSON.stringify(many)}\n` : `${manySeedsText(many)}\n`)
      continue
    }
    const figures = await playScenario(scenario, { promptTokens, seed })
    const own = figures.runs.at(-1)
    if (own === undefined || own.costMicro > figures.yardstick.costMicro * scenario.goal) missed++
    process.stdout.write(
      values.json ? `${JSON.stringify(figures)}\n` : `${scenarioText(figures)}\n`,
    )
  }
}
process.exitCode = missed === 0 ? 0 : 1

function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) fail(`--${name} takes a whole number, not "${text}"`)
  return Number(text)
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(2)
}
