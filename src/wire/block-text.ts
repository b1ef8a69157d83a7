import type { BlockTable } from './body-facts.ts'
import { BLOCK_FIELDS, BLOCK_NESTED_CACHE, BLOCK_STRING, BlockType } from './body-facts.ts'

const QUOTE = 0x22
const COMMA = 0x2c
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/** Bytes of a block as the prompt cache sees it. */
export interface BlockText {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
  /** The bytes are the JSON string of a plain text block, or of a string in its place. */
  readonly isText: boolean
  /** A `cache_control` that was left out of the inside of the block lives an hour. */
  readonly hasNested1h: boolean
}

/**
 * The bytes of row `row` without any `cache_control` and the comma that came with it, so that a marker that
 * moves changes nothing. A text block of nothing but its text yields what a string in its place would.
 */
export function blockText(body: Buffer, blocks: BlockTable, row: number): BlockText {
  const { data } = blocks
  const at = row * BLOCK_FIELDS
  const [start, end, bits] = [data[at], data[at + 1], data[at + 2]]
  if ((bits & BLOCK_STRING) !== 0) {
    return { bytes: body, start, end, isText: true, hasNested1h: false }
  }
  const isText = ((bits >> 8) & 0xff) === BlockType.text
  if ((bits & BLOCK_NESTED_CACHE) !== 0) {
    const { bytes, has1h } = withoutMarks(body, start, end)
    return { bytes, start: 0, end: bytes.length, isText: false, hasNested1h: has1h }
  }
  const [cacheStart, cacheEnd] = [data[at + 4], data[at + 5]]
  if (cacheEnd === 0) return plainText(body, start, end, isText)
  const [from, to] = withComma(body, cacheStart, cacheEnd)
  const bytes = Buffer.concat([body.subarray(start, from), body.subarray(to, end)])
  return plainText(bytes, 0, bytes.length, isText)
}

const HEAD = ['{', '"type"', ':', '"text"', ',', '"text"', ':']
const TEXT_FIRST_HEAD = ['{', '"text"', ':']
const TEXT_FIRST_TAIL = ['}', '"text"', ':', '"type"', ',']

/**
 * Cuts a text block down to the JSON string of its text. What follows the text inside the block stays on, so
 * only blocks without further members can equal a string.
 */
function plainText(bytes: Buffer, start: number, end: number, isText: boolean): BlockText {
  const whole = { bytes, start, end, isText: false, hasNested1h: false }
  if (!isText) return whole
  const from = passed(bytes, start, HEAD)
  if (from !== -1) {
    return { ...whole, start: from, end: beforeBlanks(bytes, end - 1), isText: true }
  }
  const text = passed(bytes, start, TEXT_FIRST_HEAD)
  const to = text === -1 ? -1 : passedBack(bytes, end, TEXT_FIRST_TAIL)
  return to <= text ? whole : { ...whole, start: text, end: to, isText: true }
}

/** Where the bytes go on after these tokens and the blanks between and after them; -1: other tokens. */
function passed(bytes: Buffer, start: number, tokens: readonly string[]): number {
  let pos = start
  for (const token of tokens) {
    for (let k = 0; k < token.length; k++, pos++) if (bytes[pos] !== token.charCodeAt(k)) return -1
    pos = afterBlanks(bytes, pos)
  }
  return pos
}

/** As `passed`, from the end backwards. */
function passedBack(bytes: Buffer, end: number, tokens: readonly string[]): number {
  let pos = end
  for (const token of tokens) {
    for (let k = token.length - 1; k >= 0; k--) {
      pos -= 1
      if (bytes[pos] !== token.charCodeAt(k)) return -1
    }
    pos = beforeBlanks(bytes, pos)
  }
  return pos
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

function afterBlanks(bytes: Buffer, pos: number): number {
  let at = pos
  while (isBlank(bytes[at])) at++
  return at
}

/** The end of what stands before the blanks that end at `end`. */
function beforeBlanks(bytes: Buffer, end: number): number {
  let at = end
  while (isBlank(bytes[at - 1])) at--
  return at
}

/** A member with the comma before it, or, where it is the first one, with the comma and blanks after it. */
function withComma(bytes: Buffer, start: number, end: number): readonly [number, number] {
  const before = beforeBlanks(bytes, start)
  if (bytes[before - 1] === COMMA) return [beforeBlanks(bytes, before - 1), end]
  const after = afterBlanks(bytes, end)
  return bytes[after] === COMMA ? [start, afterBlanks(bytes, after + 1)] : [start, end]
}

const MARK = '"cache_control"'

/**
 * A block with markers in blocks inside it, without them. Any member of that name goes, so a document that
 * talks about markers in keys of its own loses them too: it would still be itself.
 */
function withoutMarks(
  body: Buffer,
  start: number,
  end: number,
): { readonly bytes: Buffer; readonly has1h: boolean } {
  const kept: Buffer[] = []
  let has1h = false
  let from = start
  for (let pos = start; pos < end; ) {
    if (body[pos] !== QUOTE) {
      pos += 1
      continue
    }
    const keyEnd = stringEnd(body, pos)
    const colon = afterBlanks(body, keyEnd)
    const isMark =
      keyEnd - pos === MARK.length &&
      body[colon] === 0x3a &&
      body.subarray(pos, keyEnd).toString('latin1') === MARK &&
      body[afterBlanks(body, colon + 1)] === OPEN_BRACE
    if (!isMark) {
      pos = keyEnd
      continue
    }
    const valueEnd = objectEnd(body, afterBlanks(body, colon + 1))
    if (body.subarray(colon, valueEnd).toString('latin1').includes('"1h"')) has1h = true
    const [cutFrom, cutTo] = withComma(body, pos, valueEnd)
    kept.push(body.subarray(from, Math.max(from, cutFrom)))
    from = cutTo
    pos = cutTo
  }
  kept.push(body.subarray(from, end))
  return { bytes: Buffer.concat(kept), has1h }
}

/** After the closing quote of the string that begins at `start`; the body was checked before. */
function stringEnd(bytes: Buffer, start: number): number {
  let pos = start + 1
  while (bytes[pos] !== QUOTE) pos += bytes[pos] === BACKSLASH ? 2 : 1
  return pos + 1
}

/** After the closing brace of the object that begins at `start`. */
function objectEnd(bytes: Buffer, start: number): number {
  let depth = 0
  for (let pos = start; ; ) {
    const byte = bytes[pos]
    if (byte === QUOTE) {
      pos = stringEnd(bytes, pos)
      continue
    }
    pos += 1
    if (byte === OPEN_BRACE) depth++
    else if (byte === CLOSE_BRACE && --depth === 0) return pos
  }
}
