import { countPart } from '../core/account-state.ts'
import type { LiveAccount } from '../pool/pool.ts'
import { upstreamHeaders } from '../providers/anthropic/request.ts'
import { startAttempt } from './attempt.ts'
import type { Call, Exchange } from './exchange.ts'
import { CalledOff, forward, takeAccount } from './forward.ts'
import type { Gateway } from './gateway.ts'
import { admitModels, readCount } from './inspect-body.ts'
import { answerHead } from './reply-head.ts'
import { targetOf } from './target.ts'

/** How long the free count may take before the context window is used instead (M10). */
const COUNT_DEADLINE_MS = 2_000

/** Members of a Messages body that the count endpoint takes; the rest it would refuse. */
const COUNTED = [
  'model',
  'messages',
  'system',
  'tools',
  'tool_choice',
  'thinking',
  'output_config',
  'cache_control',
  'context_management',
  'mcp_servers',
  'speed',
]

/**
 * The prompt's length as upstream counts it, by the free endpoint; null when it cannot say in time. What is
 * sent are the body's own bytes, member by member.
 */
export async function countTokens(
  gateway: Gateway,
  exchange: Exchange,
  live: LiveAccount,
): Promise<number | null> {
  const { call, request } = exchange
  const target = targetOf(live, gateway.pool.headroom(live.account.id)?.workspaceId ?? null)
  const query = call.target.includes('?') ? call.target.slice(call.target.indexOf('?')) : ''
  const attempt = startAttempt({
    dispatcher: gateway.connections.for(live.account),
    method: 'POST',
    path: `${target.pathPrefix}/v1/messages/count_tokens${query}`,
    headers: upstreamHeaders(call.rawHeaders, target, gateway.policy.defaults),
    body: countBody(request.body, request.facts.topLevel),
    stream: false,
    model: request.model,
    beginWithinMs: COUNT_DEADLINE_MS,
    idleMs: COUNT_DEADLINE_MS,
    nowMs: gateway.clock.monotonicMs,
  })
  const end = await attempt.end
  if (end.kind !== 'answer' || end.outcome.kind !== 'ok') return null
  const json = end.json
  if (typeof json !== 'object' || json === null || !('input_tokens' in json)) return null
  const tokens = json.input_tokens
  return typeof tokens === 'number' &&
    Number.isSafeInteger(tokens) &&
    tokens >= 0 &&
    tokens <= 100_000_000
    ? tokens
    : null
}

/** Forwards a client's own count: rerouted like any request, paid by nobody. */
export async function forwardCount(
  gateway: Gateway,
  call: Call,
  body: Buffer,
  keyHeaders: readonly string[],
): Promise<void> {
  const request = readCount(call, body)
  const { row } = admitModels(gateway, call, request)
  const want = { model: row.id, modelClass: countPart(row.modelClass) }
  const account = takeAccount(gateway, want)
  const callOff = { abort: () => {}, aborted: false, noMore: false }
  const onClose = () => {
    callOff.aborted = true
    callOff.abort()
  }
  call.response.on('close', onClose)
  try {
    const forwarded = await forward(
      gateway,
      {
        ...want,
        requestId: call.requestId,
        isCount: true,
        target: call.target,
        rawHeaders: call.rawHeaders,
        body,
        stream: false,
        resend: 'free',
        clientTimeoutMs: call.clientTimeoutMs,
        arrivedMs: call.arrivedMs,
        attempts: [],
        onAttempt: () => {},
      },
      account,
      callOff,
    )
    if (forwarded.kind === 'stream' || call.response.destroyed) return
    const { status, headers, body: answer } = forwarded.answer
    const head = answerHead(call, headers, forwarded.account.account.id, keyHeaders)
    head.push('content-length', String(answer.length))
    call.response.writeHead(status, head)
    call.response.end(answer)
  } catch (error) {
    if (!(error instanceof CalledOff)) throw error
  } finally {
    call.response.off('close', onClose)
  }
}

/** The members that count, cut out of the body as they are. */
export function countBody(
  body: Uint8Array,
  topLevel: ReadonlyMap<string, readonly [number, number]>,
): Buffer {
  const parts: Uint8Array[] = []
  for (const name of COUNTED) {
    const span = topLevel.get(name)
    if (span === undefined) continue
    parts.push(
      Buffer.from(`${parts.length === 0 ? '{' : ','}"${name}":`),
      body.subarray(span[0], span[1]),
    )
  }
  parts.push(Buffer.from(parts.length === 0 ? '{}' : '}'))
  return Buffer.concat(parts)
}
