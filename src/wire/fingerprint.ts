import type { Breakpoint, Fingerprint } from '../core/fingerprint.ts'
import { CACHE_TTL_MS, NO_FINGERPRINT } from '../core/fingerprint.ts'
import { blockText } from './block-text.ts'
import type { BodyFacts, Scalar } from './body-facts.ts'
import {
  BLOCK_CACHED,
  BLOCK_CACHED_1H,
  BLOCK_FIELDS,
  BLOCK_NESTED_CACHE,
  BlockRole,
  BlockSection,
  BlockType,
} from './body-facts.ts'
import { chainHash, type HashKey, hashBytes } from './keyed-hash.ts'

/** Upstream looks at a breakpoint and at so many positions before it. */
const LOOK_BACK = 20
/** Upstream refuses a request with more. */
const MOST_BREAKPOINTS = 4
/** What an image counts in bytes of text, whatever its size: about 1,500 tokens. */
const IMAGE_BYTES = 6_000
/** Of a longer block both ends are hashed, and its length: an image of 8 MB must not cost 8 ms. */
const MOST_HASHED = 262_144
/** So many answers with thinking are looked back to; the first of a longer conversation are left out. */
const MOST_ANSWERED = 512
/** Claude Code puts such a block first in `system`; it varies, and upstream leaves it out of the prompt. */
const ATTRIBUTION = 'x-anthropic-billing-header:'

/**
 * Hashes the blocks of a checked body into the chain that the prompt cache goes by. Below a millisecond for
 * 200 KB in 100 messages. Empty for the continuation of a thread: its prompt is not in the body.
 */
export function fingerprint(body: Buffer, facts: BodyFacts, key: HashKey): Fingerprint {
  if (facts.thread.type.type === 'string' && facts.thread.type.value === 'continue') {
    return NO_FINGERPRINT
  }
  return new Chain(body, facts, key).fingerprint()
}

class Chain {
  readonly #body: Buffer
  readonly #view: DataView
  readonly #facts: BodyFacts
  readonly #key: HashKey
  /** Rows of the block table in the order of the prompt. */
  readonly #rows: Int32Array
  readonly #prefixes: Int32Array
  readonly #sizes: Int32Array
  readonly #prefix = new Int32Array(4)
  readonly #conversation = new Int32Array(4)
  readonly #digest = new Int32Array(4)
  readonly #answered: number[] = []
  readonly #breakpoints: Breakpoint[] = []
  /** The last position that may carry the automatic breakpoint; -1: none. */
  #lastCacheable = -1

  constructor(body: Buffer, facts: BodyFacts, key: HashKey) {
    this.#body = body
    this.#view = new DataView(body.buffer, body.byteOffset, body.length)
    this.#facts = facts
    this.#key = key
    this.#rows = promptRows(body, facts)
    this.#prefixes = new Int32Array(this.#rows.length * 4)
    this.#sizes = new Int32Array(this.#rows.length)
  }

