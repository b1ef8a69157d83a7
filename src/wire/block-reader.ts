import { BlockRows } from './block-rows.ts'
import {
  BLOCK_CACHED,
  BLOCK_CACHED_1H,
  BLOCK_NESTED_CACHE,
  BLOCK_STRING,
  BlockType,
  MAX_FILES,
} from './body-facts.ts'
import { readScalar } from './json-scalar.ts'
import type { JsonWalk } from './json-walk.ts'

const QUOTE = 0x22
const OPEN_BRACE = 0x7b
const OPEN_BRACKET = 0x5b

/** Reads content blocks wherever they stand: in system, messages, tool results and documents. */
export class BlockReader {
  readonly rows = new BlockRows()
  readonly images = { base64: 0, url: 0, file: 0, other: 0 }
  readonly documents = {
    base64: 0,
    url: 0,
    file: 0,
    other: 0,
    text: 0,
    content: 0,
    base64Bytes: 0,
  }
  readonly thinkingHistory = { signed: 0, unsigned: 0, redacted: 0 }
  containerUploads = 0
  fileIds = 0
  /** Those that upstream is to read. */
  readonly files = new Set<string>()
  hasToolChanges = false
  hasCacheControl1h = false
  /** How many non-null `cache_control`s were read. */
  cacheControls = 0
  /** Base64 data of images and documents. */
  mediaBytes = 0
  opaqueBytes = 0
  readonly #scan: JsonWalk
  /** Of the block that `#block` read last: type and flags, and its `cache_control` member. */
  #bits = 0
  #cacheStart = 0
  #cacheEnd = 0
  /** Of the source that `#source` read last. */
  #sourceType: string | null = null
  #dataStart = 0
  #dataEnd = 0

  constructor(scan: JsonWalk) {
    this.#scan = scan
  }

  /**
   * Reads a `content` or `system`: a string, or an array of blocks, one row each. `index` is the
   * message's; null numbers the rows by their place in the array.
   */
  content(section: number, index: number | null): void {
    const scan = this.#scan
    const first = scan.peek()
    if (first === OPEN_BRACKET) {
      scan.enterArray()
      for (let k = 0; scan.nextElement(); k++) this.#row(section, index ?? k)
    } else if (first === QUOTE) {
      const start = scan.pos
      scan.value()
      const bits = section | BLOCK_STRING | (BlockType.text << 8)
      this.rows.add({ start, end: scan.pos, bits, index: index ?? 0, cacheStart: 0, cacheEnd: 0 })
    } else scan.value()
  }

  /** Reads a `cache_control`; answers its flags, 0 for null. */
  cacheControl(): number {
    const scan = this.#scan
    if (scan.peek() !== OPEN_BRACE) {
      const isNull = scan.peek() === 0x6e
      scan.value()
      if (isNull) return 0
      this.cacheControls += 1
      return BLOCK_CACHED
    }
    let flags = BLOCK_CACHED
    scan.enterObject()
    for (let key = scan.nextKey(); key !== null; key = scan.nextKey()) {
      if (key !== 'ttl') scan.value()
      else if (scan.word() === '1h') flags |= BLOCK_CACHED_1H
    }
    this.cacheControls += 1
    if ((flags & BLOCK_CACHED_1H) !== 0) this.hasCacheControl1h = true
    return flags
  }

