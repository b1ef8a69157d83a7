import { asBlocks, asList, asObject, asText, type JsonObject } from './json.ts'
import { hash32 } from './random.ts'

/** Tokens that every prompt has, however short, and that every message adds. */
const BASE_TOKENS = 6
const MESSAGE_TOKENS = 3
const TOOL_TOKENS = 12
const UNSEEN_IMAGE_TOKENS = 1_200
const PDF_PAGE_TOKENS = 2_000
const PDF_PAGE_BYTES = 50_000

/** Claude Code puts this block first in `system`; upstream takes it out before anything else. */
const ATTRIBUTION = /^x-anthropic-billing-header:/

/** One place in the order tools, system, messages where a cache breakpoint may sit. */
export interface PromptPart {
  readonly section: 'tools' | 'system' | 'messages'
  /** Role of the message the block is in; empty outside of messages. */
  readonly role: string
  readonly block: JsonObject
  readonly tokens: number
}

/** How a tokenizer is chosen: bytes per token, fixed or drawn per conversation from a range. */
export interface Tokenizer {
  readonly bytesPerToken: number | readonly [least: number, most: number]
  readonly seed: number
}

/**
 * Bytes per token for this body. A drawn figure depends on the seed and the first block of the
 * prompt, so `count_tokens`, `messages` and all later turns of a conversation agree.
 */
export function bytesPerToken(tokenizer: Tokenizer, body: JsonObject): number {
  const range = tokenizer.bytesPerToken
  if (typeof range === 'number') return range
  const first =
    asList(body.tools)[0] ?? asBlocks(body.system)[0] ?? asObject(asList(body.messages)[0])?.content
  const share = hash32(JSON.stringify(first ?? ''), tokenizer.seed) / 0xffffffff
  return range[0] + (range[1] - range[0]) * share
}

/** Tokens of a text at that many bytes per token. */
export function textTokens(text: string, perToken: number): number {
  return byteTokens(Buffer.byteLength(text), perToken)
}

/** Tokens of so many bytes; a hair of a token is rounding error, not a token. */
export function byteTokens(bytes: number, perToken: number): number {
  return Math.ceil(bytes / perToken - 1e-9)
}

/** The prompt in the order in which it is cached, each part with its tokens. */
export function promptParts(
  body: JsonObject,
  perToken: number,
  imageCapTokens: number,
): readonly PromptPart[] {
  const parts: PromptPart[] = []
  for (const tool of asList(body.tools)) {
    const block = asObject(tool) ?? {}
    const tokens = TOOL_TOKENS + textTokens(withoutMarks(block), perToken)
    parts.push({ section: 'tools', role: '', block, tokens })
  }
  for (const block of asBlocks(body.system)) {
    if (parts.at(-1)?.section !== 'system' && ATTRIBUTION.test(asText(block.text) ?? '')) continue
    const tokens = blockTokens(block, perToken, imageCapTokens)
    parts.push({ section: 'system', role: '', block, tokens })
  }
  for (const item of asList(body.messages)) {
    const message = asObject(item) ?? {}
    const role = asText(message.role) ?? ''
    let extra = MESSAGE_TOKENS
    for (const block of asBlocks(message.content)) {
      const tokens = extra + blockTokens(block, perToken, imageCapTokens)
      parts.push({ section: 'messages', role, block, tokens })
      extra = 0
    }
  }
  return parts
}

/** All tokens of a prompt. */
export function promptTokens(parts: readonly PromptPart[]): number {
  let sum = BASE_TOKENS
  for (const part of parts) sum += part.tokens
  return sum
}

/** A block's JSON without any `cache_control`: markers change neither the count nor the prefix. */
export function withoutMarks(block: JsonObject): string {
  return JSON.stringify(block, (name, value) => (name === 'cache_control' ? undefined : value))
}

function blockTokens(block: JsonObject, perToken: number, imageCapTokens: number): number {
  switch (block.type) {
    case 'text':
      return textTokens(asText(block.text) ?? '', perToken)
    case 'image':
      return imageTokens(asObject(block.source), imageCapTokens)
    case 'document':
      return documentTokens(asObject(block.source), perToken, imageCapTokens)
    case 'tool_result': {
      let sum = 4
      for (const inner of asBlocks(block.content)) {
        sum += blockTokens(inner, perToken, imageCapTokens)
      }
      return sum
    }
    case 'tool_use':
      return 8 + textTokens(`${block.name}${JSON.stringify(block.input ?? {})}`, perToken)
    case 'thinking':
      return thinkingTokens(block, perToken)
    default:
      return textTokens(withoutMarks(block), perToken)
  }
}

