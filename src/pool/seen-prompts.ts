import type { Fingerprint } from '../core/fingerprint.ts'
import { PrefixTable } from './prefix-table.ts'

/** So many blocks before its end a prompt is looked for what came before: upstream's cache reads no further. */
const LOOK_BACK = 20
/** 256 KiB, good for 8,000 conversations within the life of a cache. */
const SLOTS = 8_192
/** The table knows places; a prompt was seen here. */
const HERE = 'here'

/** Which prompts came lately, whole: one that goes on from such a one will probably be gone on from as well. */
export class SeenPrompts {
  readonly #table = new PrefixTable(SLOTS)

  /** Whether the prompt is one that came, or goes on from it. */
  has(prompt: Fingerprint, nowMs: number): boolean {
    const last = prompt.positions - 1
    let isSeen = false
    const see = () => {
      isSeen = true
    }
    for (let at = last; at >= 0 && at > last - LOOK_BACK && !isSeen; at--)
      this.#table.find(prompt.prefixes, at * 4, nowMs, see)
    return isSeen
  }

  /** Remembers a prompt for so long; `owner`: see `ownerNumber`. */
  note(prompt: Fingerprint, owner: number, life: { readonly ms: number; readonly nowMs: number }) {
    if (prompt.positions === 0) return
    const at = (prompt.positions - 1) * 4
    const endsAtMs = life.nowMs + life.ms
    const entry = { hashes: prompt.prefixes, at, place: HERE, owner, tokens: 0, endsAtMs }
    this.#table.put(entry, life.nowMs)
  }
}
