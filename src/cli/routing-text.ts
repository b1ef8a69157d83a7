import type { DecisionTrail, TrailCandidate } from '../core/decision-trail.ts'
import { formatCount, formatMs } from './format.ts'

/** So many accounts are shown of each choice. */
const MOST_SHOWN = 4

const WHY = {
  bound: 'bound',
  warm: 'warm',
  balanced: 'balanced',
  wait: 'waiting',
  none: 'nobody',
} as const satisfies Record<DecisionTrail['because'], string>

/** Why the attempts of a request went where they went, one choice after the other; names by account id. */
export function routingLines(
  trail: readonly DecisionTrail[],
  nameOf: (accountId: string) => string,
): readonly string[] {
  return trail.flatMap((choice) => [
    headOf(choice, nameOf),
    ...choice.candidates
      .slice(0, MOST_SHOWN)
      .map((one) => `  ${nameOf(one.accountId)}: ${candidateText(one)}`),
    ...restText(choice),
  ])
}

/** `warm: main · left spare, which holds 20,480 tokens (load)`. */
function headOf(choice: DecisionTrail, nameOf: (accountId: string) => string): string {
  const { because, accountId, bound, left } = choice
  const parts = [`${WHY[because]}: ${accountId === null ? 'no account' : nameOf(accountId)}`]
  if (bound !== null) parts.push(`${bound.isLeft ? 'left its' : 'kept to its'} ${bound.scope}`)
  if (left !== null) {
    const held = `${formatCount(left.warmTokens)} tokens`
    parts.push(`not ${nameOf(left.accountId)}, which holds ${held} (${left.because})`)
  }
  return parts.join(' · ')
}

/** `ready · 2 in flight · 20,480 tokens warm`. */
function candidateText(one: TrailCandidate): string {
  const parts = [one.state.replaceAll('_', ' '), `${formatCount(one.inFlight)} in flight`]
  if (one.warmTokens > 0) parts.push(`${formatCount(one.warmTokens)} tokens warm`)
  if (one.waitMs !== null && one.waitMs > 0) parts.push(`free in ${formatMs(one.waitMs)}`)
  if (one.headroom !== null) parts.push(`${Math.round(one.headroom * 100)} % of its limits left`)
  return parts.join(' · ')
}

function restText({ candidates, others }: DecisionTrail): readonly string[] {
  const more = Math.max(0, candidates.length - MOST_SHOWN) + others
  return more === 0 ? [] : [`  and ${formatCount(more)} more`]
}
