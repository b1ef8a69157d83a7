import type { Fingerprint } from '../core/fingerprint.ts'
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
const MOST_CHANGED = 100_000

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

/** A bound conversation as it is stored, so that its thinking finds home after a restart. */
export interface BoundRow {
  /** 32 hexadecimal digits. */
  readonly hash: string
  readonly organization: string
  readonly owner: number
  readonly endsAtMs: number
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
  readonly #changed = new Map<string, BoundRow>()

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

  /** An account has told its workspace or organisation: what was kept under its id moves along. */
  learned(scope: 'workspace' | 'organization', accountId: string, id: string): void {
    if (scope === 'workspace') this.#prefixes.rename(accountId, id)
    else this.#bound.rename(accountId, id)
  }

  /** The live prefixes as bytes, to stay warm across a restart; bound conversations are rows of their own. */
  export(nowMs: number): Uint8Array {
    return this.#prefixes.export(nowMs)
  }

  /** Takes in what `export` gave, under the same hash key; answers how many entries, 0 for foreign bytes. */
  import(bytes: Uint8Array, nowMs: number): number {
    return this.#prefixes.import(bytes, nowMs)
  }

  /** Hands over the bound conversations that are new or were renewed since the last call. */
  takeBound(): readonly BoundRow[] {
    const rows = [...this.#changed.values()]
    this.#changed.clear()
    return rows
  }

  /** Takes stored bound conversations back in, the oldest first. */
  restoreBound(rows: readonly BoundRow[], nowMs: number): void {
    for (const { hash, organization, owner, endsAtMs } of rows) {
      const hashes = fromHex(hash)
      if (hashes === null || endsAtMs <= nowMs) continue
      this.#bound.put({ hashes, at: 0, place: organization, owner, tokens: 0, endsAtMs }, nowMs)
    }
  }

  #write(sent: SentPrompt, figures: CacheFigures, match: WarmPrefix | null, nowMs: number): void {
    const { prompt, workspace, owner, sentAtMs, minimumTokens } = sent
    const last = prompt.breakpoints.at(-1)
    const cached = figures.cacheReadTokens + figures.cacheWriteTokens
    if (last === undefined || cached === 0) return
    for (const { at, ttlMs } of prompt.breakpoints) {
      const entry = { hashes: prompt.prefixes, at: at * 4, place: workspace }
      const endsAtMs = sentAtMs + ttlMs
      // Upstream refreshes what it finds inside the prefix that it read, and writes only what comes after.
      if (match !== null && at <= match.at) {
        this.#prefixes.touch({ ...entry, endsAtMs }, sentAtMs)
        continue
      }
      const tokens = Math.round((cached * prompt.sizes[at]) / Math.max(1, prompt.sizes[last.at]))
      if (tokens < minimumTokens) continue
      this.#prefixes.put({ ...entry, owner, tokens, endsAtMs }, nowMs)
    }
    if (match === null) return
    const livedMs = prompt.breakpoints.find(({ at }) => at >= match.at)?.ttlMs ?? last.ttlMs
    const read = { hashes: prompt.prefixes, at: match.at * 4, place: workspace }
    this.#prefixes.touch({ ...read, endsAtMs: sentAtMs + livedMs }, sentAtMs)
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
    const hash = toHex(hashes)
    // Nobody may be taking them; memory stays bounded, and what is lost is found again by a miss.
    if (this.#changed.size >= MOST_CHANGED) this.#changed.clear()
    this.#changed.set(`${hash} ${organization}`, { hash, organization, owner, endsAtMs })
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

function toHex(hashes: Int32Array): string {
  return Array.from(hashes, (word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
}

function fromHex(hash: string): Int32Array | null {
  if (!/^[0-9a-f]{32}$/.test(hash)) return null
  return Int32Array.from([0, 8, 16, 24], (at) => Number.parseInt(hash.slice(at, at + 8), 16) | 0)
}
