/** Long JSON strings: found by native search and four bytes at a time, since prompts are mostly these. */

import { failJson } from './json-stop.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const BLANK = 0x20

/** Runs longer than this many bytes without a blank or an escape are dense. */
export const DENSE_RUN_BYTES = 256

/** After an escape this many bytes are looked at one by one: most lines of code are short. */
const NEAR_BYTES = 12

/** After this many plain bytes native search beats the loop over words. */
const NATIVE_SEARCH_BYTES = 384

/** By the byte after a backslash: bytes that the escape takes, 0 where it is none. */
const escapeLength = new Uint8Array(256)
for (const c of '"\\/bfnrt') escapeLength[c.charCodeAt(0)] = 2
escapeLength[0x75] = 6

const isHexDigit = new Uint8Array(256)
for (const c of '0123456789abcdefABCDEF') isHexDigit[c.charCodeAt(0)] = 1

/** Finds the ends of strings and checks what lies between; counts dense runs. */
export class JsonStrings {
  /** Bytes inside dense runs so far, while `countsDense`. */
  denseBytes = 0
  countsDense = true
  /** The last string had an escape. */
  escaped = false
  readonly #bytes: Buffer
  readonly #length: number
  /** The body as 32-bit words, and the position of the first. */
  readonly #words: Int32Array
  readonly #wordBase: number
  #nextQuote = -1
  #nextBackslash = -1

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.#length = bytes.length
    this.#wordBase = -bytes.byteOffset & 3
    const wordBytes = Math.max(0, bytes.length - this.#wordBase)
    const wordOffset = wordBytes === 0 ? 0 : bytes.byteOffset + this.#wordBase
    this.#words = new Int32Array(bytes.buffer, wordOffset, wordBytes >> 2)
  }

  /**
   * The position of the closing quote of the string whose content begins at `start` and is plain
   * until `from`. Checks escapes and control characters; UTF-8 is checked for the whole body.
   */
  endOf(start: number, from: number): number {
    const bytes = this.#bytes
    const length = this.#length
    let p = from
    this.escaped = false
    for (;;) {
      const near = Math.min(length, p + NEAR_BYTES)
      let c = -1
      while (p < near) {
        c = bytes[p] as number
        if (c === QUOTE || c === BACKSLASH || c < BLANK) break
        p += 1
      }
      if (p === near) {
        p = this.#plainEnd(p)
        if (p >= length) failJson('unterminated string', length)
        c = bytes[p] as number
      }
      if (c === QUOTE) break
      if (c !== BACKSLASH) failJson('control character in a string', p)
      p = this.#escapeEnd(p)
      this.escaped = true
    }
    if (this.countsDense) this.denseBytes += this.denseIn(start, p)
    return p
  }

  /** How many bytes of `[start, end)` lie in dense runs. */
  denseIn(start: number, end: number): number {
    const bytes = this.#bytes
    let dense = 0
    let run = start
    while (end - run > DENSE_RUN_BYTES) {
      // Looking back from the far end of the window touches some 6 of 256 bytes of prose.
      let p = run + DENSE_RUN_BYTES
      while (p >= run && !breaksRun(bytes[p] as number)) p -= 1
      if (p < run) {
        p = this.#runEnd(run + DENSE_RUN_BYTES + 1, end)
        dense += p - run
      }
      run = p + 1
    }
    return dense
  }