  fingerprint(): Fingerprint {
    const rows = this.#rows
    this.#salt([this.#facts.model])
    let section: number = BlockSection.tools
    let size = 0
    for (let at = 0; at < rows.length; at++) {
      const row = rows[at] * BLOCK_FIELDS
      const bits = this.#facts.blocks.data[row + 2]
      if ((bits & 3) !== section) {
        if (section === BlockSection.tools) this.#saltSystem()
        section = bits & 3
        if (section === BlockSection.messages) this.#saltMessages()
      }
      size += this.#take(rows[at], at, bits)
      this.#sizes[at] = size
    }
    this.#automatic()
    const breakpoints = this.#breakpoints.length > MOST_BREAKPOINTS ? [] : this.#breakpoints
    return {
      positions: rows.length,
      prefixes: this.#prefixes,
      sizes: this.#sizes,
      breakpoints,
      probes: this.#probes(breakpoints),
      conversation: this.#conversation,
      answered: latestFirst(this.#answered),
    }
  }

  /** Takes one block into the chains; answers how much prompt it is. */
  #take(row: number, at: number, bits: number): number {
    const type = (bits >> 8) & 0xff
    const text = blockText(this.#body, this.#facts.blocks, row)
    this.#hash(text.bytes, text.start, text.end, 1 + (bits & 0xf) + (text.isText ? 16 : 0))
    chainHash(this.#prefix, 0, { from: this.#digest, fromAt: 0 })
    this.#prefixes.set(this.#prefix, at * 4)

    const isThinking = type === BlockType.thinking || type === BlockType.redacted_thinking
    if ((bits & 3) === BlockSection.messages) this.#talk(bits, isThinking)
    if (!isThinking && !(text.isText && text.end - text.start <= 2)) this.#lastCacheable = at
    if ((bits & (BLOCK_CACHED | BLOCK_NESTED_CACHE)) !== 0) {
      const ttl = (bits & BLOCK_CACHED_1H) !== 0 || text.hasNested1h ? '1h' : '5m'
      this.#breakpoints.push({ at, ttlMs: CACHE_TTL_MS[ttl] })
    }
    return type === BlockType.image ? IMAGE_BYTES : text.end - text.start
  }

  /** Before the answer at hand began, and whether thinking was seen in it. */
  readonly #before = new Int32Array(4)
  #isAnswering = false
  #hasThinking = false

  #talk(bits: number, isThinking: boolean): void {
    const isAnswer = ((bits >> 2) & 3) === BlockRole.assistant
    if (isAnswer && !this.#isAnswering) {
      this.#before.set(this.#conversation)
      this.#hasThinking = false
    }
    this.#isAnswering = isAnswer
    if (!isThinking) {
      chainHash(this.#conversation, 0, { from: this.#digest, fromAt: 0 })
    } else if (isAnswer && !this.#hasThinking) {
      this.#hasThinking = true
      this.#answered.push(...this.#before)
    }
  }

  #hash(bytes: Buffer, start: number, end: number, tag: number): void {
    const view =
      bytes === this.#body
        ? this.#view
        : new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (end - start <= MOST_HASHED) {
      hashBytes(this.#key, { view, start, end, tag }, this.#digest, 0)
      return
    }
    const half = MOST_HASHED / 2
    const first = new Int32Array(4)
    hashBytes(this.#key, { view, start, end: start + half, tag: end - start }, first, 0)
    hashBytes(this.#key, { view, start: end - half, end, tag: tag + 32 }, this.#digest, 0)
    chainHash(this.#digest, 0, { from: first, fromAt: 0 })
  }

  /** Whatever follows is another prompt when one of these differs. */
  #salt(values: readonly (Scalar | boolean)[]): void {
    const words = values.map((one) => (typeof one === 'boolean' ? one : wordOf(one)))
    const bytes = Buffer.from(JSON.stringify(words))
    this.#hash(bytes, 0, bytes.length, 0)
    chainHash(this.#prefix, 0, { from: this.#digest, fromAt: 0 })
  }

  #saltSystem(): void {
    const { speed, serverTools } = this.#facts
    const searches = serverTools.some(({ family }) => family === 'web_search')
    this.#salt([speed, searches, this.#cites()])
  }

  #saltMessages(): void {
    const { thinking, effort, hasOutputFormat, images, topLevel } = this.#facts
    const hasImages = images.base64 + images.url + images.file + images.other > 0
    this.#salt([thinking.type, thinking.budgetTokens, effort, hasOutputFormat, hasImages])
    // Which format is asked for is part of the prompt; what else stands beside it changes rarely.
    const formats = hasOutputFormat ? ['output_format', 'output_config'] : ['output_format']
    for (const name of ['tool_choice', ...formats]) {
      const [start, end] = topLevel.get(name) ?? [0, 0]
      this.#hash(this.#body, start, end, 64)
      chainHash(this.#prefix, 0, { from: this.#digest, fromAt: 0 })
    }
  }

  /** Whether any document asks for citations. */
  #cites(): boolean {
    const { data } = this.#facts.blocks
    return this.#rows.some((row) => {
      const at = row * BLOCK_FIELDS
      const type = (data[at + 2] >> 8) & 0xff
      if (type !== BlockType.document && type !== BlockType.search_result) return false
      const block = this.#body.subarray(data[at], data[at + 1])
      const found = block.lastIndexOf('"citations"')
      if (found === -1) return false
      return CITES.test(block.subarray(found, found + 60).toString('latin1'))
    })
  }

  /** The breakpoint that a top-level `cache_control` sets at the end. */
  #automatic(): void {
    const [start, end] = this.#facts.topLevel.get('cache_control') ?? [0, 0]
    if (this.#body[start] !== 0x7b || end === 0 || this.#lastCacheable === -1) return
    if (this.#breakpoints.some(({ at }) => at === this.#lastCacheable)) return
    const is1h = ONE_HOUR.test(
      this.#body.subarray(start, Math.min(end, start + 200)).toString('latin1'),
    )
    this.#breakpoints.push({
      at: this.#lastCacheable,
      ttlMs: is1h ? CACHE_TTL_MS['1h'] : CACHE_TTL_MS['5m'],
    })
    this.#breakpoints.sort((a, b) => a.at - b.at)
  }

