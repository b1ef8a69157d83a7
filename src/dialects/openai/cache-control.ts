import { optionalText } from './fields.ts'
import type { JsonObject } from './json.ts'
import { isObject } from './json.ts'
import { refuse } from './refusal.ts'
import type { Block, CacheControl, UpstreamMessage } from './upstream.ts'

/** Upstream refuses a fifth breakpoint. */
const MAX_MARKERS = 4

/** Asks upstream to mark the last block by itself, or not. */
export type AutoCache = 'off' | 'on' | 'if_seen'

/**
 * The cache marker of a part, a message or a tool: Anthropic's `cache_control` as it stands, or OpenAI's
 * `prompt_cache_breakpoint`; null without one. `field` is the owner's place.
 */
export function readMarker(owner: JsonObject, field: string): CacheControl | null {
  const control = owner.cache_control
  if (control !== undefined && control !== null)
    return readCacheControl(control, `${field}.cache_control`)
  const point = owner.prompt_cache_breakpoint
  if (!isObject(point)) return null
  return typeof point.ttl === 'string' ? { type: 'ephemeral', ttl: '1h' } : { type: 'ephemeral' }
}

/** Anthropic's `cache_control` itself. */
export function readCacheControl(control: unknown, field: string): CacheControl {
  const at = `${field}.`
  if (!isObject(control) || control.type !== 'ephemeral')
    refuse('invalid_value', field, `'${field}' must be {"type":"ephemeral"}, with "ttl" if wanted.`)
  const ttl = optionalText(control, 'ttl', at)
  if (ttl === null) return { type: 'ephemeral' }
  if (ttl !== '5m' && ttl !== '1h')
    refuse('invalid_value', `${at}ttl`, `'${at}ttl' must be "5m" or "1h".`)
  return { type: 'ephemeral', ttl }
}

/** The sections of a prompt in the order in which upstream hashes them. */
export interface PromptSections {
  readonly tools: readonly Block[]
  readonly system: readonly Block[]
  readonly messages: readonly UpstreamMessage[]
}

/**
 * Keeps the first and the last three markers, the one at the top level counting as the last, and lets none
 * live longer than one before it. Answers the top-level marker as it may go up, and whether anything had to
 * give. Changes the blocks in place.
 */
export function limitMarkers(
  sections: PromptSections,
  topLevel: CacheControl | null,
): { readonly topLevel: CacheControl | null; readonly isChanged: boolean } {
  const marked = markedBlocks(sections)
  const room = topLevel === null ? MAX_MARKERS : MAX_MARKERS - 1
  const extra = Math.max(0, marked.length - room)
  for (const block of marked.splice(1, extra)) delete block.cache_control
  let isShort = false
  let isChanged = extra > 0
  for (const block of marked) {
    if (block.cache_control?.ttl !== '1h') isShort = true
    else if (isShort) {
      block.cache_control = { type: 'ephemeral', ttl: '5m' }
      isChanged = true
    }
  }
  if (topLevel?.ttl === '1h' && isShort)
    return { topLevel: { type: 'ephemeral', ttl: '5m' }, isChanged: true }
  return { topLevel, isChanged }
}

/**
 * Whether and for how long automatic caching may be added to these sections; null: not at all. It counts as
 * one marker, and must not stand on a block that has another life.
 */
export function autoCacheTtl(sections: PromptSections, wanted: '5m' | '1h'): '5m' | '1h' | null {
  const marked = markedBlocks(sections)
  if (marked.length >= MAX_MARKERS) return null
  const isShort = marked.some((block) => block.cache_control?.ttl !== '1h')
  const ttl = isShort ? '5m' : wanted
  const last = sections.messages.at(-1)?.content.at(-1)
  const own = last?.cache_control
  return own !== undefined && (own.ttl ?? '5m') !== ttl ? null : ttl
}

/** Every marked block in prompt order, those inside tool results too. */
function markedBlocks({ tools, system, messages }: PromptSections): Block[] {
  const marked: Block[] = []
  const look = (block: Block): void => {
    if (block.type === 'tool_result' && Array.isArray(block.content))
      for (const inner of block.content)
        if (isObject(inner) && inner.cache_control) marked.push(inner as Block)
    if (block.cache_control) marked.push(block)
  }
  for (const block of tools) look(block)
  for (const block of system) look(block)
  for (const { content } of messages) for (const block of content) look(block)
  return marked
}
