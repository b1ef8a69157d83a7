/**
 * Why an attempt went where it went, as plain data for `ccgate usage show`. Account ids, no prompts. The last
 * one of a request that nobody could serve is `none`, or `wait` where it waited in vain for that account.
 */
export interface DecisionTrail {
  readonly because: 'bound' | 'warm' | 'balanced' | 'wait' | 'none'
  readonly accountId: string | null
  /** What the history or an id in the body ties the request to. */
  readonly bound: { readonly scope: string; readonly id: string; readonly isLeft: boolean } | null
  /** The warmest account, where another was chosen, and why. */
  readonly left: {
    readonly accountId: string
    readonly warmTokens: number
    /** `tried`: this very request failed there. */
    readonly because: 'load' | 'resting' | 'full' | 'priority' | 'tried'
  } | null
  /** The chosen one, then the warmest, then the others; at most 16. */
  readonly candidates: readonly TrailCandidate[]
  /** How many more there were. */
  readonly others: number
  /** How long the request had stood in line for this choice. */
  readonly waitedMs: number
}

/** One account as the choice saw it. */
export interface TrailCandidate {
  readonly accountId: string
  readonly state:
    | 'ready'
    /** At its own limits: on requests, on tokens, on what runs at a time. */
    | 'full'
    | 'resting'
    /** Outside its hours. */
    | 'closed'
    /** What the operator wants to spend there is spent. */
    | 'capped'
    | 'tried'
    | 'other_model'
    | 'other_tags'
    | 'out_of_scope'
  /** Until it can serve; null: no end known. */
  readonly waitMs: number | null
  readonly inFlight: number
  /** In flight beyond which a warm account is left. */
  readonly loadLimit: number
  readonly warmTokens: number
  readonly headroom: number | null
  /** In-flight by weight and first-token time: lower is freer. */
  readonly score: number
}

/** A trail as it is stored: names would be most of its bytes. */
export type PackedTrail = readonly [
  because: DecisionTrail['because'],
  accountId: string | null,
  bound: DecisionTrail['bound'],
  left: DecisionTrail['left'],
  others: number,
  candidates: readonly PackedCandidate[],
  /** Left out where it did not wait. */
  waitedMs?: number,
]

type PackedCandidate = readonly [
  accountId: string,
  state: TrailCandidate['state'],
  waitMs: number | null,
  inFlight: number,
  loadLimit: number,
  warmTokens: number,
  headroom: number | null,
  score: number,
]

/** What `unpackTrail` reads; figures are rounded to what people can use. */
export function packTrail(trail: DecisionTrail): PackedTrail {
  const { because, accountId, bound, left, others, candidates } = trail
  const waitedMs = Math.round(trail.waitedMs)
  const packed = candidates.map(
    (one): PackedCandidate => [
      one.accountId,
      one.state,
      one.waitMs === null ? null : Math.round(one.waitMs),
      one.inFlight,
      one.loadLimit,
      one.warmTokens,
      one.headroom === null ? null : rounded(one.headroom),
      rounded(one.score),
    ],
  )
  return waitedMs === 0
    ? [because, accountId, bound, left, others, packed]
    : [because, accountId, bound, left, others, packed, waitedMs]
}

/** The trail that `packTrail` was given, but for the rounding. */
export function unpackTrail(packed: PackedTrail): DecisionTrail {
  const [because, accountId, bound, left, others, candidates, waitedMs = 0] = packed
  return {
    because,
    accountId,
    bound,
    left,
    others,
    candidates: candidates.map((one) => {
      const [id, state, waitMs, inFlight, loadLimit, warmTokens, headroom, score] = one
      return { accountId: id, state, waitMs, inFlight, loadLimit, warmTokens, headroom, score }
    }),
    waitedMs,
  }
}

function rounded(figure: number): number {
  return Math.round(figure * 1_000) / 1_000
}
