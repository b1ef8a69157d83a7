import { hashStep, NAME_WORDS, nameId, nameIdAt, nameOf } from './json-names.ts'
import type { ScanLimits } from './json-scan.ts'
import { JsonScan } from './json-scan.ts'
import { ScanStop } from './json-stop.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const CLOSE_BRACE = 0x7d
const CLOSE_BRACKET = 0x5d
const BLANK = 0x20

/** Depths that the scratch below is made for. */
const SCRATCH_DEPTH = 64
// Scans do not nest and clear what they use, so all share one scratch: memory outside the heap is dear
// to get and to give back, once per request.
const scratchSeen = new Int32Array((SCRATCH_DEPTH + 1) * NAME_WORDS)
const scratchPath = new Int32Array(SCRATCH_DEPTH + 1)

/**
 * Looks into objects and arrays instead of skipping them: `enterObject`, then `nextKey` until null,
 * reading exactly one value after each key; arrays alike. Walked objects refuse duplicate keys.
 */
export class JsonWalk extends JsonScan {
  /** Where the last key of `nextKey` began, at its quote. */
  keyStart = 0
  /** The last key that `nextKey` did not know, unescaped. */
  unknownKey = ''
  #unknownKeys = 0
  /** A container was just entered: no comma before its first member. */
  #fresh = false
  /** Per depth: one bit per known key of the walked object. */
  readonly #seen: Int32Array
  /** Per depth: unknown keys of the walked object. */
  readonly #unknown: (Set<string> | undefined)[] = []
  /** Per depth: where the walk stands; key numbers from 0, array indexes as -1 - index. */
  readonly #path: Int32Array

  constructor(bytes: Buffer, limits: ScanLimits) {
    super(bytes, limits)
    const { maxDepth } = limits
    const fits = maxDepth <= SCRATCH_DEPTH
    this.#seen = fits ? scratchSeen : new Int32Array((maxDepth + 1) * NAME_WORDS)
    this.#path = fits ? scratchPath : new Int32Array(maxDepth + 1)
  }

  /** Steps into the object at `pos`. */
  enterObject(): void {
    this.enter()
    const row = this.depth * NAME_WORDS
    for (let k = 0; k < NAME_WORDS; k++) this.#seen[row + k] = 0
    this.#unknown[this.depth] = undefined
    this.#fresh = true
  }

  /** The next key of the walked object: a known name, '' for any other (see `unknownKey`), null at its end. */
  nextKey(): string | null {
    this.blanks()
    const fresh = this.#fresh
    this.#fresh = false
    if (this.peek() === CLOSE_BRACE) {
      this.leave()
      return null
    }
    if (!fresh) this.comma()
    if (this.peek() !== QUOTE) this.unexpected(this.pos)
    this.keyStart = this.pos
    const id = this.#nameId()
    this.#path[this.depth] = id
    if (id === -1) this.#noteUnknownKey()
    else {
      const word = this.depth * NAME_WORDS + (id >> 5)
      const bit = 1 << (id & 31)
      if (((this.#seen[word] as number) & bit) !== 0) this.#duplicate(nameOf(id))
      this.#seen[word] = (this.#seen[word] as number) | bit
    }
    this.colon()
    return id === -1 ? '' : nameOf(id)
  }

  /** Steps into the array at `pos`. */
  enterArray(): void {
    this.enter()
    this.#path[this.depth] = 0
    this.#fresh = true
  }

  /** Whether the walked array has another element; then `pos` is before it. */
  nextElement(): boolean {
    this.blanks()
    const fresh = this.#fresh
    this.#fresh = false
    if (this.peek() === CLOSE_BRACKET) {
      this.leave()
      return false
    }
    if (!fresh) this.comma()
    this.#path[this.depth] = (this.#path[this.depth] as number) - 1
    return true
  }

  /** Reads a string value as a known name, '' for any other; null for a value that is no string. */
  word(): string | null {
    if (this.peek() !== QUOTE) {
      this.value()
      return null
    }
    const id = this.#nameId()
    return id === -1 ? '' : nameOf(id)
  }

  /** The content of the string that was read last and began (at its quote) at `start`, unescaped. */
  unescaped(start: number): string {
    return this.strings.escaped
      ? (JSON.parse(this.bytes.toString('utf8', start, this.pos)) as string)
      : this.bytes.toString('utf8', start + 1, this.pos - 1)
  }

  /** Reads a string and answers the number of the known name that it spells, unescaped, or -1. */
  #nameId(): number {
    const { bytes } = this
    const start = this.pos + 1
    const near = Math.min(this.length, start + 40)
    let hash = 0
    let p = start
    while (p < near) {
      const c = bytes[p] as number
      if (c === QUOTE) {
        this.strings.escaped = false
        this.pos = p + 1
        return nameIdAt(bytes, start, p, hash)
      }
      if (c === BACKSLASH || c < BLANK) break
      hash = hashStep(hash, c)
      p += 1
    }
    this.string()
    // An escaped known name is at most six times its length.
    return this.strings.escaped && this.pos - start < 256 ? nameId(this.unescaped(start - 1)) : -1
  }

  #noteUnknownKey(): void {
    this.#unknownKeys += 1
    if (this.#unknownKeys > this.limits.maxUnknownKeys) {
      throw new ScanStop({ kind: 'too_complex', reason: 'unknown_keys' })
    }
    this.unknownKey = this.unescaped(this.keyStart)
    const known = this.#unknown[this.depth]
    if (known === undefined) {
      this.#unknown[this.depth] = new Set([this.unknownKey])
      return
    }
    if (known.has(this.unknownKey)) this.#duplicate(this.unknownKey)
    known.add(this.unknownKey)
  }

  #duplicate(key: string): never {
    let path = ''
    for (let depth = 1; depth < this.depth; depth++) {
      const at = this.#path[depth] as number
      path += at < 0 ? `[${-1 - at}]` : `${path === '' ? '' : '.'}${nameOf(at)}`
    }
    const name = key.length > 64 ? `${key.slice(0, 64)}…` : key
    throw new ScanStop({ kind: 'duplicate_key', path: path === '' ? name : `${path}.${name}` })
  }
}
