import { invariant } from '../../core/invariant.ts'
import { RawJson } from './json.ts'

/** Anthropic's cache marker. */
export interface CacheControl {
  readonly type: 'ephemeral'
  readonly ttl?: '5m' | '1h'
}

/** A block of Anthropic's Messages API: of `system`, of `tools` or of a message. */
export interface Block {
  readonly type?: string
  cache_control?: CacheControl
  readonly [field: string]: unknown
}

/** A message as it goes upstream. */
export interface UpstreamMessage {
  readonly role: 'user' | 'assistant' | 'system'
  readonly content: readonly Block[]
}

/** The members of an upstream body, in the order in which they are written. */
export interface UpstreamBody {
  readonly model: string
  readonly max_tokens: number
  readonly stream: true
  readonly tools?: readonly Block[]
  readonly tool_choice?: unknown
  readonly system?: readonly Block[]
  readonly messages: readonly UpstreamMessage[]
  readonly [field: string]: unknown
}

/** A text block. */
export function textBlock(text: string): Block {
  return { type: 'text', text }
}

/** What stands in for the user's turn where the conversation needs one. */
export function continueBlock(): Block {
  return textBlock('Continue.')
}

/** The body as JSON text; `RawJson` inputs of tool calls go in as they stand. */
export function writeBody(body: UpstreamBody): string {
  const parts: string[] = []
  for (const [name, value] of Object.entries(body)) {
    if (value === undefined) continue
    const text = name === 'messages' ? writeMessages(body.messages) : JSON.stringify(value)
    parts.push(`${JSON.stringify(name)}:${text}`)
  }
  return `{${parts.join(',')}}`
}

function writeMessages(messages: readonly UpstreamMessage[]): string {
  const texts = messages.map(
    ({ role, content }) => `{"role":"${role}","content":[${content.map(writeBlock).join(',')}]}`,
  )
  return `[${texts.join(',')}]`
}

function writeBlock(block: Block): string {
  if (!(block.input instanceof RawJson)) return JSON.stringify(block)
  const { input, ...rest } = block
  return `${JSON.stringify(rest).slice(0, -1)},"input":${input.text}}`
}

/**
 * A body's text with a further message of the assistant: the content of a paused answer, which upstream then
 * goes on with. Works on the text, in which `messages` stands last, so that no number changes on the way.
 */
export function withPausedContent(bodyText: string, content: readonly unknown[]): string {
  invariant(bodyText.endsWith(']}'), 'a translated body ends with its messages')
  return `${bodyText.slice(0, -2)},{"role":"assistant","content":${JSON.stringify(content)}}]}`
}

/** A body's text with automatic caching switched on: upstream marks the last block that it can. */
export function withAutoCache(bodyText: string, ttl: '5m' | '1h'): string {
  const marker: CacheControl = ttl === '1h' ? { type: 'ephemeral', ttl } : { type: 'ephemeral' }
  return `{"cache_control":${JSON.stringify(marker)},${bodyText.slice(1)}`
}
