/** Integers per slot: four of hash, place, tokens, end in seconds (0: empty), owner. */
const WORDS = 8
const PLACE = 4
const TOKENS = 5
const END = 6
const OWNER = 7
/** An entry lies in one of so many slots after the one that its hash names; nowhere else. */
const WINDOW = 16
/** How many slots each new entry looks through for ended ones, all around the table. */
const SWEEP = 4
/** Beside the tokens, of which no prompt has so many: the entry was written for long. */
const LONG = 1 << 30
const MAGIC = 0x63635054
const VERSION = 1
const HEADER = 4

/** One live entry, as it was found. */
export interface Found {
  readonly place: string
  /** A number of whoever wrote it first; see `Entry`. */
  readonly owner: number
  readonly tokens: number
  readonly endsAtMs: number
}

/** Where an entry is to be, and what it says. */
export interface Entry {
  /** Four integers from `at` on. */
  readonly hashes: Int32Array
  readonly at: number
  readonly place: string
  /** A number that tells owners apart; two owners of one number only share their part of the table. */
  readonly owner: number
  readonly tokens: number
  readonly endsAtMs: number
  /** It lives on for as long as any reader says. */
  readonly isLong?: boolean
}

/**
 * Which prefixes live where, and until when: a table of fixed size, 32 bytes a slot. One prefix may live in
 * several places.
 *
 * A full window gives up the entry whose owner has the most in the whole table, by powers of two; among
 * equals the one that ends first. When nobody in the window has as many as the newcomer's owner, the newcomer
 * stays out. So nobody's entry ever leaves for an owner who has more than twice as many: a flood displaces
 * itself.
 */
export class PrefixTable {
  readonly #data: Int32Array
  readonly #mask: number
  readonly #places: string[] = []
  readonly #placeNumbers = new Map<string, number>()
  readonly #owned = new Map<number, number>()
  #size = 0
  #swept = 0

  /** `slots`: a power of two, at least 16. */
  constructor(slots: number) {
    if (slots < WINDOW || (slots & (slots - 1)) !== 0) {
      throw new RangeError('a table has a power of two of slots, at least 16')
    }
    this.#data = new Int32Array(slots * WORDS)
    this.#mask = slots - 1
  }

  /** Memory that the entries take, whether they are there or not. */
  get bytes(): number {
    return this.#data.byteLength
  }

  /** Entries, those that have ended and were not yet swept included. */
  get size(): number {
    return this.#size
  }

