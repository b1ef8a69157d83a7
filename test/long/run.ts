// The long campaigns: `npm run test:long` runs the bounded part of all, two at a time, within eight
// minutes; `npm run test:long -- NAME [--option N]` runs one as long as its options say.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Campaign } from './campaign.ts'
import { crash } from './crash.ts'
import { estimates } from './estimates.ts'
import { faults } from './faults.ts'
import { ledger } from './ledger.ts'
import { openaiChat } from './openai-chat.ts'
import { pool } from './pool.ts'
import { pricing } from './pricing.ts'
import { simulation } from './simulation.ts'

const CAMPAIGNS: readonly Campaign[] = [
  simulation,
  crash,
  faults,
  estimates,
  openaiChat,
  pool,
  pricing,
  ledger,
]
/** A bounded run that takes longer than this has failed. */
const BOX_MS = 8 * 60_000
const SELF = fileURLToPath(import.meta.url)

const [name, ...args] = process.argv.slice(2)
if (name === undefined) await runAll()
else await runOne(name, args)

async function runAll(): Promise<void> {
  const children = new Set<ChildProcess>()
  const box = setTimeout(() => {
    process.stdout.write('The long campaigns did not end within eight minutes.\n')
    for (const child of children) child.kill('SIGKILL')
    process.exit(1)
  }, BOX_MS)
  const waiting = [...CAMPAIGNS]
  // Two at a time: most of them wait for other processes, and CI has two cores.
  await Promise.all([1, 2].map(next))
  clearTimeout(box)

  async function next(): Promise<void> {
    for (let campaign = waiting.shift(); campaign !== undefined; campaign = waiting.shift()) {
      // Each in a process of its own: one of them takes the clock into its own hands.
      const child = spawn(process.execPath, [...process.execArgv, SELF, campaign.name], {
        stdio: 'inherit',
      })
      children.add(child)
      const [code] = (await once(child, 'exit')) as [number | null]
      children.delete(child)
      if (code !== 0) process.exitCode = 1
    }
  }
}

async function runOne(wanted: string, options: readonly string[]): Promise<void> {
  const campaign = CAMPAIGNS.find((one) => one.name === wanted)
  if (campaign === undefined) {
    process.stdout.write('Usage: npm run test:long [-- NAME [--OPTION NUMBER]…]\n\n')
    for (const one of CAMPAIGNS) {
      const shown = Object.entries(one.options).map(([option, value]) => `--${option} ${value}`)
      process.stdout.write(
        `${one.name.padEnd(12)}${one.what}\n${' '.repeat(12)}${shown.join(' ')}\n`,
      )
    }
    process.exitCode = wanted === '--help' ? 0 : 2
    return
  }
  const { values } = parseArgs({
    args: [...options],
    options: Object.fromEntries(
      Object.keys(campaign.options).map((option) => [option, { type: 'string' as const }]),
    ),
  })
  const given = Object.entries(values).map(([option, value]) => [option, Number(value)])
  await run(campaign, { ...campaign.options, ...Object.fromEntries(given) })
}

async function run(campaign: Campaign, options: Readonly<Record<string, number>>): Promise<void> {
  const startedMs = Date.now()
  const say = (line: string) => process.stdout.write(`${campaign.name}: ${line}\n`)
  say(
    Object.entries(options)
      .map(([option, value]) => `--${option} ${value}`)
      .join(' '),
  )
  const found = await campaign.run(options, say)
  for (const violation of found) say(`VIOLATION ${violation}`)
  say(`${found.length} violations, ${((Date.now() - startedMs) / 1_000).toFixed(0)} s`)
  if (found.length > 0) process.exitCode = 1
}
