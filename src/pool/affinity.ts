import { CACHE_TTL_MS, type Fingerprint } from '../core/fingerprint.ts'
import { type Found, PrefixTable } from './prefix-table.ts'

/** Thinking outlives every cache: it is honoured as long as people come back to a conversation. */
const BOUND_MS = 30 * 86_400_000
/** A bound entry in use is made to live on when it has less than this. */
const RENEW_BELOW_MS = BOUND_MS - 86_400_000
/** Further back than this in the list of answers, a conversation gets a nearer entry. */
const NEAR_ANSWERS = 256
/** Below this share of what was foretold, an answer's reads say that the entry is gone. */
const TRUE_SHARE = 0.5
/** Default slots: 2 MiB of prefixes and 2 MiB of bound conversations, each good for 10,000 conversations. */
const SLOTS = 65_536
/** Bytes of an export before the prefixes: how long they are. */
const HEADER = 4

/** A prefix of a prompt that lives in a workspace's cache. */
export interface WarmPrefix {
  readonly workspace: string
  readonly tokens: number
  /** Position of its last block. */
  readonly at: number
  readonly endsAtMs: number
}

/** The organisation that made the thinking in a conversation's history. */
export interface BoundThinking {
  readonly organization: string
  /** Two organisations answered the very same conversation: this one was the last to do so. */
  readonly isAmbiguous: boolean
  /** How many answers with thinking came after the one that told. */
  readonly answersAgo: number
  readonly endsAtMs: number
}

/** Everything known of a prompt before it leaves. */
export interface Warmth {
  /** The longest live prefix of each workspace that has one, the longest first. */
  readonly warm: readonly WarmPrefix[]
  readonly bound: BoundThinking | null
}

/** An attempt that has left, until its answer begins. Nothing can be read of it before. */
export interface SentPrompt {
  readonly prompt: Fingerprint
  readonly warmth: Warmth
  /** Of the account that serves: its workspace and organisation, or its id where they are unknown. */
  readonly workspace: string
  readonly organization: string
  /** A number for whoever pays; see `ownerNumber`. */
  readonly owner: number
  readonly sentAtMs: number
  /** The model's least prefix: upstream caches nothing shorter. */
  readonly minimumTokens: number
  /** The model binds its thinking to the organisation. */
  readonly bindsThinking: boolean
}

/** The part of `message_start`'s usage that tells what the cache did. */
export interface CacheFigures {
  readonly cacheReadTokens: number
  readonly cacheWriteTokens: number
}

/** What the beginning of an answer taught. */
export type Lesson = 'as_foretold' | 'colder' | 'warmer'

/**
 * Remembers where prompts are cached and whose thinking conversations hold, in memory of fixed size.
 * Entries come into being when an answer begins, as upstream's do, and live from the moment of the send.
 */
export class Affinity {
  readonly #prefixes: PrefixTable
  readonly #bound: PrefixTable

  constructor(options: { readonly slots?: number; readonly boundSlots?: number } = {}) {
    this.#prefixes = new PrefixTable(options.slots ?? SLOTS)
    this.#bound = new PrefixTable(options.boundSlots ?? SLOTS)
  }

  /** Bytes of memory, whatever was asked; entries of prefixes and of bound conversations. */
  get figures(): { readonly bytes: number; readonly prefixes: number; readonly bound: number } {
    const bytes = this.#prefixes.bytes + this.#bound.bytes
    return { bytes, prefixes: this.#prefixes.size, bound: this.#bound.size }
  }

  /** Looks a prompt up; changes nothing. */
  find(prompt: Fingerprint, owner: number, nowMs: number): Warmth {
    const warm: WarmPrefix[] = []
    for (const at of prompt.probes) {
      this.#prefixes.find(prompt.prefixes, at * 4, nowMs, ({ place, tokens, endsAtMs }) => {
        if (warm.some(({ workspace }) => workspace === place)) return
        warm.push({ workspace: place, tokens, at, endsAtMs })
      })
    }
    return { warm, bound: this.#boundOf(prompt, owner, nowMs) }
  }

