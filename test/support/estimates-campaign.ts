import type { BoundInput } from '../../src/billing/bound.ts'
import { costBound } from '../../src/billing/bound.ts'
import { type BoundModels, boundModels } from '../../src/billing/bound-models.ts'
import { costOf } from '../../src/billing/cost.ts'
import { outputSoFar, partialUsage } from '../../src/billing/cut-stream.ts'
import { HoldMeter } from '../../src/billing/hold-meter.ts'
import { type Estimates, FIRST_GUESSES, Learned } from '../../src/billing/learned.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import { MEDIAN_TOKENS_PER_SECOND } from '../../src/billing/speeds.ts'
import { NO_TOKENS, type TokenCounts, type Usage } from '../../src/core/usage.ts'
import { StreamTap } from '../../src/providers/anthropic/stream-tap.ts'
import { BlockWriter } from '../../src/sandbox/block-writer.ts'
import { messageFrames } from '../../src/sandbox/stream.ts'
import { fillerText } from '../../src/sandbox/words.ts'
import { lognormal, mulberry32 } from './random.ts'

/** How many streams and agent turns, from which seed. */
export interface EstimatesPlan {
  readonly streams: number
  readonly turns: number
  readonly seed: number
  readonly report: (line: string) => void
}

const AT_MS = Date.parse('2026-11-22T12:00:00Z')
const MODELS = ['claude-fable-5-2', 'claude-opus-5-5', 'claude-sonnet-5-5', 'claude-haiku-5-5']
/** What upstream's tokenizers may make of text, in bytes per token: the sandbox draws from the same range. */
const BYTES_PER_TOKEN = [2.4, 4.1] as const

/**
 * Draws streams and agents' turns as upstream makes them, feeds them to the tap, the estimates and the hold
 * meter that the gateway uses, and compares with the truth that only the draw knows.
 */
export function runEstimates(plan: EstimatesPlan): readonly string[] {
  const violations: string[] = []
  violations.push(...cutStreams(plan))
  violations.push(...agentTraffic(plan))
  return violations
}

// ── cut streams ──────────────────────────────────────────────────────────────────────────────────

/** Sums over streams of one kind. */
interface Tally {
  billed: number
  true: number
  count: number
}

function cutStreams({ streams, seed, report }: EstimatesPlan): readonly string[] {
  const random = mulberry32(seed)
  const learned = new Learned()
  const tallies = new Map<string, Tally>()
  let bounds = 0
  let covered = 0
  let learnedBounds = 0
  let learnedCovered = 0
  for (let i = 0; i < streams; i++) {
    const stream = drawStream(random)
    const cutAtMs = random() * stream.totalMs
    for (const [name, estimates] of [
      ['first guesses', FIRST_GUESSES],
      ['learned', learned],
    ] as const) {
      // What is learned is judged once there was something to learn from.
      if (name === 'learned' && i < streams / 4) continue
      tally(tallies, name, stream, cutAtMs, estimates)
    }
    const strict = costBound(stream.input, stream.models).amountMicro
    const taught = costBound(stream.input, stream.models, { estimates: learned }).amountMicro
    bounds++
    if (strict >= stream.costMicro) covered++
    if (i >= streams / 4) {
      learnedBounds++
      if (taught >= stream.costMicro) learnedCovered++
    }
    learn(learned, stream)
  }
  for (const [name, { billed, true: truth, count }] of [...tallies].sort()) {
    report(
      `cut streams, ${name}: ${count} streams, bill/true cost ${(billed / truth).toFixed(4)} (bias ${percent(billed / truth - 1)})`,
    )
  }
  report(
    `bound >= cost: ${percent(covered / bounds)} of ${bounds} whole answers before learning, ${percent(learnedCovered / learnedBounds)} of ${learnedBounds} after`,
  )
  const violations: string[] = []
  if (covered / bounds < 0.999) violations.push('the first bound is below the cost too often')
  if (learnedCovered / learnedBounds < 0.999)
    violations.push('the learned bound is below the cost too often')
  const all = tallies.get('learned, all')
  if (all && Math.abs(all.billed / all.true - 1) > 0.05) {
    violations.push('cut streams are billed more than 5 % beside their cost')
  }
  return violations
}

