import fc from 'fast-check'
import { translator } from '../../../src/dialects/openai-responses/translator.ts'
import { brokenRule } from '../openai-chat/rules.ts'
import { CASES } from './cases.ts'
import { eventsOf, playLifecycle } from './lifecycle.ts'
import { contextWith, openAnswer, translated } from './world.ts'

/** How long a run is, and where chance begins. */
export interface FuzzRun {
  readonly runs: number
  readonly seed: number
}

/** What a run found. */
export interface FuzzResult {
  /** One sentence per input that threw or broke a rule; at most ten. */
  readonly problems: readonly string[]
  readonly passed: number
}

const CONTEXT = contextWith({ webSearch: true })

/**
 * Translates random bodies: any JSON, and requests of the cases with parts of them replaced, left out or
 * doubled. Nothing may throw; what is refused says so in full, what passes keeps upstream's rules.
 */
export function fuzzRequests({ runs, seed }: FuzzRun): FuzzResult {
  return collect(fc.sample(bodies(), { numRuns: runs, seed }), (body) => {
    const translation = translator.translate(structuredClone(body), CONTEXT)
    if (translation.kind === 'refused') {
      const { status, code, message } = translation
      return status === 400 && code.length > 0 && message.length > 0 ? 'refused' : 'half a refusal'
    }
    const upstream = JSON.parse(translation.body)
    if (upstream.stream !== true || !(upstream.max_tokens > 0)) return 'a body without its fields'
    if (!/^[\x20-\x7e]*$/.test([...translation.ignored, ...translation.warnings].join()))
      return 'a word that no header can carry'
    return brokenRule(upstream, upstream.model)
  })
}

/**
 * Feeds answers with mutated upstream events. Nothing may throw, the order of events stays right, and only
 * what upstream ended is called an end.
 */
export function fuzzStreams({ runs, seed }: FuzzRun): FuzzResult {
  return collect(fc.sample(streams(), { numRuns: runs, seed }), ({ body, events }) => {
    const text = events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')
    for (const stream of [true, false]) {
      const answer = openAnswer(translated({ ...body, stream }, CONTEXT.settings))
      let written = answer.push(Buffer.from(text)).toString()
      if (answer.state === 'paused') written += answer.finishPaused().toString()
      if (answer.state === 'done' && !text.includes('"message_stop"')) return 'a made-up end'
      if (answer.state === 'done') JSON.parse(answer.body() ?? '')
      const isOver = answer.state === 'done' || answer.state === 'failed'
      if (stream && isOver && text.includes('"message_start"')) playLifecycle(eventsOf(written))
      if (!stream && written !== '') return 'bytes before the whole answer'
    }
    return null
  })
}

/** `refused` counts neither as a problem nor as passed. */
function collect<T>(inputs: readonly T[], check: (input: T) => string | null): FuzzResult {
  const problems: string[] = []
  let passed = 0
  for (const input of inputs) {
    let problem: string | null
    try {
      problem = check(input)
    } catch (error) {
      problem = `threw ${error instanceof Error ? error.stack?.slice(0, 600) : String(error)}`
    }
    if (problem === null) passed++
    else if (problem !== 'refused' && problems.length < 10)
      problems.push(`${problem}: ${JSON.stringify(input).slice(0, 2_000)}`)
  }
  return { problems, passed }
}

function streams() {
  const cases = CASES.flatMap(({ body, upstream }) =>
    upstream === undefined ? [] : [{ body, upstream }],
  )
  return fc
    .tuple(fc.constantFrom(...cases), fc.array(mutations(), { minLength: 1, maxLength: 4 }))
    .map(([{ body, upstream }, list]) => {
      const events: unknown[] = structuredClone([...upstream])
      for (const mutation of list) mutate(events, mutation)
      return { body, events }
    })
}

function bodies(): fc.Arbitrary<unknown> {
  const requests = CASES.map(({ body }) => body).filter(
    (body) => translator.translate(body, CONTEXT).kind === 'ok',
  )
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
      for (const mutation of list) mutate(body, mutation)
      return { ...body, model }
    })
  const loose = fc.dictionary(fc.constantFrom('model', 'input', 'tools', 'text'), oddValue())
  return fc.oneof(
    { weight: 1, arbitrary: fc.jsonValue() },
    { weight: 1, arbitrary: loose },
    { weight: 8, arbitrary: mutated },
  )
}

function oddValue(): fc.Arbitrary<unknown> {
  return fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom<unknown>(null, '', ' ', 0, -1, 1.5, 1e308, [], {}, [[]], [null], true),
    fc.constantFrom<unknown>('message', 'function_call', 'developer', 'input_text', 'c1', 'f'),
  )
}

interface Mutation {
  readonly at: readonly number[]
  readonly how: 'replace' | 'drop' | 'double'
  readonly value: unknown
}

function mutations(): fc.Arbitrary<Mutation> {
  return fc.record({
    at: fc.array(fc.nat(9), { minLength: 1, maxLength: 7 }),
    how: fc.constantFrom('replace', 'replace', 'drop', 'double'),
    value: oddValue(),
  })
}

/** Walks down by the numbers, as deep as there is something, and changes what it finds there. */
function mutate(root: unknown, { at, how, value }: Mutation): void {
  let owner = root
  for (const [depth, step] of at.entries()) {
    if (typeof owner !== 'object' || owner === null) return
    const names = Object.keys(owner)
    if (names.length === 0) return
    const name = names[step % names.length]
    const members = owner as Record<string, unknown>
    const inner = members[name]
    if (depth < at.length - 1 && typeof inner === 'object' && inner !== null) {
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
