// What a cold request loses to an account that cannot serve, through a gateway in a process of its own.

import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { type BenchAccount, makeWorld, serve, stop } from './served-world.ts'

/** What the first account does to a request. */
const TROUBLES = ['none', '529', 'dead'] as const
type Trouble = (typeof TROUBLES)[number]

/** Until an answer was read whole, in ms, and how many answers were errors. */
export interface RerouteFigures {
  readonly trouble: Trouble
  readonly medianMs: number
  readonly worstMs: number
  readonly errors: number
}

/** A cold request may lose so much to a reroute. */
export const REROUTE_GOAL_MS = 30

/** So many fail one after the other: each has an account of its own, as one failing often would rest. */
const ROUNDS = 20
const WARM_UP = 20

/** Sends cold requests that are answered at once, that meet a 529 first, and that meet a dead account first. */
export async function measureReroutes(): Promise<readonly RerouteFigures[]> {
  const dir = mkdtempSync(join(tmpdir(), 'ccgate-bench-'))
  const names = TROUBLES.flatMap((trouble) => rounds().map((k) => accountName(trouble, k)))
  const sandbox = await startSandbox({
    accounts: ['well', ...names].map((name) => ({ name, organization: name })),
    recordLimit: 1,
  })
  try {
    for (const k of rounds()) sandbox.setFault(accountName('529', k), 'status=529')
    const deadUrl = `http://127.0.0.1:${await closedPort()}`
    // Each account has a key of its own, which it serves first and the well one after it.
    const accounts = names.map((name) =>
      firstAccount(name, name.startsWith('dead') ? deadUrl : null),
    )
    const well = { name: 'well', weight: 1, priority: 9, concurrencyLimit: null }
    const world = await makeWorld(dir, { accounts: [...accounts, well], customers: ['c'] }, sandbox)
    for (const [i, name] of names.entries())
      await world.run(['accounts', 'update', name, '--tag', `only-${i}`, '-y'])
    const keys: string[] = []
    await world.run(['accounts', 'update', 'well', '--tag', 'well', '-y'])
    for (const i of names.keys()) {
      const tags = ['--account-tag', `only-${i},well`]
      const free = ['--rpm', 'none', '--concurrency', 'none', '-q', '-y']
      const made = await world.run(['keys', 'create', `c/k${i}`, ...tags, ...free])
      keys.push(made.trim())
    }
    const served = await serve(world.config)
    try {
      const key = world.keys.get('c') ?? ''
      for (let k = 0; k < WARM_UP; k++) await ask(served.url, key)
      const took = new Map<Trouble, { ms: number[]; errors: number }>()
      // In turn, so that a busy moment of the machine meets all three.
      for (const k of rounds()) {
        for (const trouble of TROUBLES) {
          const at = names.indexOf(accountName(trouble, k))
          const { ms, isOk } = await ask(served.url, keys[at])
          const seen = took.get(trouble) ?? { ms: [], errors: 0 }
          seen.ms.push(ms)
          if (!isOk) seen.errors++
          took.set(trouble, seen)
        }
      }
      return [...took].map(([trouble, { ms, errors }]) => figuresOf(trouble, ms, errors))
    } finally {
      await stop(served.process)
    }
  } finally {
    await sandbox.close()
    rmSync(dir, { recursive: true, force: true })
  }
}

/** A table of them, beside those that were answered at once. */
export function rerouteText(figures: readonly RerouteFigures[]): string {
  const [plain] = figures
  const names = { none: 'answered at once', '529': 'the first says 529', dead: 'the first is dead' }
  const lines = figures.map(({ trouble, medianMs, worstMs, errors }) => {
    const lost = medianMs - plain.medianMs
    const more = trouble === 'none' ? '' : `${lost < 0 ? '-' : '+'}${Math.abs(lost).toFixed(1)} ms`
    const cells = [`${medianMs.toFixed(1)} ms`, `${worstMs.toFixed(1)} ms`, more, `${errors}`]
    return `  ${names[trouble].padEnd(22)}${cells.map((cell) => cell.padStart(12)).join('')}`
  })
  const head = ['median', 'worst', 'lost', 'errors'].map((word) => word.padStart(12)).join('')
  return [
    `Cold requests through a real gateway, ${ROUNDS} each (goal: ${REROUTE_GOAL_MS} ms lost at most)`,
    `  ${''.padEnd(22)}${head}`,
    ...lines,
    '',
  ].join('\n')
}

/** Whether no client saw an error and the median lost no more than the goal. */
export function isRerouteMet(figures: readonly RerouteFigures[]): boolean {
  const [plain] = figures
  return figures.every(
    ({ medianMs, errors }) => errors === 0 && medianMs - plain.medianMs <= REROUTE_GOAL_MS,
  )
}

function rounds(): readonly number[] {
  return Array.from({ length: ROUNDS }, (_, k) => k)
}

function accountName(trouble: Trouble, round: number): string {
  return `${trouble === '529' ? 'busy' : trouble === 'dead' ? 'dead' : 'first'}-${round}`
}

function firstAccount(name: string, baseUrl: string | null): BenchAccount {
  const plain = { name, weight: 1, priority: 1, concurrencyLimit: null }
  return baseUrl === null ? plain : { ...plain, baseUrl }
}

/** A port of this machine on which nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 1
}

async function ask(
  url: string,
  key: string,
): Promise<{ readonly ms: number; readonly isOk: boolean }> {
  // Nothing else runs meanwhile, so that the times are of this request alone.
  await sleep(10)
  const beganMs = performance.now()
  const answer = await fetch(`${url}/v1/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': key },
    body: JSON.stringify({
      model: 'claude-haiku-4-5',
      max_tokens: 16,
      messages: [{ role: 'user', content: 'Hello' }],
    }),
  })
  await answer.arrayBuffer()
  return { ms: performance.now() - beganMs, isOk: answer.status === 200 }
}

function figuresOf(trouble: Trouble, ms: readonly number[], errors: number): RerouteFigures {
  const sorted = ms.toSorted((a, b) => a - b)
  const medianMs = sorted[Math.floor(sorted.length / 2)]
  return { trouble, medianMs, worstMs: sorted[sorted.length - 1], errors }
}
