/** Why an account may not serve, and for how long; null: no end by itself. */
export interface Rest {
  /** `capped`: what the operator wants to spend there is spent; `closed`: it is outside its working hours. */
  readonly kind: 'limited' | 'capped' | 'closed' | 'unhealthy'
  readonly forMs: number | null
  /** It is a guess of ours, and no fact that upstream or a person stated. */
  readonly isSoft?: boolean
}

/** One account as selection sees it, at one instant and for one model class. */
export interface Candidate {
  readonly id: string
  readonly priority: number
  readonly weight: number
  readonly inFlight: number
  readonly concurrencyLimit: number | null
  /** How long until its own RPM and TPM let one more through; 0 is now. */
  readonly rpmWaitMs: number
  /** null: it may serve. */
  readonly rest: Rest | null
  /** Its model list allows the requested model. */
  readonly servesModel: boolean
  /** Since its last attempt left; infinite when it never had one. */
  readonly idleMs: number
  /** The same for attempts of this model class alone; absent: as `idleMs`. */
  readonly classIdleMs?: number
  /** The operator's labels; a key may be confined to some. */
  readonly tags?: readonly string[]
  /** Whose prompt cache it reads and writes; absent or null: not yet known, so nobody else's. */
  readonly workspace?: string | null
  /** Whose thinking it can read; absent or null: not yet known. */
  readonly organization?: string | null
  /** Usual time until an answer begins, in milliseconds; absent or null: not yet known. */
  readonly firstTokenMs?: number | null
  /** The least share, 0 to 1, that is left of any of its upstream limits; absent or null: not known. */
  readonly headroom?: number | null
}

export type Choice =
  | { readonly kind: 'account'; readonly id: string }
  /** Nothing can serve; see `becauseOf`. `retryAfterMs` null when no end is known. */
  | {
      readonly kind: 'none'
      readonly because: 'no_accounts' | 'limited' | 'capped' | 'closed' | 'unhealthy'
      readonly retryAfterMs: number | null
    }

/** How long a full account is expected to need for a slot, when nothing better is known. */
const SLOT_WAIT_MS = 1_000

/**
 * Why none of these can serve: `capped` when the operator's caps keep all of them away, `closed` when the working
 * hours do of all that a cap leaves, `limited` when every one that these leave is at a limit.
 */
export function becauseOf(
  waiting: readonly Candidate[],
): Extract<Choice, { kind: 'none' }>['because'] {
  if (waiting.length === 0) return 'no_accounts'
  const uncapped = waiting.filter(({ rest }) => rest?.kind !== 'capped')
  if (uncapped.length === 0) return 'capped'
  const open = uncapped.filter(({ rest }) => rest?.kind !== 'closed')
  if (open.length === 0) return 'closed'
  const isLimited = open.every(({ rest }) => rest === null || rest.kind === 'limited')
  return isLimited ? 'limited' : 'unhealthy'
}

/** Whether it carries one of these tags; null: none is asked for. */
export function carriesOne({ tags }: Candidate, wanted: readonly string[] | null): boolean {
  return wanted === null || wanted.some((tag) => tags?.includes(tag))
}

/** Milliseconds until it can serve, 0: now; null: no end known. */
export function waitOf(candidate: Candidate): number | null {
  if (candidate.rest !== null)
    return candidate.rest.forMs === null ? null : Math.max(1, candidate.rest.forMs)
  return roomWaitMs(candidate)
}

/** Milliseconds until its own limits let one more through, 0: now; whether it rests aside. */
export function roomWaitMs({ concurrencyLimit, inFlight, rpmWaitMs }: Candidate): number {
  const isFull = concurrencyLimit !== null && inFlight >= concurrencyLimit
  return isFull ? Math.max(SLOT_WAIT_MS, rpmWaitMs) : rpmWaitMs
}
