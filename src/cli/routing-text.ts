import { formatLeft } from '../core/account-state.ts'
import type { DecisionTrail, TrailCandidate } from '../core/decision-trail.ts'
import { formatCount, formatMs, formatSpan } from './format.ts'

/** So many accounts are shown of each choice. */
const MOST_SHOWN = 4
/** From here on rests are told in minutes and hours. */
const LONG_MS = 60_000
const HOUR_MS = 3_600_000

const PLACES: Readonly<Record<string, string>> = {
  credential: 'account',
  workspace: 'workspace',
  organization: 'organisation',
}

const LEFT = {
  load: 'too much ran there',
  resting: 'it rested',
  full: 'it was full',
  priority: 'its priority is a later one',
  tried: 'it had failed this request',
} as const satisfies Record<NonNullable<DecisionTrail['left']>['because'], string>

const STATES = {
  ready: 'ready',
  full: 'full',
  resting: 'resting',
  closed: 'closed',
  capped: 'at its cap',
  tried: 'tried before',
  other_model: 'not for this model',
  other_tags: 'not for this key',
  out_of_scope: 'out of reach: bound elsewhere',
} as const satisfies Record<TrailCandidate['state'], string>

/** Whether there is anything to tell: a single account that served at once explains itself. */
export function isWorthTelling(trail: readonly DecisionTrail[]): boolean {
  return trail.some(
    ({ because, candidates, others, waitedMs }) =>
      candidates.length + others > 1 || waitedMs > 0 || because === 'wait' || because === 'none',
  )
}

/** Why the attempts of a request went where they went, one choice after the other; names by account id. */
export function routingLines(
  trail: readonly DecisionTrail[],
  nameOf: (accountId: string) => string,
): readonly string[] {
  return trail.flatMap((choice) => [
    headOf(choice, nameOf),
    ...choice.candidates
      .slice(0, MOST_SHOWN)
      .map((one) => `  ${nameOf(one.accountId)}: ${candidateText(one, choice)}`),
    ...restText(choice),
  ])
}

/** `warm: main, after 870 ms in line · not spare, which held 20,480 tokens: too much ran there`. */
function headOf(choice: DecisionTrail, nameOf: (accountId: string) => string): string {
  const { bound, left } = choice
  const parts = [fallenOn(choice, nameOf)]
  if (bound !== null) {
    const place = PLACES[bound.scope] ?? bound.scope
    parts.push(bound.isLeft ? `left the ${place} of its thinking` : boundText(choice, place))
  }
  if (left !== null) {
    const held = `${formatCount(left.warmTokens)} tokens`
    parts.push(`not ${nameOf(left.accountId)}, which held ${held}: ${LEFT[left.because]}`)
  }
  return parts.join(' · ')
}

function fallenOn(
  { because, accountId, waitedMs }: DecisionTrail,
  nameOf: (accountId: string) => string,
): string {
  const line = waitedMs < 1 ? '' : `after ${formatMs(waitedMs)} in line`
  const name = accountId === null ? 'nobody' : nameOf(accountId)
  switch (because) {
    case 'none':
      return line === '' ? 'nobody can serve' : `nobody can serve, ${line}`
    case 'wait':
      return line === '' ? `no time to wait for ${name}` : `gave up on ${name} ${line}`
    default:
      return line === '' ? `${because}: ${name}` : `${because}: ${name}, ${line}`
  }
}

function boundText({ because }: DecisionTrail, place: string): string {
  return because === 'bound' ? `kept to its ${place}` : `bound to its ${place}`
}

/** `ready · 2 in flight · 20,480 tokens warm · score 1.5`. */
function candidateText(one: TrailCandidate, { left }: DecisionTrail): string {
  const parts = [stateText(one), `${formatCount(one.inFlight)} in flight${limitText(one, left)}`]
  if (one.warmTokens > 0) parts.push(`${formatCount(one.warmTokens)} tokens warm`)
  if (one.headroom !== null) parts.push(`${Math.round(one.headroom * 100)} % of its limits left`)
  // Idle accounts are all the same.
  if (one.state === 'ready' && one.score > 0) parts.push(`score ${scoreText(one.score)}`)
  return parts.join(' · ')
}

/** States that time ends. */
const HAS_END: ReadonlySet<TrailCandidate['state']> = new Set([
  'full',
  'resting',
  'closed',
  'capped',
])

function stateText({ state, waitMs }: TrailCandidate): string {
  if (!HAS_END.has(state)) return STATES[state]
  if (waitMs === null) return `${STATES[state]}, no end known`
  const span =
    waitMs < LONG_MS
      ? formatMs(waitMs)
      : waitMs < HOUR_MS
        ? formatSpan(Math.round(waitMs / LONG_MS) * LONG_MS)
        : formatLeft(waitMs)
  return state === 'full'
    ? `${STATES[state]} for about ${span}`
    : `${STATES[state]} for ${span} more`
}

/** The limit matters where it is why the account was left. */
function limitText({ accountId, loadLimit }: TrailCandidate, left: DecisionTrail['left']): string {
  return left?.because === 'load' && left.accountId === accountId
    ? `, left from ${loadLimit} on`
    : ''
}

function scoreText(score: number): string {
  return String(Math.round(score * 100) / 100)
}

function restText({ candidates, others }: DecisionTrail): readonly string[] {
  const more = Math.max(0, candidates.length - MOST_SHOWN) + others
  return more === 0 ? [] : [`  and ${formatCount(more)} more`]
}
