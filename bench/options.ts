// The bench's command line.

import { parseArgs } from 'node:util'
import { CASES, type Timing } from './cases.ts'
import { TARGETS } from './targets.ts'

/** What `--help` prints. */
export const HELP = `Usage: npm run bench [-- OPTIONS]

  --only NAMES   comma-separated: ${CASES.map((one) => one.name).join(' ')}
                 memory startup store; a beginning is enough (small, streams)
  --seconds N    length of a measured window (default 2; 0.6 with --quick)
  --rounds N     windows per case and target (default 4; 1 with --quick)
  --quick        everything once and short, within 90 s: for a look, not for verdicts
  --json FILE    also write every figure as JSON
  --help         this text
`

/** What one run was asked for. */
export interface Options {
  readonly only: readonly string[]
  readonly rounds: number
  readonly quick: boolean
  readonly timing: Timing
  readonly json: string | null
  /** After this many milliseconds no further window begins. */
  readonly budgetMs: number
}

/** Reads the command line; null asks for help. Throws an Error that says what is wrong. */
export function readOptions(args: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true },
      seconds: { type: 'string' },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return null
  const quick = values.quick
  const seconds = positive('--seconds', values.seconds, quick ? 0.6 : 2)
  const rounds = Math.ceil(positive('--rounds', values.rounds, quick ? 1 : 4))
  const only = (values.only ?? []).flatMap((list) => list.split(',')).filter((name) => name !== '')
  const parts = [...CASES.map((one) => one.name), 'memory', 'startup', 'store']
  const wrong = only.find((name) => !parts.some((part) => part.startsWith(name)))
  if (wrong !== undefined) throw new Error(`--only ${wrong}: there is no such case`)
  const asked = values.seconds !== undefined || values.rounds !== undefined
  const neededMs = CASES.length * rounds * TARGETS.length * (seconds + 2) * 1000
  const usualMs = (quick ? 80 : 560) * 1000
  return {
    only,
    rounds,
    quick,
    timing: { windowMs: seconds * 1000, warmupMs: quick ? 250 : 400, deltas: quick ? 50 : 100 },
    json: values.json ?? null,
    budgetMs: asked ? Math.max(usualMs, neededMs) : usualMs,
  }
}

function positive(name: string, text: string | undefined, usual: number): number {
  const value = text === undefined ? usual : Number(text)
  if (!(value > 0 && value <= 1000)) throw new Error(`${name} must be a number above 0, up to 1000`)
  return value
}

/** Whether a part of the run was asked for; without `--only` all were. */
export const wanted = (options: Options, part: string): boolean =>
  options.only.length === 0 || options.only.some((name) => part.startsWith(name))
