import type { AttemptOutcome } from '../core/attempt-outcome.ts'
import type { BodyFacts } from '../wire/body-facts.ts'
import type { AttemptEnd } from './attempt.ts'
import { continuesThread } from './scalars.ts'

/** What may be sent again after a failure, before one byte has reached the client. */
export type ResendRule =
  /** Refusals and one failure that upstream may have billed. */
  | 'free'
  /** Refusals only: the request does things on a server. */
  | 'refusals_only'
  /** Nothing: only the account that got it can answer it. */
  | 'never'

/** What the body asks of resending. */
export function resendRule(facts: BodyFacts): ResendRule {
  if (continuesThread(facts) || facts.hasFallbackCreditToken) return 'never'
  const runsCode = facts.serverTools.some((tool) => tool.family === 'code_execution')
  if (
    facts.mcpServers > 0 ||
    runsCode ||
    (facts.container.is !== 'absent' && facts.container.is !== 'null')
  ) {
    return 'refusals_only'
  }
  return 'free'
}

/** What a try says of the process's retry budget: refusals before any work are free. */
export const ON_BUDGET: ReadonlySet<AttemptOutcome['kind']> = new Set([
  'overloaded',
  'server_error',
  'client_fault',
])

/** Whether a request may be sent again after `outcome`; `ambiguous`: how many of its tries upstream may have billed. */
export function mayResend(rule: ResendRule, outcome: AttemptOutcome, ambiguous: number): boolean {
  if (rule === 'never') return outcome.kind === 'unreachable'
  if (!mayBeBilled(outcome)) return true
  return rule === 'free' && ambiguous <= 1
}

/** Upstream was at work on it: it broke, or its stream began with an error that names the request. */
export function mayBeBilled({
  kind,
  httpStatus,
}: {
  readonly kind: string
  readonly httpStatus: number | null
}): boolean {
  return kind === 'server_error' || (kind === 'client_fault' && (httpStatus ?? 0) < 400)
}

/**
 * Upstream may have billed a try that gave us nothing: it fell silent or broke off after it had the request. An
 * error that it states is not billed.
 */
export function isOurLoss(end: Exclude<AttemptEnd, { kind: 'stream' }>): boolean {
  return end.kind === 'failed' && !end.isStated && mayBeBilled(end.outcome)
}
