import type { PriceRow } from '../billing/price-table.ts'
import { bindsThinking } from '../core/bound-thinking.ts'
import type { DecisionTrail } from '../core/decision-trail.ts'
import { type Fingerprint, NO_FINGERPRINT } from '../core/fingerprint.ts'
import type { InferenceRequest } from '../dialects/dialect.ts'
import { type CacheFigures, ownerNumber, type WarmPrefix, type Warmth } from '../pool/affinity.ts'
import { type Candidate, carriesOne } from '../pool/candidate.ts'
import type { LiveAccount } from '../pool/pool.ts'
import { type Bound, type Demand, scopeIdOf, thinkingBond } from '../pool/weigh.ts'
import { fingerprint } from '../wire/fingerprint.ts'
import type { Call } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { stateBond } from './state-bond.ts'

/** What the choice of an account goes by besides the accounts; made once per request. */
export interface Route {
  readonly prompt: Fingerprint
  /** A number for whoever pays; see `ownerNumber`. */
  readonly owner: number
  /** Where something upstream is that the body names by its id. */
  readonly state: Bound | null
  readonly model: {
    readonly bindsThinking: boolean
    readonly minimumCacheTokens: number
    readonly rewriteMicroPerMTok: number
  }
  /** As the last choice saw it. */
  warmth: Warmth
  /** Set by a thin hold: nowhere else is the request paid for. */
  thin: ThinBond | null
  /** Why each attempt went where it went. */
  readonly trail: DecisionTrail[]
}

/** The beginning of a prompt that a thin hold takes for warm; `at` is the position of its last block. */
export interface ThinBond {
  readonly workspace: string
  readonly at: number
}

/** For a thin hold a prefix must live on for so long: by then upstream has the prompt before it. */
const LEAST_LIFE_MS = 15_000
/** No account is of it. */
const NOWHERE = ''
/** About how many bytes of a prompt make a token: only shares of prompts are told by it. */
const BYTES_PER_TOKEN = 4
const NOTHING_KNOWN: Warmth = { warm: [], bound: null }

/** The route of a request that is free and short, such as a count: wherever there is room. */
export function plainRoute(): Route {
  return {
    prompt: NO_FINGERPRINT,
    owner: 0,
    state: null,
    model: { bindsThinking: false, minimumCacheTokens: 0, rewriteMicroPerMTok: 0 },
    warmth: NOTHING_KNOWN,
    thin: null,
    trail: [],
  }
}

/**
 * Reads of a request where it belongs. Throws `thread_not_found` for the continuation of a thread that is not
 * this user's or not known here: both are the same to whoever asks.
 */
export async function routeOf(
  gateway: Gateway,
  call: Call,
  request: InferenceRequest,
  { row, trail }: { readonly row: PriceRow; readonly trail: DecisionTrail[] },
): Promise<Route> {
  const { facts, body } = request
  return {
    prompt: fingerprint(asBuffer(body), facts, gateway.routing.hashKey),
    owner: ownerNumber(call.live.key.userId),
    state: await stateBond(gateway, call, request),
    model: {
      bindsThinking: bindsThinking(row.id),
      minimumCacheTokens: row.minimumCacheTokens,
      rewriteMicroPerMTok: Math.max(0, row.rates.cacheWrite5m - row.rates.cacheRead),
    },
    warmth: NOTHING_KNOWN,
    thin: null,
    trail,
  }
}

/**
 * What a choice among `candidates` is told of the request; looks up what is warm now. What is warm where this
 * request can never be served is as good as cold: it is worth no wait and pays for no thin hold.
 */
export function demandOf(
  gateway: Gateway,
  route: Route,
  candidates: readonly Candidate[],
  so: Pick<Demand, 'tried' | 'again' | 'tags' | 'waitedMs' | 'longestWaitMs'>,
): Demand {
  const { prompt, owner, model } = route
  if (prompt.positions > 0) {
    const found = gateway.routing.affinity.find(prompt, owner, gateway.clock.nowMs())
    const mayServe = (workspace: string) =>
      candidates.some(
        (one) =>
          one.servesModel && carriesOne(one, so.tags) && scopeIdOf(one, 'workspace') === workspace,
      )
    route.warmth = { ...found, warm: found.warm.filter(({ workspace }) => mayServe(workspace)) }
  }
  return {
    ...so,
    bound:
      thinBound(gateway, route) ??
      route.state ??
      thinkingBond(route.warmth.bound, model.bindsThinking),
    warm: route.warmth.warm,
    promptTokens: promptTokensOf(route),
    rewriteMicroPerMTok: model.rewriteMicroPerMTok,
  }
}

/** The longest prefix in this workspace's cache that whoever pays has written, and that lives long enough to go by. */
export function ownPrefix(
  { routing, clock }: Gateway,
  { prompt, owner }: Route,
  workspace: string,
): WarmPrefix | null {
  const aliveAtMs = clock.nowMs() + LEAST_LIFE_MS
  return routing.affinity.ownPrefix(prompt, owner, { workspace, aliveAtMs })
}

/** A thin hold pays for the workspace that it was opened for, as long as that is warm. */
function thinBound(gateway: Gateway, route: Route): Bound | null {
  const { thin } = route
  if (thin === null) return null
  const isWarm = (ownPrefix(gateway, route, thin.workspace)?.at ?? -1) >= thin.at
  return { scope: 'workspace', id: isWarm ? thin.workspace : NOWHERE, strength: 'hard' }
}

/** About how many tokens the prompt has. */
export function promptTokensOf({ prompt }: Route): number {
  return (prompt.sizes.at(-1) ?? 0) / BYTES_PER_TOKEN
}

/** The workspace of an account, by which its cache is known: a name that stands in for it where upstream has not told. */
export function workspaceOf({ pool }: Gateway, accountId: string): string {
  return pool.workspaceOf(accountId)
}

/** An answer has begun: what upstream has cached of the prompt now. */
export function noteBegan(
  gateway: Gateway,
  route: Route,
  live: LiveAccount,
  how: { readonly figures: CacheFigures; readonly sentAtMs: number },
): void {
  const { prompt, owner, warmth, model } = route
  if (prompt.positions === 0) return
  const { id } = live.account
  const known = gateway.pool.headroom(id)
  const sent = {
    prompt,
    warmth,
    workspace: workspaceOf(gateway, id),
    organization: known?.organizationId ?? id,
    owner,
    sentAtMs: how.sentAtMs,
    minimumTokens: model.minimumCacheTokens,
    bindsThinking: model.bindsThinking,
  }
  gateway.routing.affinity.began(sent, how.figures, gateway.clock.nowMs())
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