interface DrawnStream {
  readonly models: BoundModels
  readonly input: BoundInput
  readonly kind: 'visible' | 'omitted with estimates' | 'omitted'
  /** Events with the time they arrive at. */
  readonly events: readonly {
    readonly text: string
    readonly atMs: number
    readonly tokensAfter: number
  }[]
  readonly totalMs: number
  readonly perSecond: number
  readonly usage: Usage
  readonly textBytes: number
  readonly costMicro: number
}

function drawStream(random: () => number): DrawnStream {
  const model = pick(MODELS, random)
  const models = modelsOf(model)
  const { modelClass } = models.row
  const draw = random()
  const kind = draw < 0.5 ? 'visible' : draw < 0.75 ? 'omitted with estimates' : 'omitted'
  const perToken = between(BYTES_PER_TOKEN, random)
  const maxTokens = 32_000
  const writer = new BlockWriter({
    maxTokens,
    stopSequences: [],
    deltaTokens: 3,
    perToken,
    tellsEstimates: kind === 'omitted with estimates',
    organizationId: 'org',
    modelId: model,
    random,
  })
  if (kind !== 'visible') writer.thinking(Math.ceil(lognormal(random, 700, 0.9)), 'omitted')
  writer.text(fillerText(Math.ceil(lognormal(random, 450, 1) * perToken), random))

  const textBytes = Math.ceil(lognormal(random, 24_000, 1))
  const prompt = Math.ceil(textBytes / between(BYTES_PER_TOKEN, random)) + 20
  const read = random() < 0.7 ? Math.floor(prompt * 0.9) : 0
  const write = Math.floor((prompt - read) * 0.8)
  const tokens: TokenCounts = {
    input: prompt - read - write,
    output: writer.spent,
    cacheRead: read,
    cacheWrite5m: write,
    cacheWrite1h: 0,
  }
  const perSecond =
    (MEDIAN_TOKENS_PER_SECOND[modelClass] ?? 50) * Math.min(2.9, lognormal(random, 1, 0.25))
  const events: { text: string; atMs: number; tokensAfter: number }[] = []
  let produced = 0
  const usage = { ...tokens, thinking: writer.thinkingSpent, webSearches: 0 }
  const sandboxUsage = {
    ...usage,
    serviceTier: 'standard',
    inferenceGeo: 'global',
    speed: 'standard',
    iterations: null,
  }
  const frames = messageFrames(
    {
      id: 'msg_01',
      model,
      finalModel: model,
      blocks: writer.blocks,
      stopReason: 'end_turn',
      stopSequence: null,
      stopDetails: null,
      usageAtStart: { ...sandboxUsage, output: 0 },
      usage: sandboxUsage,
      isFree: false,
    },
    {},
    {},
  )
  for (const frame of frames) {
    produced += frame.tokens
    events.push({ text: frame.text, atMs: (produced * 1_000) / perSecond, tokensAfter: produced })
  }
  const whole: Usage = {
    model,
    tokens,
    iterations: [],
    webSearchRequests: 0,
    speed: 'standard',
    inferenceGeo: 'global',
    serviceTier: 'standard',
    stopReason: 'end_turn',
    hasContent: true,
    anomalies: 0,
  }
  return {
    models,
    kind,
    events,
    totalMs: (produced * 1_000) / perSecond,
    perSecond,
    usage: whole,
    textBytes,
    costMicro: costOf(whole, BUILT_IN_PRICES, { atMs: AT_MS }).costMicro,
    input: inputOf(textBytes, maxTokens),
  }
}

