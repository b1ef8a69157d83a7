// What the choice itself costs, beside the inspection that happens anyway.

import { isUtf8 } from 'node:buffer'
import { Affinity, ownerNumber } from '../../src/pool/affinity.ts'
import type { Candidate } from '../../src/pool/candidate.ts'
import { select } from '../../src/pool/select.ts'
import { createRandom } from '../../src/sandbox/random.ts'
import { fingerprint } from '../../src/wire/fingerprint.ts'
import { inspect } from '../../src/wire/inspect.ts'
import { hashKey } from '../../src/wire/keyed-hash.ts'

const ROUNDS = 15
const CALLS = 100
const MESSAGES = 100
const BODY_BYTES = 200_000

/** Microseconds of CPU for one request, the best of several rounds: the others measure the machine. */
export interface ChoiceCost {
  readonly bytes: number
  readonly inspectUs: number
  readonly fingerprintUs: number
  readonly chooseUs: number
}

/** A conversation of 200 KB in 100 messages, tool calls and results in turn, and a pool of four. */
export function measureChoice(): ChoiceCost {
  const body = conversation()
  const key = hashKey(Uint8Array.from({ length: 16 }, (_, k) => k))
  const seen = inspect(body, { isUtf8 })
  if (seen.kind !== 'ok') throw new Error(`the bench made a body that is ${seen.kind}`)
  const print = fingerprint(body, seen.facts, key)
  const affinity = new Affinity()
  const owner = ownerNumber('usr_bench')
  const random = createRandom(1)
  const candidates = ['a', 'b', 'c', 'd'].map(idle)
  const nowMs = 1_795_000_000_000
  const request = { prompt: print, organization: 'a', owner, sentAtMs: nowMs, minimumTokens: 512 }
  for (const { id } of candidates.slice(0, 3)) {
    const warmth = affinity.find(print, owner, nowMs)
    const figures = { cacheReadTokens: 0, cacheWriteTokens: 50_000 }
    affinity.began({ ...request, warmth, workspace: id, bindsThinking: false }, figures, nowMs)
  }
  const demand = {
    tried: new Set<string>(),
    again: null,
    tags: null,
    bound: null,
    promptTokens: 50_000,
    rewriteMicroPerMTok: 4_800_000,
    waitedMs: 0,
    longestWaitMs: 10_000,
  }
  return {
    bytes: body.length,
    inspectUs: fastestUs(() => inspect(body, { isUtf8 })),
    fingerprintUs: fastestUs(() => fingerprint(body, seen.facts, key)),
    chooseUs: fastestUs(() => {
      const { warm } = affinity.find(print, owner, nowMs)
      select(candidates, { ...demand, warm }, random)
    }),
  }
}

function fastestUs(call: () => unknown): number {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const startMs = performance.now()
    for (let k = 0; k < CALLS; k++) call()
    best = Math.min(best, ((performance.now() - startMs) * 1_000) / CALLS)
  }
  return best
}

function idle(id: string): Candidate {
  return {
    id,
    priority: 1,
    weight: 1,
    inFlight: 2,
    concurrencyLimit: null,
    rpmWaitMs: 0,
    rest: null,
    servesModel: true,
    idleMs: 1_000,
  }
}

function conversation(): Buffer {
  const file = '  1\timport x from "y"\n  2\tconst a = 1;\n'.repeat(
    Math.floor(BODY_BYTES / MESSAGES / 45),
  )
  const mark = { cache_control: { type: 'ephemeral' } }
  const messages = Array.from({ length: MESSAGES }, (_, k) => {
    const more = k === MESSAGES - 2 ? mark : {}
    if (k % 2 === 0) {
      const result = { type: 'tool_result', tool_use_id: `toolu_${k - 1}`, content: file, ...more }
      return { role: 'user', content: [k === 0 ? { type: 'text', text: file } : result] }
    }
    const use = { type: 'tool_use', id: `toolu_${k}`, name: 'Write', input: { content: file } }
    return { role: 'assistant', content: [{ type: 'text', text: 'I write.' }, use] }
  })
  const system = [{ type: 'text', text: 'You are an agent.', ...mark }]
  return Buffer.from(JSON.stringify({ model: 'claude-opus-5-5', max_tokens: 8, system, messages }))
}