  /**
   * The longest prefix that this owner wrote and that lives in the workspace until `aliveAtMs` or longer:
   * what others wrote is no ground to spend their money on.
   */
  ownPrefix(
    prompt: Fingerprint,
    owner: number,
    { workspace, aliveAtMs }: { readonly workspace: string; readonly aliveAtMs: number },
  ): WarmPrefix | null {
    for (const at of prompt.probes) {
      let own: WarmPrefix | null = null
      this.#prefixes.find(prompt.prefixes, at * 4, aliveAtMs, (found) => {
        if (found.place !== workspace || found.owner !== owner) return
        own = { workspace, tokens: found.tokens, at, endsAtMs: found.endsAtMs }
      })
      if (own !== null) return own
    }
    return null
  }

  /** An answer has begun: what it wrote can be read from now on, what it should have read and did not is gone. */
  began(sent: SentPrompt, figures: CacheFigures, nowMs: number): Lesson {
    this.#noteThinking(sent, nowMs)
    const { prompt, workspace } = sent
    const match = sent.warmth.warm.find((one) => one.workspace === workspace) ?? null
    const isGone =
      match !== null && figures.cacheReadTokens < Math.max(1, match.tokens * TRUE_SHARE)
    if (isGone) {
      this.#prefixes.remove({ hashes: prompt.prefixes, at: match.at * 4, place: workspace })
    }
    this.#write(sent, figures, isGone ? null : match, nowMs)
    if (isGone) return 'colder'
    return figures.cacheReadTokens > 0 && match === null ? 'warmer' : 'as_foretold'
  }

  /** A workspace or organisation has a surer name: what was kept under the name before moves along. */
  learned(scope: 'workspace' | 'organization', before: string, now: string): void {
    if (scope === 'workspace') this.#prefixes.rename(before, now)
    else this.#bound.rename(before, now)
  }

  /** Everything that is alive as bytes, to stay warm, and true to thinking, across a restart. */
  export(nowMs: number): Uint8Array {
    const prefixes = this.#prefixes.export(nowMs)
    const bound = this.#bound.export(nowMs)
    const bytes = new Uint8Array(HEADER + prefixes.length + bound.length)
    new DataView(bytes.buffer).setUint32(0, prefixes.length, true)
    bytes.set(prefixes, HEADER)
    bytes.set(bound, HEADER + prefixes.length)
    return bytes
  }

  /** Takes in what `export` gave, under the same hash key; answers how many entries, 0 for foreign bytes. */
  import(bytes: Uint8Array, nowMs: number): number {
    if (bytes.length < HEADER) return 0
    const length = new DataView(bytes.buffer, bytes.byteOffset, HEADER).getUint32(0, true)
    if (length > bytes.length - HEADER) return 0
    const prefixes = this.#prefixes.import(bytes.subarray(HEADER, HEADER + length), nowMs)
    return prefixes + this.#bound.import(bytes.subarray(HEADER + length), nowMs)
  }

  #write(sent: SentPrompt, figures: CacheFigures, match: WarmPrefix | null, nowMs: number): void {
    const { prompt, workspace, owner, sentAtMs, minimumTokens } = sent
    const last = prompt.breakpoints.at(-1)
    const cached = figures.cacheReadTokens + figures.cacheWriteTokens
    if (last === undefined || cached === 0) return
    // What was written for five minutes lives on for five, whatever the breakpoint of its reader says.
    const shortEndsAtMs = sentAtMs + CACHE_TTL_MS['5m']
    for (const { at, ttlMs } of prompt.breakpoints) {
      const entry = { hashes: prompt.prefixes, at: at * 4, place: workspace }
      const endsAtMs = sentAtMs + ttlMs
      // Upstream refreshes what it finds inside the prefix that it read, and writes only what comes after.
      if (match !== null && at <= match.at) {
        this.#prefixes.touch({ ...entry, endsAtMs, shortEndsAtMs }, sentAtMs)
        continue
      }
      const tokens = Math.round((cached * prompt.sizes[at]) / Math.max(1, prompt.sizes[last.at]))
      if (tokens < minimumTokens) continue
      const isLong = ttlMs > CACHE_TTL_MS['5m']
      this.#prefixes.put({ ...entry, owner, tokens, endsAtMs, isLong }, nowMs)
    }
    if (match === null) return
    const livedMs = prompt.breakpoints.find(({ at }) => at >= match.at)?.ttlMs ?? last.ttlMs
    const read = { hashes: prompt.prefixes, at: match.at * 4, place: workspace }
    this.#prefixes.touch({ ...read, endsAtMs: sentAtMs + livedMs, shortEndsAtMs }, sentAtMs)
  }

  #boundOf(prompt: Fingerprint, owner: number, nowMs: number): BoundThinking | null {
    for (let k = 0; k * 4 < prompt.answered.length; k++) {
      const hashes = ownHash(prompt.answered, k * 4, owner)
      const found: Found[] = []
      this.#bound.find(hashes, 0, nowMs, (one) => found.push(one))
      if (found.length === 0) continue
      const latest = found.reduce((best, one) => (one.endsAtMs >= best.endsAtMs ? one : best))
      const { place, endsAtMs } = latest
      const isAmbiguous = found.some((one) => one.place !== place)
      return { organization: place, isAmbiguous, answersAgo: k, endsAtMs }
    }
    return null
  }

  /** One entry per conversation is enough: the history tells the way back to it. */
  #noteThinking(sent: SentPrompt, nowMs: number): void {
    const { prompt, owner, organization, bindsThinking, warmth } = sent
    if (!bindsThinking || prompt.positions === 0) return
    const { bound } = warmth
    const isKnown =
      bound !== null &&
      bound.organization === organization &&
      !bound.isAmbiguous &&
      bound.answersAgo < NEAR_ANSWERS &&
      bound.endsAtMs - nowMs > RENEW_BELOW_MS
    if (isKnown) return
    const hashes = ownHash(prompt.conversation, 0, owner)
    const endsAtMs = nowMs + BOUND_MS
    this.#bound.put({ hashes, at: 0, place: organization, owner, tokens: 0, endsAtMs }, nowMs)
  }
}

/** A 32-bit number for whoever pays (FNV-1a of the id): owners of equal numbers share one part of the table. */
export function ownerNumber(userId: string): number {
  let hash = 0x811c9dc5
  for (let k = 0; k < userId.length; k++) hash = Math.imul(hash ^ userId.charCodeAt(k), 0x01000193)
  return hash | 0
}

/** Nobody's conversation says anything of another owner's, however equal their words. */
function ownHash(hashes: Int32Array, at: number, owner: number): Int32Array {
  const [a, b, c, d] = hashes.subarray(at, at + 4)
  return Int32Array.of(a ^ owner, b ^ Math.imul(owner, 0x9e3779b1), c ^ ~owner, d ^ owner)
}
