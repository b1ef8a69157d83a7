import { type AnswerBlock, BlockWriter } from './block-writer.ts'
import { type AnswerRequest, writeContent } from './content.ts'
import { asList, asObject, asText, type JsonObject } from './json.ts'
import type { KeptState } from './objects.ts'
import { createRandom, hash32 } from './random.ts'
import type { SandboxIteration, SandboxUsage } from './usage.ts'

/** An answer before anything has been done to it. */
export interface Answer {
  readonly id: string
  /** As `message_start` says it; `finalModel` is the one that served in the end. */
  readonly model: string
  readonly finalModel: string
  readonly blocks: readonly AnswerBlock[]
  readonly stopReason: string
  readonly stopSequence: string | null
  readonly stopDetails: JsonObject | null
  /** Absent: it has nothing to do with what upstream keeps. */
  readonly kept?: KeptState
  /** Known when the stream starts; `usage` is what it came to. */
  readonly usageAtStart: SandboxUsage
  readonly usage: SandboxUsage
  /** Refused before any output: upstream shows usage and bills nothing. */
  readonly isFree: boolean
}

const SEARCH_INPUT_TOKENS = 800
const SEARCH_WRITE_TOKENS = 200
const DEFAULT_DELTA_TOKENS = 3

/** Writes the answer; the same request and seed give the same words. */
export function composeAnswer(request: AnswerRequest): Answer {
  const { body, fault, model } = request
  const writer = writerFor(request)
  // With `fallbacks` a declined request is handed on to the first of them; else it is refused.
  const fallback = fault.decline ? fallbackModel(body, model.id) : null
  const isRefused = fault.decline !== undefined && fallback === null
  const isEarly = fault.decline === 'before'
  if (fault.decline === 'mid') writer.text('I can say this much and then')
  const declinedOutput = writer.spent
  if (fallback) writer.fallback(model.id, fallback, fault.category ?? null)
  if (!isRefused) writeContent(writer, request)

  const usageAtStart = usageBase(request)
  return {
    id: request.id,
    model: fault.answerModel ?? (isEarly && fallback ? fallback : model.id),
    finalModel: fault.answerModel ?? fallback ?? model.id,
    blocks: writer.blocks,
    stopReason: fault.stopReason ?? (isRefused ? 'refusal' : writer.stopReason),
    stopSequence: writer.stopSequence,
    stopDetails: isRefused
      ? {
          type: 'refusal',
          category: fault.category ?? null,
          explanation: null,
          ...(givesCredit(request) ? { fallback_credit_token: request.kept.newCreditToken() } : {}),
        }
      : null,
    kept: request.kept,
    usageAtStart,
    usage: usageAtEnd(request, usageAtStart, writer, fallback, declinedOutput),
    isFree: isRefused && isEarly,
  }
}

/** Whoever knows what to do with it gets what the refusal has cost back. */
function givesCredit({ betas }: AnswerRequest): boolean {
  return betas.some((beta) => beta.startsWith('fallback-credit-'))
}

/** Searches add input, and cache writes of their own where the request caches at all. */
function usageAtEnd(
  request: AnswerRequest,
  start: SandboxUsage,
  writer: BlockWriter,
  fallback: string | null,
  declinedOutput: number,
): SandboxUsage {
  const { searches } = writer
  const caches = start.cacheRead + start.cacheWrite5m + start.cacheWrite1h > 0
  const input = start.input + searches * SEARCH_INPUT_TOKENS
  // The top level tells of the attempt that served; the declined one is in the iterations.
  const output = fallback ? writer.spent - declinedOutput : writer.spent
  return {
    ...start,
    input,
    output,
    thinking: writer.thinkingSpent,
    cacheWrite5m: start.cacheWrite5m + (caches && searches > 0 ? SEARCH_WRITE_TOKENS : 0),
    webSearches: searches,
    iterations: iterationsOf(request, input, output, declinedOutput, fallback),
    fallbackCredit: request.kept.fallbackCredit,
  }
}

function writerFor(request: AnswerRequest): BlockWriter {
  const { body, betas, fault, perToken, organizationId, model } = request
  return new BlockWriter({
    maxTokens: typeof body.max_tokens === 'number' ? body.max_tokens : 0,
    stopSequences: asList(body.stop_sequences).filter((text) => typeof text === 'string'),
    deltaTokens: fault.deltaTokens ?? DEFAULT_DELTA_TOKENS,
    perToken,
    tellsEstimates: betas.includes('thinking-token-count-2026-05-13'),
    organizationId,
    modelId: model.id,
    random: createRandom(hash32(request.id, request.seed)),
  })
}

function usageBase(request: AnswerRequest): SandboxUsage {
  const { body, fault, model } = request
  const cached = request.cacheRead + request.cacheWrite5m + request.cacheWrite1h
  const fast = body.speed === 'fast' && model.fastMode !== 'as_standard'
  return {
    input: request.promptTokens - cached,
    output: 0,
    thinking: 0,
    cacheRead: request.cacheRead,
    cacheWrite5m: request.cacheWrite5m,
    cacheWrite1h: request.cacheWrite1h,
    webSearches: 0,
    serviceTier: fault.serviceTier ?? 'standard',
    inferenceGeo:
      fault.geo ?? asText(body.inference_geo) ?? (model.geo ? 'global' : 'not_available'),
    speed: fault.speed ?? (fast ? 'fast' : 'standard'),
    iterations: null,
    fallbackCredit: null,
  }
}

function iterationsOf(
  request: AnswerRequest,
  input: number,
  output: number,
  declinedOutput: number,
  fallback: string | null,
): readonly SandboxIteration[] | null {
  const { fault, model } = request
  const main: SandboxIteration = { type: 'message', model: model.id, input, output }
  if (fallback) {
    return [
      { ...main, output: declinedOutput },
      { type: 'fallback_message', model: fallback, input, output },
    ]
  }
  switch (fault.iterations) {
    case 'plain':
      return [main]
    case 'compaction':
      return [{ type: 'compaction', model: null, input: 5_000, output: 300 }, main]
    case 'advisor':
      return [main, { type: 'advisor_message', model: 'claude-opus-5-5', input: 900, output: 250 }]
    default:
      return null
  }
}

/** The model that takes over when the first declines; null when the caller named none. */
function fallbackModel(body: JsonObject, requested: string): string | null {
  if (body.fallbacks === 'default') {
    return requested === 'claude-opus-5-5' ? 'claude-opus-5' : 'claude-opus-5-5'
  }
  return asText(asObject(asList(body.fallbacks)[0])?.model)
}
