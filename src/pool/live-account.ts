import { fastPart } from '../core/account-state.ts'
import type { WorkspaceName } from '../core/cache-scopes.ts'
import type { Account, HeadroomRow } from '../core/model.ts'
import { RateWindow } from '../core/window.ts'
import type { WorkingHours } from '../core/working-hours.ts'
import { FirstTokenTimes } from './first-token.ts'
import { TokenWindow } from './token-window.ts'

/** An account that may serve, with its secrets opened. */
export interface LiveAccount {
  readonly account: Account
  readonly credential: string
  /** The whole URL of its own outbound proxy; null: the server's. */
  readonly proxy: string | null
}

/** Who takes a slot, and for what. */
export interface Taker {
  readonly keyId: string
  readonly model: string
  /** The part of an account's health that this concerns: the model class, for counts `countPart` of it. */
  readonly modelClass: string
  /** It asks for fast mode, which upstream limits apart. */
  readonly isFast?: boolean
  /** About how many tokens of it limits will count: without what is cached. */
  readonly inputTokens?: number
}

/** All that the pool keeps of an account beside its health. */
export interface Entry {
  live: LiveAccount
  readonly window: RateWindow
  readonly tokens: TokenWindow
  readonly firstToken: FirstTokenTimes
  hours: WorkingHours | null
  /** In whose prompt cache it reads and writes. */
  workspace: WorkspaceName
  /** The workspace that contradicts its cache scope, once people were told so. */
  contradicts: string | null
  inFlight: number
  /** On the monotonic clock. */
  lastUsedMs: number
  /** The same by the part of the limits that was used, such as a model class. */
  readonly lastUsedByPart: Map<string, number>
  /** Attempts that find out whether a part that rested is well again, by part. */
  readonly trials: Map<string, number>
  headroom: HeadroomRow | null
}

/** An account that has served nothing yet. */
export function newEntry(live: LiveAccount): Entry {
  return {
    live,
    window: new RateWindow(),
    tokens: new TokenWindow(),
    firstToken: new FirstTokenTimes(),
    hours: null,
    workspace: { name: live.account.id, certainty: 0 },
    contradicts: null,
    inFlight: 0,
    lastUsedMs: Number.NEGATIVE_INFINITY,
    lastUsedByPart: new Map(),
    trials: new Map(),
    headroom: null,
  }
}

/** The parts of an account's health that a request concerns. */
export function partsOf({ model, modelClass, isFast }: Omit<Taker, 'keyId'>): readonly string[] {
  const parts = model === modelClass ? ['', model] : ['', modelClass, model]
  return isFast === true ? [...parts, fastPart(modelClass)] : parts
}

/** The part of a model class whose limits a request counts against: fast mode has limits of its own. */
export function limitedPartOf({
  modelClass,
  isFast,
}: Pick<Taker, 'modelClass' | 'isFast'>): string {
  return isFast === true ? fastPart(modelClass) : modelClass
}

/** Until its own limits per minute let one more through. */
export function ownWaitMs({ live: { account }, window, tokens }: Entry, nowMs: number): number {
  const { rpmLimit, tpmLimit } = account
  const rpmMs = rpmLimit === null ? 0 : window.waitMs(rpmLimit, nowMs)
  return tpmLimit === null ? rpmMs : Math.max(rpmMs, tokens.waitMs(tpmLimit, nowMs))
}

/** Accounts of one organisation share its limits; one that has not told which it is has its own. */
export function organizationOf({ live, headroom }: Entry): string {
  return headroom?.organizationId ?? live.account.id
}

/** Names what limits a part of a model class, such as the class itself or `fastPart` of it. */
export function bucketOf(entry: Entry, part: string): string {
  return `${organizationOf(entry)} ${part}`
}

/** Names what a workspace limits beside its organisation. */
export function workspaceBucketOf({ workspace }: Entry, part: string): string {
  return `workspace ${workspace.name} ${part}`
}
