import { createHash } from 'node:crypto'
import { type ApiError, badRequest } from './errors.ts'
import { asList, asObject, type JsonObject } from './json.ts'
import { type PromptPart, withoutMarks } from './tokens.ts'

/** What the cache did for one request, in tokens. */
export interface CacheUse {
  readonly readTokens: number
  readonly write5mTokens: number
  readonly write1hTokens: number
  /** The answer has begun: what was written can be read from now on. */
  began(): void
}

export type CacheResult =
  | { readonly kind: 'used'; readonly use: CacheUse }
  | { readonly kind: 'refused'; readonly error: ApiError }

/** Prompt caches by workspace: exact prefixes, found again at the breakpoints that wrote them. */
export interface PromptCache {
  use(request: CacheRequest): CacheResult
}

/** A prompt at the cache's door. */
export interface CacheRequest {
  readonly workspaceId: string
  readonly modelId: string
  readonly minCacheTokens: number
  readonly body: JsonObject
  readonly parts: readonly PromptPart[]
}

type Ttl = '5m' | '1h'

interface Entry {
  readonly ttlMs: number
  expiresMs: number
  isReadable: boolean
}

interface Breakpoint {
  /** Index of the last part inside. */
  readonly at: number
  readonly ttl: Ttl
}

const TTL_MS = { '5m': 300_000, '1h': 3_600_000 } as const
const MAX_BREAKPOINTS = 4
const LOOKBACK = 20
const MAX_ENTRIES = 50_000
const UNUSED: CacheUse = {
  readTokens: 0,
  write5mTokens: 0,
  write1hTokens: 0,
  began: () => {},
}

/** An empty cache; `nowMs` is the clock that time-outs go by. */
export function createPromptCache(nowMs: () => number): PromptCache {
  const workspaces = new Map<string, Map<string, Entry>>()

  function entriesOf(workspaceId: string): Map<string, Entry> {
    let entries = workspaces.get(workspaceId)
    if (!entries) {
      entries = new Map()
      workspaces.set(workspaceId, entries)
    }
    return entries
  }

  return {
    use(request) {
      const marks = breakpoints(request.body, request.parts)
      if ('status' in marks) return { kind: 'refused', error: marks }
      if (marks.length === 0) return { kind: 'used', use: UNUSED }
      const now = nowMs()
      const entries = entriesOf(request.workspaceId)
      const hashes = prefixHashes(request)
      const sums = prefixTokens(request.parts)
      const find = (at: number) => {
        const entry = entries.get(hashes[at])
        return entry?.isReadable && entry.expiresMs > now ? entry : null
      }

      let readAt = -1
      for (const mark of marks) readAt = Math.max(readAt, lookBack(request.parts, mark.at, find))
      for (const mark of marks) {
        const entry = mark.at <= readAt ? find(mark.at) : null
        if (entry) entry.expiresMs = now + entry.ttlMs
      }
      const hit = readAt >= 0 ? find(readAt) : null
      if (hit) hit.expiresMs = now + hit.ttlMs

      const written = { '5m': 0, '1h': 0 }
      const fresh: Entry[] = []
      let from = readAt
      for (const mark of marks) {
        if (mark.at <= readAt || sums[mark.at] < request.minCacheTokens) continue
        written[mark.ttl] += sums[mark.at] - (from >= 0 ? sums[from] : 0)
        from = mark.at
        const ttlMs = TTL_MS[mark.ttl]
        const known = entries.get(hashes[mark.at])
        // Another request is writing the same prefix: both pay, and the first to begin opens it.
        if (known && known.expiresMs > now) {
          fresh.push(known)
          continue
        }
        const entry: Entry = { ttlMs, expiresMs: now + ttlMs, isReadable: false }
        entries.set(hashes[mark.at], entry)
        fresh.push(entry)
      }
      prune(entries, now)
      return {
        kind: 'used',
        use: {
          readTokens: readAt >= 0 ? sums[readAt] : 0,
          write5mTokens: written['5m'],
          write1hTokens: written['1h'],
          began() {
            for (const entry of fresh) entry.isReadable = true
          },
        },
      }
    },
  }
}

/** The furthest readable prefix at or before a breakpoint, within the look-back; -1: none. */
function lookBack(
  parts: readonly PromptPart[],
  at: number,
  find: (at: number) => Entry | null,
): number {
  let steps = 0
  for (let i = at; i >= 0; i--) {
    if (find(i)) return i
    // A run of tool calls, or of results, is one position.
    const kind = parts[i].block.type
    const isRun = kind === 'tool_use' || kind === 'tool_result'
    if (isRun && i > 0 && parts[i - 1].block.type === kind) continue
    steps++
    if (steps > LOOKBACK) return -1
  }
  return -1
}

