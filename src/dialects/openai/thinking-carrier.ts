import { isObject, parseJson, textOf } from './json.ts'
import type { Block } from './upstream.ts'

/** Says that a carrier is ours, and how it is written. */
const PREFIX = 'cc1.'

/**
 * A thinking block as text that a client stores and sends back: `encrypted_content` of the Responses API.
 * It carries the block byte for byte with its signature, and no account.
 */
export function encodeThinking(block: Block, model: string): string {
  const json = JSON.stringify({ b: [block], m: model })
  return PREFIX + Buffer.from(json).toString('base64url')
}

/** The blocks of a carrier; empty where it is foreign, cut or edited beyond reading. */
export function decodeThinking(carrier: unknown): Block[] {
  if (typeof carrier !== 'string' || !carrier.startsWith(PREFIX)) return []
  const json = parseJson(Buffer.from(carrier.slice(PREFIX.length), 'base64url').toString('utf8'))
  if (!isObject(json) || !Array.isArray(json.b)) return []
  const blocks: Block[] = []
  for (const item of json.b) {
    const block = thinkingBlock(item)
    if (block !== null) blocks.push(block)
  }
  return blocks
}

/** A client's thinking or redacted block with nothing but what upstream reads; null where it is none. */
export function thinkingBlock(value: unknown): Block | null {
  if (!isObject(value)) return null
  if (value.type === 'thinking') {
    const thinking = textOf(value.thinking)
    const signature = textOf(value.signature)
    if (thinking === null || signature === null || signature === '') return null
    return { type: 'thinking', thinking, signature }
  }
  if (value.type !== 'redacted_thinking') return null
  const data = textOf(value.data)
  return data === null || data === '' ? null : { type: 'redacted_thinking', data }
}
