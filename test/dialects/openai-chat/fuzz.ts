import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { brokenRule } from './rules.ts'
import { ABOUT, payloadsOf, translate } from './world.ts'

const FOLDER = fileURLToPath(new URL('../../golden/openai-chat', import.meta.url))

/** What a run found. */
export interface FuzzResult {
  /** One sentence per body that threw or broke a rule of upstream's; at most ten. */
  readonly problems: readonly string[]
  /** How many bodies were translated; the others were refused. */
  readonly passed: number
}

/**
 * Translates random bodies: any JSON, and requests of the golden cases with parts of them replaced, left out
 * or doubled. Nothing may throw; what is refused says so in full, what passes keeps upstream's rules.
 */
export function runFuzz({
  runs,
  seed,
}: {
  readonly runs: number
  readonly seed: number
}): FuzzResult {
  const problems: string[] = []
  let passed = 0
  for (const body of fc.sample(bodies(), { numRuns: runs, seed })) {
    const problem = problemOf(body)
    if (problem === 'passed') passed++
    else if (problem !== 'refused' && problems.length < 10)
      problems.push(`${problem}: ${JSON.stringify(body).slice(0, 2_000)}`)
  }
  return { problems, passed }
}

function problemOf(body: unknown): string {
  try {
    const translation = translate(structuredClone(body), { webSearch: true })
    if (translation.kind === 'refused') {
      const { status, code, message } = translation
      return status === 400 && code.length > 0 && message.length > 0 ? 'refused' : 'half a refusal'
    }
    const upstream = JSON.parse(translation.body)
    if (upstream.stream !== true || !(upstream.max_tokens > 0)) return 'a body without its fields'
    return brokenRule(upstream, upstream.model) ?? 'passed'
  } catch (error) {
    return `threw ${error instanceof Error ? error.stack?.slice(0, 500) : String(error)}`
  }
}

/**
 * Feeds answers with mutated upstream events. Nothing may throw, and a stream says `[DONE]` only where
 * upstream said `message_stop`.
 */
export function runStreamFuzz({
  runs,
  seed,
}: {
  readonly runs: number
  readonly seed: number
}): FuzzResult {
  const problems: string[] = []
  let passed = 0
  for (const { request, events } of fc.sample(answers(), { numRuns: runs, seed })) {
    const problem = streamProblemOf(request, events)
    if (problem === null) passed++
    else if (problems.length < 10)
      problems.push(`${problem}: ${JSON.stringify(events).slice(0, 2_000)}`)
  }
  return { problems, passed }
}

function streamProblemOf(request: object, events: readonly unknown[]): string | null {
  try {
    for (const stream of [true, false]) {
      const translation = translate({ ...request, stream }, { webSearch: true })
      if (translation.kind === 'refused') return 'a golden request is refused'
      const bytes = Buffer.from(
        events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(''),
      )
      const answer = translation.openAnswer(ABOUT)
      const written = answer.push(bytes).toString() + answer.finishPaused().toString()
      const hasStop = bytes.includes('"message_stop"')
      if (written.includes('[DONE]') && !hasStop) return 'an ending that upstream did not send'
      if (answer.state === 'done' && !stream) JSON.parse(answer.body() ?? '')
      if (stream) payloadsOf(written)
    }
    return null
  } catch (error) {
    return `threw ${error instanceof Error ? error.stack?.slice(0, 500) : String(error)}`
  }
}

interface GoldenCase {
  readonly request: object
  readonly events?: readonly unknown[]
}

function goldenCases(): GoldenCase[] {
  return readdirSync(FOLDER).map((name) => JSON.parse(readFileSync(join(FOLDER, name), 'utf8')))
}

function answers() {
  const cases = goldenCases().flatMap(({ request, events }) =>
    events === undefined ? [] : [{ request, events }],
  )
  return fc
    .tuple(fc.constantFrom(...cases), fc.array(mutations(), { minLength: 1, maxLength: 4 }))
    .map(([{ request, events }, list]) => {
      const changed = structuredClone(events)
      for (const { at, how, value } of list) mutate(changed, at, how, value)
      return { request, events: changed }
    })
}

function bodies(): fc.Arbitrary<unknown> {
  const requests = goldenCases()
    .map(({ request }) => request)
    .filter((request) => translate(request).kind === 'ok')
  // A wrong model would be refused before anything else is looked at.
  const models = fc.constantFrom('claude-opus-5-5', 'claude-sonnet-5', 'claude-haiku-4-5', 'x')
  const mutated = fc
    .tuple(
      fc.constantFrom(...requests),
      fc.array(mutations(), { minLength: 1, maxLength: 3 }),
      models,
    )
    .map(([request, list, model]) => {
      const body: object = structuredClone(request)
      for (const { at, how, value } of list) mutate(body, at, how, value)
      return { ...body, model }
    })
  return fc.oneof(
    { weight: 1, arbitrary: fc.jsonValue() },
    {
      weight: 1,
      arbitrary: fc.dictionary(fc.constantFrom('model', 'messages', 'tools'), oddValue()),
    },
    { weight: 8, arbitrary: mutated },
  )
}

function oddValue(): fc.Arbitrary<unknown> {
  return fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom<unknown>(null, '', ' ', 0, -1, 1.5, 1e308, [], {}, [[]], [null], true),
    fc.constantFrom<unknown>('tool', 'system', 'tool_result', 'text', 'thinking', 'c1', 'f'),
  )
}

function mutations() {
  return fc.record({
    at: fc.array(fc.nat(9), { minLength: 2, maxLength: 7 }),
    how: fc.constantFrom('replace', 'replace', 'drop', 'double'),
    value: oddValue(),
  })
}

/** Walks down by the numbers, as deep as there is something, and changes what it finds there. */
function mutate(body: unknown, at: readonly number[], how: string, value: unknown): void {
  let owner = body
  for (const [depth, step] of at.entries()) {
    if (typeof owner !== 'object' || owner === null) return
    const names = Object.keys(owner)
    if (names.length === 0) return
    const name = names[step % names.length]
    const members = owner as Record<string, unknown>
    const inner = members[name]
    const isEnd = depth === at.length - 1 || typeof inner !== 'object' || inner === null
    if (!isEnd) {
      owner = inner
      continue
    }
    if (how === 'replace') members[name] = value
    else if (Array.isArray(owner) && how === 'double') owner.push(structuredClone(inner))
    else if (Array.isArray(owner)) owner.splice(Number(name), 1)
    else delete members[name]
    return
  }
}