/** Earlier thinking counts what it was, not what is shown of it: the signature knows. */
function thinkingTokens(block: JsonObject, perToken: number): number {
  const signed = readSignature(asText(block.signature) ?? '')
  return signed ? signed.tokens : textTokens(asText(block.thinking) ?? '', perToken)
}

/** What the sandbox writes into `signature`: who made the block and how long it was. */
export interface ThinkingSignature {
  readonly organizationId: string
  readonly model: string
  readonly tokens: number
}

/** An opaque text that `readSignature` understands. */
export function writeSignature(signature: ThinkingSignature): string {
  const { organizationId, model, tokens } = signature
  return Buffer.from(`sandbox ${organizationId} ${model} ${tokens}`).toString('base64')
}

/** Null when the sandbox did not write it. */
export function readSignature(text: string): ThinkingSignature | null {
  const match = /^sandbox (\S+) (\S+) (\d+)$/.exec(Buffer.from(text, 'base64').toString())
  return match ? { organizationId: match[1], model: match[2], tokens: Number(match[3]) } : null
}

function documentTokens(
  source: JsonObject | null,
  perToken: number,
  imageCapTokens: number,
): number {
  if (source?.type === 'text') return textTokens(asText(source.data) ?? '', perToken)
  if (source?.type === 'content') {
    let sum = 0
    for (const inner of asBlocks(source.content)) {
      sum += blockTokens(inner, perToken, imageCapTokens)
    }
    return sum
  }
  if (source?.type !== 'base64') return PDF_PAGE_TOKENS
  const bytes = ((asText(source.data) ?? '').length * 3) / 4
  return PDF_PAGE_TOKENS * Math.max(1, Math.ceil(bytes / PDF_PAGE_BYTES))
}

function imageTokens(source: JsonObject | null, capTokens: number): number {
  const size = source?.type === 'base64' ? imageSize(asText(source.data) ?? '') : null
  if (!size) return Math.min(capTokens, UNSEEN_IMAGE_TOKENS)
  return Math.min(capTokens, Math.ceil(size.width / 28) * Math.ceil(size.height / 28))
}

/** Width and height in pixels from the head of a base64 PNG, JPEG, GIF or WEBP; null: not found. */
export function imageSize(base64: string): { width: number; height: number } | null {
  // JPEG may have long metadata before its frame header; the others say it in the first bytes.
  const bytes = Buffer.from(base64.slice(0, 350_000), 'base64')
  if (bytes.length < 26) return null
  if (bytes.readUInt32BE(0) === 0x89504e47) {
    return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) }
  }
  if (bytes.toString('latin1', 0, 4) === 'GIF8') {
    return { width: bytes.readUInt16LE(6), height: bytes.readUInt16LE(8) }
  }
  if (bytes.toString('latin1', 8, 15) === 'WEBPVP8' && bytes.length >= 30) return webpSize(bytes)
  return bytes.readUInt16BE(0) === 0xffd8 ? jpegSize(bytes) : null
}

function webpSize(bytes: Buffer): { width: number; height: number } | null {
  const kind = bytes.toString('latin1', 12, 16)
  if (kind === 'VP8X')
    return { width: bytes.readUIntLE(24, 3) + 1, height: bytes.readUIntLE(27, 3) + 1 }
  if (kind === 'VP8 ') {
    return { width: bytes.readUInt16LE(26) & 0x3fff, height: bytes.readUInt16LE(28) & 0x3fff }
  }
  const bits = bytes.readUInt32LE(21)
  return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 }
}

function jpegSize(bytes: Buffer): { width: number; height: number } | null {
  let at = 2
  while (at + 9 < bytes.length) {
    if (bytes[at] !== 0xff) return null
    const marker = bytes[at + 1]
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)
    if (isFrame) return { width: bytes.readUInt16BE(at + 7), height: bytes.readUInt16BE(at + 5) }
    at += 2 + bytes.readUInt16BE(at + 2)
  }
  return null
}
