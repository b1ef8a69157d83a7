/**
 * What routing keeps of a prompt: keyed hashes of its prefixes, and no text. A position is one block in the
 * order in which upstream caches: tools, system, messages. Hashes are four 32-bit integers each.
 */
export interface Fingerprint {
  readonly positions: number
  /** Four integers per position: the prompt up to and including that block, as the prompt cache sees it. */
  readonly prefixes: Int32Array
  /** Bytes of prompt up to and including each position; an image counts a flat sum. */
  readonly sizes: Int32Array
  /** Where upstream will write its cache, in the order of the prompt; empty when it will not. */
  readonly breakpoints: readonly Breakpoint[]
  /** Positions where upstream looks for what it has written before: the longest prefix first. */
  readonly probes: Int32Array
  /** Four integers: the conversation as a whole, thinking left out, whatever its system and tools. */
  readonly conversation: Int32Array
  /**
   * Four integers each, the latest first: the conversations whose answers left thinking in the history, as
   * `conversation` was when they were asked.
   */
  readonly answered: Int32Array
}

/** A cache breakpoint: `at` is the position of the last block inside. */
export interface Breakpoint {
  readonly at: number
  readonly ttlMs: number
}

/** How long upstream keeps a written prefix after the start of the request that wrote or read it. */
export const CACHE_TTL_MS = { '5m': 300_000, '1h': 3_600_000 } as const

/** A prompt that no cache and no history speaks for. */
export const NO_FINGERPRINT: Fingerprint = {
  positions: 0,
  prefixes: new Int32Array(0),
  sizes: new Int32Array(0),
  breakpoints: [],
  probes: new Int32Array(0),
  conversation: new Int32Array(4),
  answered: new Int32Array(0),
}