  /** Calls `visit` for every place where the prefix lives now. */
  find(hashes: Int32Array, at: number, nowMs: number, visit: (found: Found) => void): void {
    const data = this.#data
    for (let k = 0; k < WINDOW; k++) {
      const slot = this.#slotOf(hashes[at], k)
      if (data[slot] !== hashes[at] || !this.#isSame(slot, hashes, at)) continue
      const endsAtMs = (data[slot + END] >>> 0) * 1_000
      if (endsAtMs <= nowMs) continue
      visit({
        place: this.#places[data[slot + PLACE]],
        owner: data[slot + OWNER],
        tokens: data[slot + TOKENS] & ~LONG,
        endsAtMs,
      })
    }
  }

  /** Writes an entry, over the one of the same prefix and place if there is one; `false`: no room for it. */
  put(entry: Entry, nowMs: number): boolean {
    const { hashes, at } = entry
    this.#sweep(nowMs)
    const place = this.#placeNumber(entry.place)
    const known = this.#known(entry)
    if (known !== -1 && (this.#data[known + END] >>> 0) * 1_000 <= nowMs) this.#clear(known)
    else if (known !== -1) {
      // The owner of a shared prefix stays the one who wrote it first, while it lives.
      this.#data[known + TOKENS] = wordOf(entry)
      this.#data[known + END] = Math.floor(entry.endsAtMs / 1_000)
      return true
    }
    const slot = this.#slotFor(hashes[at], entry.owner, nowMs)
    if (slot === -1) return false
    this.#clear(slot)
    this.#data.set(hashes.subarray(at, at + 4), slot)
    this.#data[slot + PLACE] = place
    this.#data[slot + TOKENS] = wordOf(entry)
    this.#data[slot + END] = Math.floor(entry.endsAtMs / 1_000)
    this.#data[slot + OWNER] = entry.owner
    this.#count(entry.owner, 1)
    return true
  }

  /** Lets an entry live longer, if it still does; until `shortEndsAtMs` at most where it was not written for long. */
  touch(
    entry: Pick<Entry, 'hashes' | 'at' | 'place' | 'endsAtMs'> & {
      readonly shortEndsAtMs?: number
    },
    nowMs: number,
  ): void {
    const slot = this.#known(entry)
    if (slot === -1) return
    const end = this.#data[slot + END] >>> 0
    const isLong = (this.#data[slot + TOKENS] & LONG) !== 0
    const { endsAtMs, shortEndsAtMs = endsAtMs } = entry
    const newEnd = Math.floor((isLong ? endsAtMs : Math.min(endsAtMs, shortEndsAtMs)) / 1_000)
    if (end * 1_000 > nowMs && newEnd > end) this.#data[slot + END] = newEnd
  }

  /** Takes an entry out, if it is there. */
  remove(entry: Pick<Entry, 'hashes' | 'at' | 'place'>): void {
    const slot = this.#known(entry)
    if (slot !== -1) this.#clear(slot)
  }

  /**
   * `from` is `to` from now on: an account has told its workspace. What was kept under its own id moves along,
   * once; when it tells another one later, only what comes after goes there.
   */
  rename(from: string, to: string): void {
    if (from === to) return
    const number = this.#placeNumbers.get(from)
    if (number !== undefined && this.#places[number] === from) {
      this.#places[number] = to
      if (!this.#placeNumbers.has(to)) this.#placeNumbers.set(to, number)
    } else this.#placeNumbers.set(from, this.#placeNumber(to))
  }

  /** The live entries as bytes, for the next process with the same hash key. */
  export(nowMs: number): Uint8Array {
    const data = this.#data
    const live: number[] = []
    for (let slot = 0; slot < data.length; slot += WORDS) {
      if ((data[slot + END] >>> 0) * 1_000 > nowMs) live.push(slot)
    }
    const places = new TextEncoder().encode(JSON.stringify(this.#places))
    const words = new Int32Array(HEADER + live.length * WORDS)
    words.set([MAGIC, VERSION, live.length, places.length])
    for (const [k, slot] of live.entries()) {
      words.set(data.subarray(slot, slot + WORDS), HEADER + k * WORDS)
    }
    const bytes = new Uint8Array(words.byteLength + places.length)
    bytes.set(new Uint8Array(words.buffer))
    bytes.set(places, words.byteLength)
    return bytes
  }

  /** Takes in what `export` gave; answers how many entries, 0 for bytes that are none of ours. */
  import(bytes: Uint8Array, nowMs: number): number {
    const read = readExport(bytes)
    if (read === null) return 0
    const { words, places } = read
    let taken = 0
    for (let at = HEADER; at < words.length; at += WORDS) {
      const place = places[words[at + PLACE]]
      const endsAtMs = (words[at + END] >>> 0) * 1_000
      if (place === undefined || endsAtMs <= nowMs) continue
      // The word of the tokens says as well whether the entry was written for long.
      const [tokens, owner] = [words[at + TOKENS], words[at + OWNER]]
      if (this.put({ hashes: words, at, place, owner, tokens, endsAtMs }, nowMs)) taken++
    }
    return taken
  }

  #slotOf(first: number, k: number): number {
    return ((first + k) & this.#mask) * WORDS
  }

  #isSame(slot: number, hashes: Int32Array, at: number): boolean {
    const data = this.#data
    return (
      data[slot + END] !== 0 &&
      data[slot] === hashes[at] &&
      data[slot + 1] === hashes[at + 1] &&
      data[slot + 2] === hashes[at + 2] &&
      data[slot + 3] === hashes[at + 3]
    )
  }

  #known({ hashes, at, place }: Pick<Entry, 'hashes' | 'at' | 'place'>): number {
    const number = this.#placeNumbers.get(place)
    if (number === undefined) return -1
    const name = this.#places[number]
    for (let k = 0; k < WINDOW; k++) {
      const slot = this.#slotOf(hashes[at], k)
      if (!this.#isSame(slot, hashes, at)) continue
      if (this.#places[this.#data[slot + PLACE]] === name) return slot
    }
    return -1
  }

  /** A slot for a new entry of this owner: an empty or ended one, else that of the largest owner; -1: none. */
  #slotFor(first: number, owner: number, nowMs: number): number {
    const data = this.#data
    let victim = -1
    let most = magnitude(this.#owned.get(owner) ?? 0)
    for (let k = 0; k < WINDOW; k++) {
      const slot = this.#slotOf(first, k)
      const end = data[slot + END] >>> 0
      if (end * 1_000 <= nowMs) return slot
      const owned = magnitude(this.#owned.get(data[slot + OWNER]) ?? 0)
      const endsSooner = victim === -1 || end < data[victim + END] >>> 0
      if (owned > most || (owned === most && endsSooner)) {
        most = owned
        victim = slot
      }
    }
    return victim
  }

  #clear(slot: number): void {
    if (this.#data[slot + END] === 0) return
    this.#count(this.#data[slot + OWNER], -1)
    this.#data.fill(0, slot, slot + WORDS)
  }

  #count(owner: number, by: 1 | -1): void {
    this.#size += by
    const owned = (this.#owned.get(owner) ?? 0) + by
    if (owned === 0) this.#owned.delete(owner)
    else this.#owned.set(owner, owned)
  }

  /** Ended entries leave little by little, so that an owner's count says what he has. */
  #sweep(nowMs: number): void {
    for (let k = 0; k < SWEEP; k++) {
      this.#swept = (this.#swept + 1) & this.#mask
      const slot = this.#swept * WORDS
      if ((this.#data[slot + END] >>> 0) * 1_000 <= nowMs) this.#clear(slot)
    }
  }

  #placeNumber(place: string): number {
    const known = this.#placeNumbers.get(place)
    if (known !== undefined) return known
    this.#places.push(place)
    this.#placeNumbers.set(place, this.#places.length - 1)
    return this.#places.length - 1
  }
}

function wordOf({ tokens, isLong = false }: Entry): number {
  return isLong ? tokens | LONG : tokens
}

/** The power of two that a count of entries has reached. */
function magnitude(count: number): number {
  return 32 - Math.clz32(count)
}

function readExport(
  bytes: Uint8Array,
): { readonly words: Int32Array; readonly places: readonly string[] } | null {
  if (bytes.length < HEADER * 4) return null
  // A copy: the bytes may begin anywhere, words only at multiples of four.
  const head = new Int32Array(bytes.slice(0, HEADER * 4).buffer)
  const [magic, version, count, placesLength] = head
  const length = (HEADER + count * WORDS) * 4
  const isOurs = magic === MAGIC && version === VERSION && count >= 0 && placesLength >= 2
  if (!isOurs || bytes.length !== length + placesLength) return null
  try {
    const places: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(length)))
    if (!Array.isArray(places) || !places.every((place) => typeof place === 'string')) return null
    return { words: new Int32Array(bytes.slice(0, length).buffer), places }
  } catch {
    return null
  }
}