  #row(section: number, index: number): void {
    const start = this.#scan.pos
    this.#nestedBlock()
    this.rows.add({
      start,
      end: this.#scan.pos,
      bits: section | this.#bits,
      index,
      cacheStart: this.#cacheStart,
      cacheEnd: this.#cacheEnd,
    })
  }

  /** Reads an element of an array of blocks, which a careless client may have filled with anything. */
  #nestedBlock(): void {
    if (this.#scan.peek() === OPEN_BRACE) {
      this.#block()
      return
    }
    this.#scan.value()
    this.#bits = 0
    this.#cacheStart = 0
    this.#cacheEnd = 0
  }

  /** Reads what a block holds as content: more blocks, one object, or a string. */
  #nestedContent(): void {
    const scan = this.#scan
    if (scan.peek() === OPEN_BRACE) this.#block()
    else if (scan.peek() === OPEN_BRACKET) {
      scan.enterArray()
      while (scan.nextElement()) this.#nestedBlock()
    } else scan.value()
  }

  #block(): void {
    const scan = this.#scan
    const cachesBefore = this.cacheControls
    let type: string | null = null
    let flags = 0
    let cacheStart = 0
    let cacheEnd = 0
    let hasSignature = false
    let fileId: string | null = null
    let hasSource = false
    let sourceType: string | null = null
    let dataStart = 0
    let dataEnd = 0
    scan.enterObject()
    for (let key = scan.nextKey(); key !== null; key = scan.nextKey()) {
      switch (key) {
        case 'type':
          type = scan.word()
          break
        case 'content':
          this.#nestedContent()
          break
        case 'cache_control':
          cacheStart = scan.keyStart
          flags = this.cacheControl()
          cacheEnd = scan.pos
          break
        case 'source':
          hasSource = true
          this.#source()
          sourceType = this.#sourceType
          dataStart = this.#dataStart
          dataEnd = this.#dataEnd
          break
        case 'signature':
          hasSignature = this.#opaque()
          break
        case 'data':
        case 'encrypted_content':
        case 'encrypted_index':
          this.#opaque()
          break
        case 'file_id':
          fileId = this.#fileId()
          break
        default:
          scan.value()
      }
    }
    if (flags === 0) cacheStart = cacheEnd = 0
    const ownCaches = flags === 0 ? 0 : 1
    if (this.cacheControls - cachesBefore > ownCaches) flags |= BLOCK_NESTED_CACHE
    if (type === 'image' || type === 'document') {
      this.#countMedia(type, sourceType, dataStart, dataEnd)
    } else if (hasSource) scan.strings.denseBytes += scan.strings.denseIn(dataStart, dataEnd)
    this.#countKind(type, hasSignature)
    if (fileId !== null && !isWritten(type)) this.#reads(fileId)
    this.#bits = flags | (blockTypeOf(type) << 8)
    this.#cacheStart = cacheStart
    this.#cacheEnd = cacheEnd
  }

  /** Reads a `source`; what its `data` means depends on its type and the block's, which may come later. */
  #source(): void {
    const scan = this.#scan
    let type: string | null = null
    let dataStart = 0
    let dataEnd = 0
    if (scan.peek() === OPEN_BRACE) {
      scan.enterObject()
      for (let key = scan.nextKey(); key !== null; key = scan.nextKey()) {
        if (key === 'type') type = scan.word()
        else if (key === 'content') this.#nestedContent()
        else if (key === 'data') {
          const start = scan.pos
          const isString = scan.peek() === QUOTE
          scan.strings.countsDense = false
          scan.value()
          scan.strings.countsDense = true
          dataStart = isString ? start + 1 : 0
          dataEnd = isString ? scan.pos - 1 : 0
        } else {
          if (key !== 'file_id') scan.value()
          else this.#reads(this.#fileId())
        }
      }
    } else scan.value()
    this.#sourceType = type
    this.#dataStart = dataStart
    this.#dataEnd = dataEnd
  }

  #countMedia(
    type: 'image' | 'document',
    source: string | null,
    dataStart: number,
    dataEnd: number,
  ): void {
    if (source === 'base64') {
      this.mediaBytes += dataEnd - dataStart
      if (type === 'document') this.documents.base64Bytes += dataEnd - dataStart
    } else this.#scan.strings.denseBytes += this.#scan.strings.denseIn(dataStart, dataEnd)
    const counts = type === 'image' ? this.images : this.documents
    if (source === 'base64' || source === 'url' || source === 'file') counts[source] += 1
    else if (type === 'document' && (source === 'text' || source === 'content')) {
      this.documents[source] += 1
    } else counts.other += 1
  }

  #countKind(type: string | null, hasSignature: boolean): void {
    if (type === 'thinking') {
      if (hasSignature) this.thinkingHistory.signed += 1
      else this.thinkingHistory.unsigned += 1
    } else if (type === 'redacted_thinking') this.thinkingHistory.redacted += 1
    else if (type === 'container_upload') this.containerUploads += 1
    else if (type === 'tool_addition' || type === 'tool_removal') this.hasToolChanges = true
  }

  #fileId(): string | null {
    this.fileIds += 1
    const id = readScalar(this.#scan)
    return id.type === 'string' ? id.value : null
  }

  #reads(fileId: string | null): void {
    if (fileId !== null && this.files.size <= MAX_FILES) this.files.add(fileId)
  }

  /** Reads signed or encrypted data; answers whether it is a string with something in it. */
  #opaque(): boolean {
    const scan = this.#scan
    const start = scan.pos
    const isString = scan.peek() === QUOTE
    scan.strings.countsDense = false
    scan.value()
    scan.strings.countsDense = true
    if (!isString) return false
    const bytes = scan.pos - start - 2
    this.opaqueBytes += bytes
    return bytes > 0
  }
}

/** Results of code name the files that it wrote; nobody reads those because a history tells of them. */
function isWritten(type: string | null): boolean {
  return type === 'code_execution_output' || type === 'bash_code_execution_output'
}

function blockTypeOf(type: string | null): number {
  switch (type) {
    case 'text':
    case 'image':
    case 'document':
    case 'thinking':
    case 'redacted_thinking':
    case 'tool_use':
    case 'tool_result':
    case 'search_result':
    case 'server_tool_use':
    case 'container_upload':
    case 'tool_addition':
    case 'tool_removal':
      return BlockType[type]
    default:
      return BlockType.other
  }
}