/** Bills a stream that was cut then, and adds bill and truth to the sums of its kind. */
function tally(
  tallies: Map<string, Tally>,
  name: string,
  stream: DrawnStream,
  cutAtMs: number,
  estimates: Estimates,
): void {
  const tap = new StreamTap({ requestedModel: stream.usage.model })
  for (const { text, atMs } of stream.events) {
    if (atMs > cutAtMs || text.startsWith('event: message_delta')) break
    tap.push(Buffer.from(text), atMs)
  }
  const seen = tap.outputSoFar(cutAtMs)
  const { row } = stream.models
  const output = outputSoFar(
    {
      visibleBytes: seen.visibleBytes,
      seenOutputTokens: seen.seenOutputTokens,
      thinkingEstimatedTokens: seen.thinkingEstimatedTokens,
      thinkingOpenMs: seen.omittedThinkingMs,
      maxTokens: stream.input.maxTokens,
      row,
      speed: null,
    },
    estimates,
    'middle',
  )
  const started = tap.usage()
  const billed = costOf(partialUsage(started, output), BUILT_IN_PRICES, { atMs: AT_MS }).costMicro
  const trueOutput = Math.min(
    stream.usage.tokens.output,
    Math.floor((cutAtMs * stream.perSecond) / 1_000),
  )
  const truth = costOf(
    { ...stream.usage, tokens: { ...stream.usage.tokens, output: trueOutput } },
    BUILT_IN_PRICES,
    { atMs: AT_MS },
  ).costMicro
  for (const key of [`${name}, all`, `${name}, ${stream.kind}`]) {
    const sums = tallies.get(key) ?? { billed: 0, true: 0, count: 0 }
    sums.billed += billed
    sums.true += truth
    sums.count++
    tallies.set(key, sums)
  }
}

function learn(
  learned: Learned,
  { models, textBytes, usage, events, kind, totalMs }: DrawnStream,
): void {
  const { modelClass } = models.row
  const { input, cacheRead, cacheWrite5m, cacheWrite1h, output } = usage.tokens
  learned.sawPrompt(modelClass, textBytes, input + cacheRead + cacheWrite5m + cacheWrite1h)
  learned.sawSpeed(modelClass, output, totalMs)
  if (kind !== 'visible') return
  const tap = new StreamTap({ requestedModel: usage.model })
  for (const { text, atMs } of events) tap.push(Buffer.from(text), atMs)
  learned.sawOutput(modelClass, tap.outputSoFar(totalMs).visibleBytes, output)
}

// ── held money ───────────────────────────────────────────────────────────────────────────────────

/**
 * A day of agents: conversations whose prompts grow turn by turn and are mostly read from the cache, with
 * answers far below their `max_tokens`. Sums what is held, at its highest and over time, and what is spent.
 */
function agentTraffic({ turns, seed, report }: EstimatesPlan): readonly string[] {
  const random = mulberry32(seed + 1)
  const learned = new Learned()
  const sums = { spent: 0, spentMs: 0 }
  const modes = {
    'full, first guesses': { peak: 0, held: 0 },
    full: { peak: 0, held: 0 },
    progressive: { peak: 0, held: 0 },
  }
  let short = 0
  for (let turn = 0; turn < turns; ) {
    const models = modelsOf(pick(MODELS, random))
    const perToken = between([3, 4], random)
    let prompt = Math.ceil(lognormal(random, 14_000, 0.4))
    const length = Math.ceil(lognormal(random, 25, 0.6))
    for (let i = 0; i < length && turn < turns; i++, turn++) {
      const news = Math.ceil(lognormal(random, 900, 0.8))
      const read = i === 0 ? 0 : prompt
      prompt = Math.min(prompt + news, 190_000)
      const output = Math.min(32_000, Math.ceil(lognormal(random, 350, 1.1)))
      const textBytes = Math.ceil(prompt * perToken)
      const { modelClass } = models.row
      const usage = turnUsage(models.row.id, { read, prompt, output })
      const perSecond = (MEDIAN_TOKENS_PER_SECOND[modelClass] ?? 50) * lognormal(random, 1, 0.2)
      const waitMs = lognormal(random, 1_500, 0.4)
      const input = inputOf(textBytes, 32_000)
      const costMicro = costOf(usage, BUILT_IN_PRICES, { atMs: AT_MS }).costMicro
      const draw = { models, input, usage, output, perSecond, waitMs, perToken }
      for (const [name, mode, estimates] of [
        ['full, first guesses', 'full', FIRST_GUESSES],
        ['full', 'full', learned],
        ['progressive', 'progressive', learned],
      ] as const) {
        const held = holdThrough(draw, mode, estimates)
        modes[name].peak += held.peakMicro
        modes[name].held += held.microMs
        if (mode === 'progressive' && held.peakMicro < costMicro) short++
      }
      sums.spent += costMicro
      sums.spentMs += costMicro * (waitMs + (output * 1_000) / perSecond)
      learned.sawPrompt(modelClass, textBytes, prompt)
      learned.sawOutput(modelClass, output * perToken, output)
      learned.sawSpeed(modelClass, output, (output * 1_000) / perSecond)
    }
  }
  for (const [name, { peak, held }] of Object.entries(modes)) {
    report(
      `agents, ${name} holds: at their highest ${(peak / sums.spent).toFixed(1)} x what was spent, over time ${(held / sums.spentMs).toFixed(1)} x`,
    )
  }
  report(`agents: ${short} of ${turns} turns cost more than was ever held for them`)
  const violations: string[] = []
  if (modes.progressive.held * 2 > modes['full, first guesses'].held) {
    violations.push('progressive holds keep more than half as much money from use as full ones')
  }
  if (short > turns * 0.001) violations.push('holds fall short of the cost too often')
  return violations
}

