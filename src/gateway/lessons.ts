import type { Usage } from '../core/usage.ts'
import type { StreamTap } from '../providers/anthropic/stream-tap.ts'
import { contentBytes, messageIdOf } from '../providers/anthropic/usage.ts'
import { isPlainText } from './bound-input.ts'
import type { Exchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { answeringRow } from './stream-usage.ts'
import { noteThread } from './threads.ts'

/** What an exact receipt of a stream teaches, which ran from `startedMs` (null: with pauses) to `nowMs`. */
export function learnFromStream(
  gateway: Gateway,
  exchange: Exchange,
  tap: StreamTap,
  { startedMs, nowMs }: { readonly startedMs: number | null; readonly nowMs: number },
): void {
  const seen = tap.outputSoFar(nowMs)
  const usage = tap.usage()
  noteThread(gateway, exchange, usage, tap.messageId)
  learnPrompt(gateway, exchange, usage)
  if (usage.iterations.length > 1 || usage.stopReason === 'refusal') return
  const { modelClass } = answeringRow(exchange, usage)
  // Where thinking was not shown, or tools ran upstream, bytes and tokens are not of the same thing.
  const isVisible = !seen.omittedThinking && seen.serverToolUses === 0
  if (isVisible) gateway.learned.sawOutput(modelClass, seen.visibleBytes, usage.tokens.output)
  if (startedMs !== null && usage.speed !== 'fast' && seen.serverToolUses === 0)
    gateway.learned.sawSpeed(modelClass, usage.tokens.output, nowMs - startedMs)
}

/** What an exact receipt of a whole answer teaches; how fast it was written cannot be seen. */
export function learnFromAnswer(
  gateway: Gateway,
  exchange: Exchange,
  usage: Usage,
  json: unknown,
): void {
  noteThread(gateway, exchange, usage, messageIdOf(json))
  learnPrompt(gateway, exchange, usage)
  const { facts } = exchange.request
  const thinks = facts.thinking.is === 'object'
  if (usage.iterations.length > 1 || facts.serverTools.length > 0 || thinks) return
  const { modelClass } = answeringRow(exchange, usage)
  gateway.learned.sawOutput(modelClass, contentBytes(json), usage.tokens.output)
}

function learnPrompt(gateway: Gateway, exchange: Exchange, usage: Usage): void {
  const { modelClass } = exchange.price
  const { facts } = exchange.request
  // Another model may have another tokenizer: then the answer says nothing about the one that was asked for.
  if (answeringRow(exchange, usage).modelClass !== modelClass || !isPlainText(facts)) return
  const { input, cacheRead, cacheWrite5m, cacheWrite1h } = usage.tokens
  const promptTokens = input + cacheRead + cacheWrite5m + cacheWrite1h
  gateway.learned.sawPrompt(modelClass, facts.textBytes, promptTokens)
}
