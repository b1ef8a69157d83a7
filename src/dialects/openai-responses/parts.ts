import { readMarker } from '../openai/cache-control.ts'
import { missing, optionalText, wrongType } from '../openai/fields.ts'
import type { JsonObject } from '../openai/json.ts'
import { isObject, textOf } from '../openai/json.ts'
import { fileBlock, imageBlock, refuseFileId } from '../openai/media.ts'
import { refuse } from '../openai/refusal.ts'
import type { Block, CacheControl } from '../openai/upstream.ts'
import { textBlock } from '../openai/upstream.ts'

/** Which parts a content may have: a user's and a tool's also images and files, an agent's sealed text. */
export type ContentKind = 'text' | 'media' | 'agent'

/** A text that OpenAI's servers sealed: nobody else can read it. */
const SEALED = /^gAAAA[\w-]{60,}=*$/

/**
 * The blocks of a content: text alone, or parts. Blank text is left out, and its cache marker moves to the
 * block before it. `field` is where the content stands: `input[0].content`.
 */
export function contentBlocks(content: unknown, kind: ContentKind, field: string): Block[] {
  if (content === undefined || content === null) return []
  if (typeof content === 'string') return content.trim() === '' ? [] : [textBlock(content)]
  if (!Array.isArray(content)) wrongType(field, 'a string or an array')
  const blocks: Block[] = []
  for (const [i, part] of content.entries()) {
    const at = `${field}[${i}]`
    if (!isObject(part)) wrongType(at, 'an object')
    const block = partBlock(part, kind, at)
    const marker = readMarker(part, at)
    if (block !== null) blocks.push(block)
    mark(blocks, marker)
  }
  return blocks
}

/** Puts a cache marker on the last of these blocks; without a block or a marker nothing happens. */
export function mark(blocks: readonly Block[], marker: CacheControl | null): void {
  const last = blocks.at(-1)
  if (marker !== null && last !== undefined) last.cache_control = marker
}

function partBlock(part: JsonObject, kind: ContentKind, field: string): Block | null {
  switch (part.type) {
    case 'input_text':
    case 'output_text':
    case 'text':
      return nonBlank(requiredText(part, 'text', field))
    case 'refusal':
      return nonBlank(requiredText(part, 'refusal', field))
    case 'input_image':
      if (kind === 'media') return image(part, field)
      break
    case 'input_file':
      if (kind === 'media') return file(part, field)
      break
    case 'encrypted_content':
      if (kind === 'agent') return unsealed(requiredText(part, 'encrypted_content', field))
  }
  const type = textOf(part.type)
  if (type === null) missing(`${field}.type`)
  const supported = kind === 'media' ? 'text, images and files' : 'text'
  refuse(
    'unsupported_value',
    `${field}.type`,
    `Content of type '${type.slice(0, 100)}' is not supported here. Supported: ${supported}.`,
  )
}

/** Clients take what a tool's schema calls encrypted for sealed; nobody sealed it here, so it is the plain text. */
function unsealed(text: string): Block | null {
  return SEALED.test(text) ? null : nonBlank(text)
}

function image(part: JsonObject, field: string): Block {
  if (hasValue(part.file_id)) refuseFileId(`${field}.file_id`)
  // Chat's nested form is understood as well.
  const url = isObject(part.image_url) ? part.image_url.url : part.image_url
  return imageBlock(url, `${field}.image_url`)
}

function file(part: JsonObject, field: string): Block {
  if (hasValue(part.file_id)) refuseFileId(`${field}.file_id`)
  const name = hasValue(part.file_data) ? 'file_data' : 'file_url'
  const data = optionalText(part, name, `${field}.`)
  if (data === null) missing(`${field}.file_data`)
  const filename = optionalText(part, 'filename', `${field}.`)
  return fileBlock({ data, filename }, `${field}.${name}`)
}

function requiredText(part: JsonObject, name: string, field: string): string {
  const text = optionalText(part, name, `${field}.`)
  if (text === null) missing(`${field}.${name}`)
  return text
}

function nonBlank(text: string): Block | null {
  return text.trim() === '' ? null : textBlock(text)
}

function hasValue(value: unknown): boolean {
  return value !== undefined && value !== null
}