  /** The first position from `p` on of a quote, a backslash or a control character. */
  #plainEnd(from: number): number {
    const bytes = this.#bytes
    const length = this.#length
    const words = this.#words
    let p = from
    while (p < length && ((p - this.#wordBase) & 3) !== 0) {
      const c = bytes[p] as number
      if (c === QUOTE || c === BACKSLASH || c < BLANK) return p
      p += 1
    }
    if (p >= length) return length
    // Four bytes at a time: a zero byte of `w ^ pattern` marks a match, `w - 0x20…` borrows on a control.
    let i = (p - this.#wordBase) >> 2
    const near = Math.min(words.length, i + (NATIVE_SEARCH_BYTES >> 2))
    while (i < near) {
      const w = words[i] as number
      const q = w ^ 0x22222222
      const b = w ^ 0x5c5c5c5c
      const hit = ((q - 0x01010101) & ~q) | ((b - 0x01010101) & ~b) | ((w - 0x20202020) & ~w)
      if ((hit & 0x80808080) !== 0) break
      i += 1
    }
    p = (i << 2) + this.#wordBase
    if (i === near && i < words.length) return this.#plainEndFar(p)
    while (p < length) {
      const c = bytes[p] as number
      if (c === QUOTE || c === BACKSLASH || c < BLANK) break
      p += 1
    }
    return p
  }

  /** `#plainEnd` for a word-aligned `p` in a long string: native search, then a look for controls. */
  #plainEndFar(p: number): number {
    const bytes = this.#bytes
    const length = this.#length
    // Both are remembered, so that the whole scan searches each byte once, however strings alternate.
    if (this.#nextQuote < p) {
      const found = bytes.indexOf(QUOTE, p)
      this.#nextQuote = found === -1 ? length : found
    }
    if (this.#nextBackslash < p) {
      const found = bytes.indexOf(BACKSLASH, p)
      this.#nextBackslash = found === -1 ? length : found
    }
    const stop = Math.min(this.#nextQuote, this.#nextBackslash)
    const words = this.#words
    const last = (stop - this.#wordBase) >> 2
    let i = (p - this.#wordBase) >> 2
    for (; i + 4 <= last; i += 4) {
      const a = words[i] as number
      const b = words[i + 1] as number
      const c = words[i + 2] as number
      const d = words[i + 3] as number
      const hit =
        ((a - 0x20202020) & ~a) |
        ((b - 0x20202020) & ~b) |
        ((c - 0x20202020) & ~c) |
        ((d - 0x20202020) & ~d)
      if ((hit & 0x80808080) !== 0) break
    }
    for (let k = (i << 2) + this.#wordBase; k < stop; k++) {
      if ((bytes[k] as number) < BLANK) return k
    }
    return stop
  }

  /** Checks the escape at `p` and answers where it ends. */
  #escapeEnd(p: number): number {
    const bytes = this.#bytes
    if (p + 1 >= this.#length) failJson('unterminated string', this.#length)
    const size = escapeLength[bytes[p + 1] as number] as number
    if (size === 2) return p + 2
    if (size === 0) failJson('unknown escape in a string', p)
    for (let k = p + 2; k < p + 6; k++) {
      if (k >= this.#length || isHexDigit[bytes[k] as number] !== 1) {
        failJson('\\u needs four hexadecimal digits', p)
      }
    }
    return p + 6
  }

  /** The first position from `p` on that breaks a dense run, at most `end`; by words, as `#plainEnd`. */
  #runEnd(from: number, end: number): number {
    const bytes = this.#bytes
    const words = this.#words
    let p = from
    while (p < end && ((p - this.#wordBase) & 3) !== 0) {
      if (breaksRun(bytes[p] as number)) return p
      p += 1
    }
    const last = (end - this.#wordBase) >> 2
    let i = (p - this.#wordBase) >> 2
    while (i < last) {
      const w = words[i] as number
      const s = w ^ 0x20202020
      const b = w ^ 0x5c5c5c5c
      const hit = ((s - 0x01010101) & ~s) | ((b - 0x01010101) & ~b) | w
      if ((hit & 0x80808080) !== 0) break
      i += 1
    }
    p = Math.max(p, (i << 2) + this.#wordBase)
    while (p < end && !breaksRun(bytes[p] as number)) p += 1
    return p
  }
}

/** Blanks and escapes end a dense run; so does all non-ASCII text, which has few bytes per token anyway. */
function breaksRun(byte: number): boolean {
  return byte === BLANK || byte === BACKSLASH || byte >= 0x80
}