  /** Each breakpoint and the positions before it, furthest first; a run of tool calls or results is one. */
  #probes(breakpoints: readonly Breakpoint[]): Int32Array {
    const probes: number[] = []
    let lowest = this.#rows.length
    for (const { at } of breakpoints.toReversed()) {
      let steps = 0
      for (let k = at; k >= 0 && steps <= LOOK_BACK; k--) {
        // What a later breakpoint has looked at needs no second look, but counts as a step.
        if (k < lowest) {
          probes.push(k)
          lowest = k
        }
        if (!this.#isRun(k)) steps++
      }
    }
    return Int32Array.from(probes)
  }

  /** Whether the block before is of the same run of tool calls or results. */
  #isRun(at: number): boolean {
    const { data } = this.#facts.blocks
    const typeAt = (k: number) => (data[this.#rows[k] * BLOCK_FIELDS + 2] >> 8) & 0xff
    const type = typeAt(at)
    if (type !== BlockType.tool_use && type !== BlockType.tool_result) return false
    return at > 0 && typeAt(at - 1) === type
  }
}

const CITES = /^"citations"\s*:\s*\{\s*"enabled"\s*:\s*true/
const ONE_HOUR = /"ttl"\s*:\s*"1h"/

function wordOf(scalar: Scalar): string | number | boolean | null {
  return 'value' in scalar ? scalar.value : null
}

function latestFirst(hashes: readonly number[]): Int32Array {
  const count = Math.min(MOST_ANSWERED, hashes.length / 4)
  const sorted = new Int32Array(count * 4)
  for (let k = 0; k < count; k++) {
    const from = hashes.length - 4 * (k + 1)
    for (let word = 0; word < 4; word++) sorted[4 * k + word] = hashes[from + word]
  }
  return sorted
}

/** Rows of the block table in the order tools, system, messages, attribution left out. */
function promptRows(body: Buffer, { blocks }: BodyFacts): Int32Array {
  const rows = new Int32Array(blocks.count)
  let count = 0
  for (const section of [BlockSection.tools, BlockSection.system, BlockSection.messages]) {
    let isFirst = section === BlockSection.system
    for (let row = 0; row < blocks.count; row++) {
      if ((blocks.data[row * BLOCK_FIELDS + 2] & 3) !== section) continue
      if (isFirst && isAttribution(body, blocks, row)) continue
      isFirst = false
      rows[count++] = row
    }
  }
  return rows.subarray(0, count)
}

function isAttribution(body: Buffer, blocks: BodyFacts['blocks'], row: number): boolean {
  const { bytes, start, end, isText } = blockText(body, blocks, row)
  const first = start + 1
  return (
    isText &&
    end - first > ATTRIBUTION.length &&
    bytes.subarray(first, first + ATTRIBUTION.length).toString('latin1') === ATTRIBUTION
  )
}