interface DrawnTurn {
  readonly models: BoundModels
  readonly input: BoundInput
  readonly usage: Usage
  readonly output: number
  readonly perSecond: number
  readonly waitMs: number
  readonly perToken: number
}

/** One turn's hold from opening to end, in a wallet that has room: its highest, and its integral over time. */
function holdThrough(
  turn: DrawnTurn,
  mode: 'full' | 'progressive',
  estimates: Estimates,
): { readonly peakMicro: number; readonly microMs: number } {
  const { models, input, usage, output, perSecond, waitMs, perToken } = turn
  const meter = new HoldMeter({
    input,
    models,
    options: { estimates },
    table: BUILT_IN_PRICES,
    atMs: AT_MS,
    mode,
    stepTokens: 4_096,
  })
  let peakMicro = meter.openMicro
  let microMs = meter.openMicro * waitMs
  // The yardstick: a plain full hold that stays as it was opened.
  if (mode === 'full')
    return { peakMicro, microMs: peakMicro * (waitMs + (output * 1_000) / perSecond) }
  meter.started({ ...usage, tokens: { ...usage.tokens, output: 1 } })
  meter.granted()
  const stepTokens = 50
  for (let done = 0; done < output; done += stepTokens) {
    const now = Math.min(output, done + stepTokens)
    microMs += (meter.heldMicro * (now - done) * 1_000) / perSecond
    const cautious = Math.ceil(
      (now * perToken) / estimates.outputBytesPerToken(models.row.modelClass, 'cautious'),
    )
    if (meter.produced({ outputTokens: cautious, rounds: 0 }) !== null) meter.granted()
    peakMicro = Math.max(peakMicro, meter.heldMicro)
  }
  return { peakMicro, microMs }
}

function turnUsage(
  model: string,
  { read, prompt, output }: { read: number; prompt: number; output: number },
): Usage {
  const tokens = { ...NO_TOKENS, cacheRead: read, cacheWrite5m: prompt - read, output }
  return {
    model,
    tokens,
    iterations: [],
    webSearchRequests: 0,
    speed: 'standard',
    inferenceGeo: 'global',
    serviceTier: 'standard',
    stopReason: 'end_turn',
    hasContent: true,
    anomalies: 0,
  }
}

// ── shared ───────────────────────────────────────────────────────────────────────────────────────

function inputOf(textBytes: number, maxTokens: number): BoundInput {
  return {
    textBytes,
    denseBytes: 0,
    images: 0,
    unknownInput: false,
    cacheWrites: '5m',
    maxTokens,
    hasTools: true,
    serverTools: [],
    mcp: false,
    compaction: false,
    fast: false,
    geo: 'global',
  }
}

function modelsOf(model: string): BoundModels {
  const wanted = { model, fast: false, fallbacks: [], advisors: [] }
  const found = boundModels(wanted, BUILT_IN_PRICES, AT_MS)
  if (found.kind !== 'models') throw new RangeError(`${model} has no price`)
  return found.models
}

function pick<T>(list: readonly T[], random: () => number): T {
  return list[Math.floor(random() * list.length)] as T // the index is inside the list
}

function between([least, most]: readonly [number, number], random: () => number): number {
  return least + (most - least) * random()
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`
}
