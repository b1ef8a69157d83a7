import { BlockReader } from './block-reader.ts'
import type {
  BodyFacts,
  Fallback,
  Fallbacks,
  Scalar,
  ServerTool,
  Span,
  ValueType,
} from './body-facts.ts'
import { BlockSection } from './body-facts.ts'
import { ABSENT, readScalar } from './json-scalar.ts'
import type { JsonWalk } from './json-walk.ts'
import { serverToolFamily } from './tool-kinds.ts'

const QUOTE = 0x22
const OPEN_BRACE = 0x7b
const OPEN_BRACKET = 0x5b

/** Edits of the context that only leave something out: they ask no model. */
const CLEARS_ONLY = /^clear_(tool_uses|thinking)_\d{8}$/
/** Clients send this one with `keep: "all"` in every request, to have nothing left out. */
const CLEARS_THINKING = /^clear_thinking_\d{8}$/

type Members<Name extends string> = Record<Name, Scalar>

/** Reads the object before which `scan` stands as the body of a Messages request. */
export function readBody(scan: JsonWalk): BodyFacts {
  return new BodyReader(scan).body()
}

class BodyReader {
  readonly #scan: JsonWalk
  readonly #blocks: BlockReader
  readonly #topLevel = new Map<string, Span>()
  readonly #scalars = new Map<string, Scalar>()
  readonly #serverTools: ServerTool[] = []
  #clientTools = 0
  #messages: BodyFacts['messages'] = { type: 'absent', count: 0 }
  #system: ValueType = 'absent'
  #thinking: BodyFacts['thinking'] = { is: 'absent', type: ABSENT, budgetTokens: ABSENT }
  #thread: BodyFacts['thread'] = { is: 'absent', type: ABSENT, previousMessageId: ABSENT }
  #container: BodyFacts['container'] = { is: 'absent', id: ABSENT }
  #diagnosticsMessageId = ABSENT
  #hasFallbackCreditToken = false
  #fallbacks: Fallbacks = { kind: 'none' }
  #mcpServers = 0
  #mayCompact = false
  #mayClear = false
  #toolChoice = ABSENT
  #effort = ABSENT
  #hasOutputFormat = false
  #userIdSpan: Span | null = null

  constructor(scan: JsonWalk) {
    this.#scan = scan
    this.#blocks = new BlockReader(scan)
  }

  body(): BodyFacts {
    const scan = this.#scan
    scan.enterObject()
    for (let key = scan.nextKey(); key !== null; key = scan.nextKey()) {
      const name = key === '' ? scan.unknownKey : key
      const start = scan.pos
      this.#member(key)
      this.#topLevel.set(name, [start, scan.pos])
    }
    return this.#facts()
  }

