import { refuse } from './refusal.ts'
import type { Block } from './upstream.ts'

const IMAGE_TYPES = new Set(['image/jpeg', 'image/png', 'image/gif', 'image/webp'])
const TEXT_TYPES = /^(?:text\/|application\/(?:json|csv|markdown|x-ndjson|xml|yaml|x-yaml)$)/
const TEXT_NAMES = /\.(?:txt|md|markdown|csv|tsv|json|ndjson|log|xml|ya?ml)$/i

/** How long a data URL may be before its data. */
const MAX_DATA_HEAD = 1_000

/** A data URL, its base64 cleaned: no blanks, the standard alphabet. */
interface DataUrl {
  /** Lower case, without parameters. */
  readonly mime: string
  readonly data: string
}

/** A file as a part of a request names it: `data` is a data URL, an https URL, or plain base64. */
export interface NamedFile {
  readonly data: string
  readonly filename: string | null
}

/**
 * The block of an `image_url`: a data URL becomes a base64 image (or document), https passes as a URL and is
 * never fetched here. `field` is where it stands, for the refusal.
 */
export function imageBlock(url: unknown, field: string): Block {
  if (typeof url !== 'string' || url === '')
    refuse('missing_required_parameter', field, `'${field}' must be a data URL or an https URL.`)
  if (!startsWith(url, 'data:')) return urlBlock('image', url, null, field)
  const image = readDataUrl(url, field)
  if (TEXT_TYPES.test(image.mime)) refuseType(image.mime, 'JPEG, PNG, GIF, WebP, PDF', field)
  return dataBlock(image, null, field)
}

/** The block of a file: PDF and plain text become documents, images images. */
export function fileBlock(file: NamedFile, field: string): Block {
  const { data, filename } = file
  if (data === '') refuse('invalid_value', field, `'${field}' is empty.`)
  if (startsWith(data, 'data:')) return dataBlock(readDataUrl(data, field), filename, field)
  if (/^https?:/i.test(data)) return urlBlock('document', data, filename, field)
  const mime = mimeOfName(filename)
  if (mime === null)
    refuse(
      'invalid_value',
      field,
      `'${field}' must be a data URL, an https URL, or base64 beside a filename that ends in .pdf.`,
    )
  return dataBlock({ mime, data: cleanBase64(data) }, filename, field)
}

/** Refuses a file that lives in one account upstream; the pool cannot honour it. */
export function refuseFileId(field: string): never {
  refuse(
    'unsupported_value',
    field,
    `'${field}' is not supported: files are not stored here. Send the content itself.`,
  )
}

function mimeOfName(filename: string | null): string | null {
  if (filename === null) return null
  if (/\.pdf$/i.test(filename)) return 'application/pdf'
  return TEXT_NAMES.test(filename) ? 'text/plain' : null
}

function urlBlock(type: string, url: string, title: string | null, field: string): Block {
  if (!startsWith(url, 'https://'))
    refuse('invalid_value', field, `'${field}' must be a data URL or an https URL.`)
  return { type, source: { type: 'url', url }, ...titled(title) }
}

function dataBlock({ mime, data }: DataUrl, title: string | null, field: string): Block {
  if (mime === 'application/pdf') {
    const source = { type: 'base64', media_type: mime, data }
    return { type: 'document', source, ...titled(title) }
  }
  if (IMAGE_TYPES.has(mime)) {
    // Upstream refuses an image whose label is wrong, and clients often guess it from a file name.
    const media_type = sniffImage(data) ?? mime
    return { type: 'image', source: { type: 'base64', media_type, data } }
  }
  if (TEXT_TYPES.test(mime)) {
    const text = Buffer.from(data, 'base64').toString('utf8')
    if (text.trim() === '') refuse('invalid_value', field, `The file in '${field}' is empty.`)
    const source = { type: 'text', media_type: 'text/plain', data: text }
    return { type: 'document', source, ...titled(title) }
  }
  refuseType(mime, 'JPEG, PNG, GIF, WebP, PDF, plain text', field)
}

function refuseType(mime: string, supported: string, field: string): never {
  const type = mime.slice(0, 100)
  refuse(
    'invalid_value',
    field,
    `'${field}' is of the unsupported type ${type}. Supported: ${supported}.`,
  )
}

function titled(title: string | null): { title?: string } {
  return title === null || title === '' ? {} : { title }
}

/** Reads `data:<mime>[;parameter…];base64,<data>`; other data URLs are percent-encoded text. */
function readDataUrl(url: string, field: string): DataUrl {
  const comma = url.slice(0, MAX_DATA_HEAD).indexOf(',')
  if (comma === -1) refuse('invalid_value', field, `'${field}' is not a complete data URL.`)
  const [type = '', ...parameters] = url.slice('data:'.length, comma).toLowerCase().split(';')
  const mime = type.trim() === 'image/jpg' ? 'image/jpeg' : type.trim()
  const rest = url.slice(comma + 1)
  const isBase64 = parameters.some((parameter) => parameter.trim() === 'base64')
  if (!isBase64 && !TEXT_TYPES.test(mime))
    refuse('invalid_value', field, `'${field}' must be a base64 data URL (data:<type>;base64,…).`)
  const data = isBase64 ? cleanBase64(rest) : percentDecoded(rest, field)
  if (data === '') refuse('invalid_value', field, `The data URL in '${field}' has no data.`)
  return { mime, data }
}

function percentDecoded(text: string, field: string): string {
  try {
    return Buffer.from(decodeURIComponent(text)).toString('base64')
  } catch {
    refuse('invalid_value', field, `The data URL in '${field}' is not encoded properly.`)
  }
}

/**
 * Blanks removed, the URL-safe alphabet converted. Looks first: copying megabytes for nothing is slow. Byte by
 * byte: replacing millions of matches in a string takes seconds.
 */
function cleanBase64(data: string): string {
  if (!/[\s_-]/.test(data)) return data
  const bytes = Buffer.from(data, 'latin1')
  let end = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === 0x20 || (byte >= 0x09 && byte <= 0x0d) || byte === 0xa0) continue
    bytes[end++] = byte === 0x2d ? 0x2b : byte === 0x5f ? 0x2f : byte
  }
  return bytes.toString('latin1', 0, end)
}

/** The type that an image's first bytes tell; null where they are none that we know. */
function sniffImage(base64: string): string | null {
  const head = Buffer.from(base64.slice(0, 16), 'base64')
  if (head[0] === 0xff && head[1] === 0xd8 && head[2] === 0xff) return 'image/jpeg'
  const text = head.toString('latin1')
  if (text.startsWith('\x89PNG')) return 'image/png'
  if (text.startsWith('GIF8')) return 'image/gif'
  if (text.startsWith('RIFF') && text.slice(8, 12) === 'WEBP') return 'image/webp'
  return null
}

function startsWith(text: string, start: string): boolean {
  return text.slice(0, start.length).toLowerCase() === start
}
