import type { Bound, BoundInput } from '../billing/bound.ts'
import { costBound, maxTokensThatFit, tighterBound } from '../billing/bound.ts'
import type { BoundModels } from '../billing/bound-models.ts'
import { GatewayError } from '../core/errors.ts'
import { formatUsdExact } from '../core/money.ts'
import type { InferenceRequest } from '../dialects/dialect.ts'
import type { LiveAccount } from '../pool/pool.ts'
import type { BodyFacts } from '../wire/body-facts.ts'
import { countTokens } from './count-tokens.ts'
import type { Exchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { continuesThread, textOf, wholeOf } from './scalars.ts'

/** What a body says about its size and prices, for the cost bound. */
export function boundInputOf(request: InferenceRequest): BoundInput {
  const { facts } = request
  const geo = textOf(facts.inferenceGeo)
  const continues = continuesThread(facts)
  return {
    textBytes: facts.textBytes - facts.denseBytes,
    denseBytes: facts.denseBytes,
    images: facts.images.base64 + facts.images.url + facts.images.file + facts.images.other,
    unknownInput: hasUnknownSize(facts) || continues,
    cacheWrites:
      facts.hasCacheControl1h || continues ? '1h' : facts.hasCacheControl ? '5m' : 'none',
    maxTokens: request.maxTokens,
    hasTools: facts.clientTools + facts.serverTools.length > 0 || facts.hasToolChanges,
    serverTools: facts.serverTools
      .filter((tool) => tool.family !== 'advisor')
      .map((tool) => ({
        kind: tool.family === 'web_search' ? 'web_search' : 'other',
        maxUses: wholeOf(tool.maxUses),
      })),
    mcp: facts.mcpServers > 0,
    compaction: facts.topLevel.has('compaction') || facts.topLevel.has('context_management'),
    fast: textOf(facts.speed) === 'fast',
    geo: geo === 'us' || geo === 'global' ? geo : 'unknown',
  }
}

/**
 * Reserves the whole cost bound before anything leaves (M7 to M11): first the cheap bound; where the body
 * does not tell its size, or the cheap bound does not fit but a counted one might, upstream's free count
 * is asked once, but not about a thread, of which it would see the news alone. Throws `insufficient_credit` with what is needed, what is there and what would fit.
 */
export async function holdCredit(
  gateway: Gateway,
  exchange: Exchange,
  models: BoundModels,
  account: LiveAccount,
): Promise<void> {
  const input = boundInputOf(exchange.request)
  let bound = costBound(input, models)
  let counted = continuesThread(exchange.request.facts)
  if (!bound.inputKnown && !counted) {
    counted = true
    const tokens = await countTokens(gateway, exchange, account)
    if (tokens !== null) bound = tighterBound(input, models, tokens)
  }
  let refusal = await tryHold(gateway, exchange, bound, account)
  if (refusal !== null && !counted && mayFit(input, models, refusal.availableMicro)) {
    const tokens = await countTokens(gateway, exchange, account)
    if (tokens !== null) {
      bound = tighterBound(input, models, tokens)
      refusal = await tryHold(gateway, exchange, bound, account)
    }
  }
  if (refusal !== null) throw insufficientCredit(bound, refusal.availableMicro)
}

/** The 402 of a bound that does not fit. */
export function insufficientCredit(bound: Bound, availableMicro: number): GatewayError {
  const fitting = maxTokensThatFit(bound, availableMicro)
  const details: Record<string, number> = {
    required_micro: bound.amountMicro,
    available_micro: availableMicro,
  }
  if (fitting !== null) details.max_tokens_that_fit = fitting
  return new GatewayError('insufficient_credit', {
    facts: {
      available: formatUsdExact(availableMicro),
      required: formatUsdExact(bound.amountMicro),
      fits: fitting === null ? '' : `It would fit with max_tokens ${fitting}. `,
    },
    details,
  })
}

async function tryHold(
  gateway: Gateway,
  exchange: Exchange,
  bound: Bound,
  account: LiveAccount,
): Promise<{ availableMicro: number } | null> {
  const { call, request } = exchange
  exchange.bound = bound
  const result = await gateway.store.openHold({
    requestId: call.requestId,
    userId: call.live.key.userId,
    keyId: call.live.key.id,
    bootId: gateway.bootId,
    accountId: account.account.id,
    model: request.model,
    stream: request.stream,
    amountMicro: bound.amountMicro,
    openedAtMs: call.arrivedAtMs,
  })
  if (result.kind === 'insufficient_credit') return result
  exchange.holdOpen = true
  exchange.wasHeld = true
  return null
}

/** Whether any count of the input could bring the bound down to what is there. */
function mayFit(input: BoundInput, models: BoundModels, availableMicro: number): boolean {
  return availableMicro > 0 && tighterBound(input, models, 1).amountMicro <= availableMicro
}

/** True where the body does not tell how long the prompt is: PDFs, URLs, file ids. */
function hasUnknownSize(facts: BodyFacts): boolean {
  const { documents, images } = facts
  return (
    documents.base64 + documents.url + documents.file + documents.other > 0 ||
    images.url + images.file + images.other > 0 ||
    facts.containerUploads > 0 ||
    facts.fileIds > 0
  )
}
