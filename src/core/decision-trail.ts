/** Why an attempt went where it went, as plain data for `ccgate usage show`. Account ids, no prompts. */
export interface DecisionTrail {
  readonly because: 'bound' | 'warm' | 'balanced' | 'wait' | 'none'
  readonly accountId: string | null
  /** What the history or an id in the body ties the request to. */
  readonly bound: { readonly scope: string; readonly id: string; readonly isLeft: boolean } | null
  /** The warmest account, where another was chosen, and why. */
  readonly left: {
    readonly accountId: string
    readonly warmTokens: number
    readonly because: 'load' | 'resting' | 'full' | 'priority'
  } | null
  /** The chosen one, then the warmest, then the others; at most 16. */
  readonly candidates: readonly TrailCandidate[]
  /** How many more there were. */
  readonly others: number
}

/** One account as the choice saw it. */
export interface TrailCandidate {
  readonly accountId: string
  readonly state:
    | 'ready'
    | 'full'
    | 'resting'
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