  #member(key: string): void {
    const scan = this.#scan
    switch (key) {
      case 'messages':
        this.#readMessages()
        break
      case 'system':
        this.#system = typeAt(scan)
        this.#blocks.content(BlockSection.system, null)
        break
      case 'tools':
        this.#readTools()
        break
      case 'model':
      case 'max_tokens':
      case 'stream':
      case 'speed':
      case 'inference_geo':
      case 'service_tier':
        this.#scalars.set(key, readScalar(scan))
        break
      case 'thinking': {
        const is = typeAt(scan)
        const { type, budget_tokens } = this.#members(['type', 'budget_tokens'])
        this.#thinking = { is, type, budgetTokens: budget_tokens }
        break
      }
      case 'thread': {
        const is = typeAt(scan)
        const { type, previous_message_id } = this.#members(['type', 'previous_message_id'])
        this.#thread = { is, type, previousMessageId: previous_message_id }
        break
      }
      case 'container': {
        const is = typeAt(scan)
        this.#container = {
          is,
          id: is === 'string' ? readScalar(scan) : this.#members(['id']).id,
        }
        break
      }
      case 'diagnostics':
        this.#diagnosticsMessageId = this.#members(['previous_message_id']).previous_message_id
        break
      case 'tool_choice':
        this.#toolChoice = this.#members(['type']).type
        break
      case 'output_config': {
        const { effort, format } = this.#members(['effort', 'format'])
        this.#effort = effort
        if (isThere(format)) this.#hasOutputFormat = true
        break
      }
      case 'output_format':
        if (typeAt(scan) !== 'null') this.#hasOutputFormat = true
        scan.value()
        break
      case 'fallback_credit_token':
        this.#hasFallbackCreditToken = typeAt(scan) !== 'null'
        // Its value is read later; a second `token` could be the one that upstream goes by.
        this.#members(['token'])
        break
      case 'metadata':
        this.#readMetadata()
        break
      case 'cache_control':
        this.#blocks.cacheControl()
        break
      case 'context_management':
        this.#readContextManagement()
        break
      case 'fallbacks':
        this.#readFallbacks()
        break
      case 'mcp_servers':
        this.#readMcpServers()
        break
      default:
        scan.value()
    }
  }

  /** Reads some members of the object at hand; all absent where it is none. */
  #members<const Name extends string>(names: readonly Name[]): Members<Name> {
    const scan = this.#scan
    // Filled with every name of `names` here, so it is complete.
    const found = Object.fromEntries(names.map((name) => [name, ABSENT])) as Members<Name>
    if (scan.peek() !== OPEN_BRACE) {
      scan.value()
      return found
    }
    scan.enterObject()
    for (let key = scan.nextKey(); key !== null; key = scan.nextKey()) {
      const name = names.find((each) => each === key)
      if (name === undefined) scan.value()
      else found[name] = readScalar(scan)
    }
    return found
  }

  #readMessages(): void {
    const scan = this.#scan
    const type = typeAt(scan)
    let count = 0
    if (type === 'array') {
      scan.enterArray()
      for (; scan.nextElement(); count++) this.#readMessage(count)
    } else scan.value()
    this.#messages = { type, count }
  }

  #readMessage(index: number): void {
    const scan = this.#scan
    if (scan.peek() !== OPEN_BRACE) {
      scan.value()
      return
    }
    const { rows } = this.#blocks
    const firstRow = rows.count
    let role: string | null = null
    scan.enterObject()
    for (let key = scan.nextKey(); key !== null; key = scan.nextKey()) {
      if (key === 'role') role = scan.word()
      else if (key === 'content') this.#blocks.content(BlockSection.messages, index)
      else scan.value()
    }
    rows.setRole(firstRow, role)
  }

  #readTools(): void {
    const scan = this.#scan
    if (scan.peek() !== OPEN_BRACKET) {
      scan.value()
      return
    }
    scan.enterArray()
    for (let index = 0; scan.nextElement(); index++) {
      if (scan.peek() === OPEN_BRACE) this.#readTool(index)
      else scan.value()
    }
  }

  #readTool(index: number): void {
    const scan = this.#scan
    const start = scan.pos
    let type = ABSENT
    let model = ABSENT
    let maxUses = ABSENT
    let maxTokens = ABSENT
    let flags = 0
    let cacheStart = 0
    let cacheEnd = 0
    scan.enterObject()
    for (let key = scan.nextKey(); key !== null; key = scan.nextKey()) {
      if (key === 'type') type = readScalar(scan)
      else if (key === 'model') model = readScalar(scan)
      else if (key === 'max_uses') maxUses = readScalar(scan)
      else if (key === 'max_tokens') maxTokens = readScalar(scan)
      else if (key === 'cache_control') {
        const keyStart = scan.keyStart
        flags = this.#blocks.cacheControl()
        cacheStart = flags === 0 ? 0 : keyStart
        cacheEnd = flags === 0 ? 0 : scan.pos
      } else if (key === 'caching') this.#blocks.cacheControl()
      else scan.value()
    }
    const bits = BlockSection.tools | flags
    this.#blocks.rows.add({ start, end: scan.pos, bits, index, cacheStart, cacheEnd })
    const family = serverToolFamily(type)
    if (family === null) this.#clientTools += 1
    else {
      const name = type.type === 'string' ? type.value : ''
      this.#serverTools.push({ family, type: name, model, maxUses, maxTokens })
    }
  }

  #readMetadata(): void {
    const scan = this.#scan
    if (scan.peek() !== OPEN_BRACE) {
      scan.value()
      return
    }
    scan.enterObject()
    for (let key = scan.nextKey(); key !== null; key = scan.nextKey()) {
      const start = scan.pos
      const isString = scan.peek() === QUOTE
      scan.value()
      if (key === 'user_id' && isString) this.#userIdSpan = [start, scan.pos]
    }
  }

  #readFallbacks(): void {
    const scan = this.#scan
    const is = typeAt(scan)
    if (is !== 'array') {
      const value = readScalar(scan)
      const isDefault = value.type === 'string' && value.value === 'default'
      this.#fallbacks = { kind: is === 'null' ? 'none' : isDefault ? 'default' : 'malformed' }
      return
    }
    const entries: Fallback[] = []
    let malformed = false
    scan.enterArray()
    while (scan.nextElement()) {
      malformed ||= scan.peek() !== OPEN_BRACE
      const { model, max_tokens, speed } = this.#members(['model', 'max_tokens', 'speed'])
      entries.push({ model, maxTokens: max_tokens, speed })
    }
    this.#fallbacks = malformed ? { kind: 'malformed' } : { kind: 'list', entries }
  }

  #readContextManagement(): void {
    const scan = this.#scan
    if (scan.peek() !== OPEN_BRACE) {
      this.#mayCompact ||= typeAt(scan) !== 'null'
      scan.value()
      return
    }
    scan.enterObject()
    for (let key = scan.nextKey(); key !== null; key = scan.nextKey()) {
      if (key !== 'edits' || scan.peek() !== OPEN_BRACKET) {
        this.#mayCompact ||= typeAt(scan) !== 'null'
        scan.value()
        continue
      }
      scan.enterArray()
      while (scan.nextElement()) {
        const { type, keep } = this.#members(['type', 'keep'])
        const edit = type.type === 'string' ? type.value : ''
        this.#mayCompact ||= !CLEARS_ONLY.test(edit)
        const keepsAll = keep.type === 'string' && keep.value === 'all'
        this.#mayClear ||= !keepsAll || !CLEARS_THINKING.test(edit)
      }
    }
  }

  #readMcpServers(): void {
    const scan = this.#scan
    if (scan.peek() !== OPEN_BRACKET) {
      scan.value()
      return
    }
    scan.enterArray()
    for (; scan.nextElement(); this.#mcpServers++) this.#members([])
  }

  #facts(): BodyFacts {
    const scan = this.#scan
    const blocks = this.#blocks
    const scalar = (name: string) => this.#scalars.get(name) ?? ABSENT
    return {
      model: scalar('model'),
      maxTokens: scalar('max_tokens'),
      stream: scalar('stream'),
      speed: scalar('speed'),
      inferenceGeo: scalar('inference_geo'),
      serviceTier: scalar('service_tier'),
      messages: this.#messages,
      system: this.#system,
      thinking: this.#thinking,
      thread: this.#thread,
      container: this.#container,
      diagnosticsMessageId: this.#diagnosticsMessageId,
      hasFallbackCreditToken: this.#hasFallbackCreditToken,
      fallbacks: this.#fallbacks,
      mcpServers: this.#mcpServers,
      mayCompact: this.#mayCompact || this.#topLevel.has('compaction'),
      mayClear: this.#mayClear,
      clientTools: this.#clientTools,
      serverTools: this.#serverTools,
      toolChoice: this.#toolChoice,
      effort: this.#effort,
      hasOutputFormat: this.#hasOutputFormat,
      hasCacheControl: blocks.cacheControls > 0,
      hasCacheControl1h: blocks.hasCacheControl1h,
      userIdSpan: this.#userIdSpan,
      images: blocks.images,
      documents: blocks.documents,
      containerUploads: blocks.containerUploads,
      fileIds: blocks.fileIds,
      files: [...blocks.files],
      thinkingHistory: blocks.thinkingHistory,
      hasToolChanges: blocks.hasToolChanges,
      textBytes: scan.length - blocks.mediaBytes,
      denseBytes: scan.strings.denseBytes,
      opaqueBytes: blocks.opaqueBytes,
      blocks: blocks.rows.table(),
      topLevel: this.#topLevel,
      tokenCount: scan.tokenCount,
      maxDepth: scan.maxDepthSeen,
    }
  }
}

function isThere(value: Scalar): boolean {
  return value.type !== 'absent' && value.type !== 'null'
}

/** The type of the value before which `scan` stands, by its first byte. */
export function typeAt(scan: JsonWalk): ValueType {
  switch (scan.peek()) {
    case QUOTE:
      return 'string'
    case OPEN_BRACE:
      return 'object'
    case OPEN_BRACKET:
      return 'array'
    case 0x74:
    case 0x66:
      return 'boolean'
    case 0x6e:
      return 'null'
    default:
      return 'number'
  }
}
