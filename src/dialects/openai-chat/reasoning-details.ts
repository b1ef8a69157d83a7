import type { JsonObject } from '../openai/json.ts'
import { isObject, textOf } from '../openai/json.ts'
import { thinkingBlock } from '../openai/thinking-carrier.ts'
import type { Block } from '../openai/upstream.ts'

/** The `format` of reasoning that is Claude's; other formats are of other models. */
export const REASONING_FORMAT = 'anthropic-claude-v1'

/**
 * The thinking that an assistant message of the history carries back, byte for byte: OpenRouter's
 * `reasoning_details`, else LiteLLM's `thinking_blocks`, else Anthropic's own blocks among the parts.
 * Reasoning without a signature is worth nothing upstream and is left out.
 */
export function assistantThinking(message: JsonObject): Block[] {
  const details = message.reasoning_details
  if (Array.isArray(details) && details.length > 0) return fromDetails(details)
  const list = Array.isArray(message.thinking_blocks) ? message.thinking_blocks : message.content
  const blocks: Block[] = []
  if (!Array.isArray(list)) return blocks
  for (const item of list) {
    const block = thinkingBlock(item)
    if (block !== null) blocks.push(block)
  }
  return blocks
}

/** Clients store streamed deltas: fragments that follow each other with one `index` are one block. */
function fromDetails(details: readonly unknown[]): Block[] {
  const blocks: Block[] = []
  let open: { readonly index: unknown; text: string; signature: string } | null = null
  const close = (): void => {
    if (open !== null && open.signature !== '')
      blocks.push({ type: 'thinking', thinking: open.text, signature: open.signature })
    open = null
  }
  for (const detail of details) {
    if (!isObject(detail) || !isOurs(detail)) continue
    if (detail.type === 'reasoning.text') {
      const { index } = detail
      const text = textOf(detail.text) ?? ''
      // Text behind a signature is another block, whatever a client has numbered it.
      const isSigned = open !== null && open.signature !== '' && text !== ''
      if (open === null || index === undefined || open.index !== index || isSigned) {
        close()
        open = { index, text: '', signature: '' }
      }
      open.text += text
      open.signature += textOf(detail.signature) ?? ''
    } else if (detail.type === 'reasoning.encrypted') {
      close()
      const data = textOf(detail.data)
      if (data !== null && data !== '') blocks.push({ type: 'redacted_thinking', data })
    }
  }
  close()
  return blocks
}

function isOurs({ format }: JsonObject): boolean {
  return format === undefined || format === null || format === REASONING_FORMAT
}
