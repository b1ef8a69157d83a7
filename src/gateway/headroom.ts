import { fastPart } from '../core/account-state.ts'
import type { Slot } from '../pool/pool.ts'
import type { ToldLimit } from '../pool/upstream-limits.ts'
import type { Gateway } from './gateway.ts'

type Headers = Readonly<Record<string, string | string[] | undefined>>
interface About {
  readonly slot: Slot
  readonly modelClass: string
}

/** Keeps what the answer's headers say of rate limits, organisation and workspace. */
export function noteHeadroom(gateway: Gateway, about: About, headers: Headers): void {
  const told = readerOf(headers)
  noteUsual(gateway, about, told)
  // Whose limits they are is known only now.
  noteFastLimits(gateway, about, told)
}

type Told = ReturnType<typeof readerOf>

/** Headers as what they mean; null or undefined where they are absent or no sound figure. */
function readerOf(headers: Headers) {
  const text = (name: string): string | null => {
    const value = headers[name]
    return typeof value === 'string' ? value.slice(0, 128) : null
  }
  const count = (name: string): number | null => {
    const value = text(name)
    return value !== null && /^\d{1,15}$/.test(value) ? Number(value) : null
  }
  const limit = (name: string): ToldLimit | undefined => {
    const [most, left] = [count(`${name}-limit`), count(`${name}-remaining`)]
    return most === null || left === null || most === 0
      ? undefined
      : { limit: most, remaining: left }
  }
  return { text, count, limit }
}

function noteUsual(
  gateway: Gateway,
  { slot, modelClass }: About,
  { text, count, limit }: Told,
): void {
  const { live } = slot
  const organizationId = text('anthropic-organization-id')
  const workspaceId = text('anthropic-workspace-id')
  const requestsLimit = count('anthropic-ratelimit-requests-limit')
  if (organizationId === null && workspaceId === null && requestsLimit === null) return
  const before = gateway.pool.headroom(live.account.id)
  const resetAtMs = Date.parse(text('anthropic-ratelimit-requests-reset') ?? '')
  const { id } = live.account
  gateway.pool.noteHeadroom({
    accountId: id,
    requestsLimit: requestsLimit ?? before?.requestsLimit ?? null,
    requestsRemaining:
      count('anthropic-ratelimit-requests-remaining') ?? before?.requestsRemaining ?? null,
    inputTokensLimit:
      count('anthropic-ratelimit-input-tokens-limit') ?? before?.inputTokensLimit ?? null,
    inputTokensRemaining:
      count('anthropic-ratelimit-input-tokens-remaining') ?? before?.inputTokensRemaining ?? null,
    outputTokensLimit:
      count('anthropic-ratelimit-output-tokens-limit') ?? before?.outputTokensLimit ?? null,
    outputTokensRemaining:
      count('anthropic-ratelimit-output-tokens-remaining') ?? before?.outputTokensRemaining ?? null,
    resetAtMs: Number.isFinite(resetAtMs) ? resetAtMs : (before?.resetAtMs ?? null),
    organizationId: organizationId ?? before?.organizationId ?? null,
    workspaceId: workspaceId ?? before?.workspaceId ?? null,
    updatedAtMs: gateway.clock.nowMs(),
  })
  const requests = limit('anthropic-ratelimit-requests')
  if (requests !== undefined) gateway.pool.noteRequestsLeft(slot, requests)
  gateway.pool.noteLimits(id, modelClass, {
    requests,
    tokens: limit('anthropic-ratelimit-tokens'),
    input: limit('anthropic-ratelimit-input-tokens'),
    output: limit('anthropic-ratelimit-output-tokens'),
    priority_input: limit('anthropic-priority-input-tokens'),
    priority_output: limit('anthropic-priority-output-tokens'),
  })
}

/** Answers to fast requests also tell of the limits that fast mode has for itself. */
function noteFastLimits({ pool }: Gateway, { slot, modelClass }: About, { limit }: Told): void {
  const figures = {
    input: limit('anthropic-fast-input-tokens'),
    output: limit('anthropic-fast-output-tokens'),
  }
  if (figures.input === undefined && figures.output === undefined) return
  pool.noteLimits(slot.live.account.id, fastPart(modelClass), figures)
}
