import { readMarker } from '../openai/cache-control.ts'
import { optionalText, wrongType } from '../openai/fields.ts'
import type { JsonObject } from '../openai/json.ts'
import { isObject, textOf } from '../openai/json.ts'
import { fileBlock, imageBlock, refuseFileId } from '../openai/media.ts'
import { refuse } from '../openai/refusal.ts'
import type { Block, CacheControl } from '../openai/upstream.ts'
import { textBlock } from '../openai/upstream.ts'

/** Who may say what: system and assistant only text, results no results. */
export type PartOwner = 'system' | 'user' | 'assistant' | 'result'

/** Blocks of Anthropic's own that clients put among OpenAI's parts. */
const NATIVE: Readonly<Record<PartOwner, readonly string[]>> = {
  system: [],
  user: ['image', 'document', 'search_result'],
  assistant: [],
  result: ['image', 'document', 'search_result'],
}

const READ_ELSEWHERE = new Set<unknown>(['thinking', 'redacted_thinking', 'tool_use'])

/**
 * The blocks of a `content`: a string, parts, or nothing. Text of blanks alone is left out, for upstream
 * refuses it; a cache marker on it moves to the block before. `field` is where the content stands.
 */
export function contentBlocks(content: unknown, owner: PartOwner, field: string): Block[] {
  if (content === undefined || content === null) return []
  if (typeof content === 'string') return content.trim() === '' ? [] : [textBlock(content)]
  if (!Array.isArray(content)) wrongType(field, 'a string or an array of parts')
  const blocks: Block[] = []
  content.forEach((part: unknown, i) => {
    const at = `${field}[${i}]`
    if (!isObject(part)) wrongType(at, 'an object')
    const marker = readMarker(part, at)
    const block = partBlock(part, owner, at)
    if (block === null) markLast(blocks, marker)
    else blocks.push(marker === null ? block : { ...block, cache_control: marker })
  })
  return blocks
}

/** Puts a marker on the last block that may carry one. */
export function markLast(blocks: readonly Block[], marker: CacheControl | null): void {
  const last = blocks.at(-1)
  if (marker !== null && last !== undefined) last.cache_control ??= marker
}

/** The block of one part; null where nothing of it is left. */
function partBlock(part: JsonObject, owner: PartOwner, at: string): Block | null {
  const { type } = part
  if (type === 'text' || (type === 'refusal' && owner === 'assistant')) {
    const name = type === 'text' ? 'text' : 'refusal'
    const text = textOf(part[name])
    if (text === null) wrongType(`${at}.${name}`, 'a string')
    return text.trim() === '' ? null : textBlock(text)
  }
  // Anthropic's own blocks among an assistant's parts are read elsewhere.
  if (owner === 'assistant' && READ_ELSEWHERE.has(type)) return null
  if (owner === 'user' || owner === 'result') {
    if (type === 'image_url') return imagePart(part, at)
    if (type === 'file') return filePart(part, at)
    if (NATIVE[owner].includes(String(type)) && isNative(part)) return nativeBlock(part)
  }
  refusePart(part, owner, at)
}

function imagePart(part: JsonObject, at: string): Block {
  const image = part.image_url
  // Some clients send the bare URL.
  if (typeof image === 'string') return imageBlock(image, `${at}.image_url`)
  const url = isObject(image) ? image.url : undefined
  return imageBlock(url, `${at}.image_url.url`)
}

function filePart(part: JsonObject, at: string): Block {
  const file = part.file
  if (!isObject(file)) wrongType(`${at}.file`, 'an object')
  const inFile = `${at}.file.`
  const filename = optionalText(file, 'filename', inFile)
  const data = optionalText(file, 'file_data', inFile)
  if (data !== null) return fileBlock({ data, filename }, `${inFile}file_data`)
  const url = optionalText(file, 'file_url', inFile)
  if (url !== null) return fileBlock({ data: url, filename }, `${inFile}file_url`)
  if (file.file_id !== undefined) refuseFileId(`${inFile}file_id`)
  refuse(
    'missing_required_parameter',
    `${inFile}file_data`,
    `Missing required parameter: '${inFile}file_data'.`,
  )
}

function isNative(part: JsonObject): boolean {
  return isObject(part.source) || part.type === 'search_result'
}

/** A copy, because markers may be taken off it. */
function nativeBlock(part: JsonObject): Block {
  const { cache_control: _marker, prompt_cache_breakpoint: _point, ...block } = part
  return block as Block
}

function refusePart(part: JsonObject, owner: PartOwner, at: string): never {
  const field = `${at}.type`
  if (typeof part.type !== 'string')
    refuse('missing_required_parameter', field, `Missing required parameter: '${field}'.`)
  const type = part.type.slice(0, 100)
  if (owner === 'system' || owner === 'assistant')
    refuse(
      'invalid_value',
      field,
      `Messages of the ${owner} may only hold text here, not '${type}'.`,
    )
  refuse('unsupported_value', field, `Content parts of type '${type}' are not supported here.`)
}
