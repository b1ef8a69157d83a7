/** A validating scan over the bytes of a JSON text that makes no objects and copies no strings. */

import { failJson, ScanStop } from './json-stop.ts'
import { JsonStrings } from './json-strings.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const COMMA = 0x2c
const COLON = 0x3a
const BLANK = 0x20

/** What a scan may meet before it stops. */
export interface ScanLimits {
  readonly maxDepth: number
  readonly maxTokens: number
  readonly maxUnknownKeys: number
}

/** Stands before one value at a time; every method that reads one leaves `pos` behind it. */
export class JsonScan {
  readonly bytes: Buffer
  readonly length: number
  readonly strings: JsonStrings
  protected readonly limits: ScanLimits
  pos = 0
  tokenCount = 0
  maxDepthSeen = 0
  protected depth = 0

  constructor(bytes: Buffer, limits: ScanLimits) {
    this.bytes = bytes
    this.length = bytes.length
    this.limits = limits
    this.strings = new JsonStrings(bytes)
  }

  /** Skips blanks between tokens. */
  blanks(): void {
    const { bytes, length } = this
    let p = this.pos
    while (p < length) {
      const c = bytes[p] as number
      if (c !== BLANK && c !== 0x0a && c !== 0x0d && c !== 0x09) break
      p += 1
    }
    this.pos = p
  }

  /** The byte at `pos`; -1 at the end. */
  peek(): number {
    return this.pos < this.length ? (this.bytes[this.pos] as number) : -1
  }

  /** Skips one value of any kind, whatever is in it. */
  value(): void {
    switch (this.peek()) {
      case QUOTE:
        this.string()
        break
      case OPEN_BRACE:
        this.#object()
        break
      case OPEN_BRACKET:
        this.#array()
        break
      case 0x74:
        this.#literal('true')
        break
      case 0x66:
        this.#literal('false')
        break
      case 0x6e:
        this.#literal('null')
        break
      default:
        this.#number()
    }
  }

  /** Reads a string; its content is then `bytes[before + 1, pos - 1)`. */
  string(): void {
    const { bytes } = this
    const start = this.pos + 1
    const near = Math.min(this.length, start + 24)
    let p = start
    while (p < near) {
      const c = bytes[p] as number
      if (c === QUOTE) {
        this.strings.escaped = false
        this.pos = p + 1
        return
      }
      if (c === BACKSLASH || c < BLANK) break
      p += 1
    }
    this.pos = this.strings.endOf(start, p) + 1
  }

  #literal(word: string): void {
    for (let k = 0; k < word.length; k++) {
      const p = this.pos + k
      if (p >= this.length || this.bytes[p] !== word.charCodeAt(k)) this.unexpected(p)
    }
    this.pos += word.length
  }

  #number(): void {
    const { bytes, length } = this
    let p = this.pos
    if (p < length && bytes[p] === 0x2d) p += 1
    if (p < length && bytes[p] === 0x30) p += 1
    else p = this.#digits(p)
    if (p < length && bytes[p] === 0x2e) p = this.#digits(p + 1)
    if (p < length && ((bytes[p] as number) | 0x20) === 0x65) {
      p += 1
      if (p < length && (bytes[p] === 0x2b || bytes[p] === 0x2d)) p += 1
      p = this.#digits(p)
    }
    this.pos = p
  }

  /** One digit or more from `p` on; answers where they end. */
  #digits(from: number): number {
    const { bytes, length } = this
    let p = from
    while (p < length && (bytes[p] as number) >= 0x30 && (bytes[p] as number) <= 0x39) p += 1
    if (p === from) this.unexpected(p)
    return p
  }

  #object(): void {
    this.enter()
    this.blanks()
    if (this.peek() === CLOSE_BRACE) {
      this.leave()
      return
    }
    for (;;) {
      if (this.peek() !== QUOTE) this.unexpected(this.pos)
      this.string()
      this.colon()
      this.value()
      this.blanks()
      if (this.peek() === CLOSE_BRACE) break
      this.comma()
    }
    this.leave()
  }

  #array(): void {
    this.enter()
    this.blanks()
    if (this.peek() === CLOSE_BRACKET) {
      this.leave()
      return
    }
    for (;;) {
      this.value()
      this.blanks()
      if (this.peek() === CLOSE_BRACKET) break
      this.comma()
    }
    this.leave()
  }

  /** Ends the scan: no token can begin with the byte at `position`. */
  protected unexpected(position: number): never {
    if (position >= this.length) failJson('unexpected end', this.length)
    return failJson('unexpected character', position)
  }

  protected colon(): void {
    this.blanks()
    if (this.peek() !== COLON) this.unexpected(this.pos)
    this.#token()
    this.blanks()
  }

  protected comma(): void {
    if (this.peek() !== COMMA) this.unexpected(this.pos)
    this.#token()
    this.blanks()
  }

  protected enter(): void {
    this.depth += 1
    if (this.depth > this.limits.maxDepth) {
      throw new ScanStop({ kind: 'too_complex', reason: 'depth' })
    }
    if (this.depth > this.maxDepthSeen) this.maxDepthSeen = this.depth
    this.#token()
  }

  protected leave(): void {
    this.depth -= 1
    this.#token()
  }

  /** Steps over one structural token. */
  #token(): void {
    this.pos += 1
    this.tokenCount += 1
    if (this.tokenCount > this.limits.maxTokens) {
      throw new ScanStop({ kind: 'too_complex', reason: 'tokens' })
    }
  }
}