/** Explicit markers and the automatic one, in the order of the prompt. */
function breakpoints(
  body: JsonObject,
  parts: readonly PromptPart[],
): readonly Breakpoint[] | ApiError {
  const marks: Breakpoint[] = []
  for (const [at, part] of parts.entries()) {
    const control = markerOf(part.block)
    if (!control) continue
    if (control.type !== 'ephemeral') return badRequest('cache_control.type: should be `ephemeral`')
    if (!isCacheable(part)) {
      return badRequest('cache_control cannot be set for empty text or thinking blocks')
    }
    marks.push({ at, ttl: control.ttl === '1h' ? '1h' : '5m' })
  }
  const automatic = asObject(body.cache_control)
  if (automatic) {
    const ttl = automatic.ttl === '1h' ? '1h' : '5m'
    const at = parts.findLastIndex(isCacheable)
    const same = marks.find((mark) => mark.at === at)
    if (same && same.ttl !== ttl) {
      return badRequest('cache_control: the last block has another ttl than the request')
    }
    if (!same && at >= 0) marks.push({ at, ttl })
    marks.sort((a, b) => a.at - b.at)
  }
  if (marks.length > MAX_BREAKPOINTS) {
    return badRequest(
      `A maximum of ${MAX_BREAKPOINTS} blocks with cache_control may be provided. ` +
        `Found ${marks.length}.`,
    )
  }
  for (let i = 1; i < marks.length; i++) {
    if (marks[i].ttl === '1h' && marks[i - 1].ttl === '5m') {
      return badRequest("a ttl='1h' cache_control block must not come after a ttl='5m' one")
    }
  }
  return marks
}

function isCacheable(part: PromptPart): boolean {
  const { type, text } = part.block
  return type !== 'thinking' && type !== 'redacted_thinking' && !(type === 'text' && text === '')
}

/** A block's own marker, or that of a block inside it (tool results hold blocks). */
function markerOf(block: JsonObject): JsonObject | null {
  const own = asObject(block.cache_control)
  if (own || block.type !== 'tool_result') return own
  for (const inner of asList(block.content)) {
    const marker = asObject(asObject(inner)?.cache_control)
    if (marker) return marker
  }
  return null
}

/** One digest per part over everything before it; what invalidates a section salts its start. */
function prefixHashes(request: CacheRequest): readonly string[] {
  const { body, parts } = request
  const hashes: string[] = []
  let previous = request.modelId
  let section = ''
  for (const part of parts) {
    const hash = createHash('sha256').update(previous)
    if (part.section !== section) {
      if (section !== 'messages' && part.section !== 'tools') hash.update(systemSalt(body, parts))
      if (part.section === 'messages') hash.update(messagesSalt(body, parts))
      section = part.section
    }
    hash.update(`${part.section} ${part.role} ${withoutMarks(part.block)}`)
    previous = hash.digest('base64')
    hashes.push(previous)
  }
  return hashes
}

function systemSalt(body: JsonObject, parts: readonly PromptPart[]): string {
  const searches = parts.some((part) => /^web_search/.test(String(part.block.type)))
  const cites = parts.some((part) => asObject(part.block.citations)?.enabled === true)
  return JSON.stringify([body.speed === 'fast', searches, cites])
}

function messagesSalt(body: JsonObject, parts: readonly PromptPart[]): string {
  const { effort, format } = asObject(body.output_config) ?? {}
  const thinking = asObject(body.thinking)
  const images = parts.some((part) => part.block.type === 'image')
  const mode = [thinking?.type, thinking?.budget_tokens]
  return JSON.stringify([body.tool_choice, images, mode, effort, format])
}

function prefixTokens(parts: readonly PromptPart[]): readonly number[] {
  let sum = 0
  return parts.map((part) => {
    sum += part.tokens
    return sum
  })
}

function prune(entries: Map<string, Entry>, now: number): void {
  if (entries.size <= MAX_ENTRIES) return
  for (const [hash, entry] of entries) if (entry.expiresMs <= now) entries.delete(hash)
  for (const hash of entries.keys()) {
    if (entries.size <= MAX_ENTRIES / 2) return
    entries.delete(hash)
  }
}
