import { gunzipSync } from 'node:zlib'
import { type Asked, betasOf, headerText } from './asked.ts'
import { type ApiError, badRequest, plainError } from './errors.ts'
import { asBlocks, asList, asObject, asText, type JsonObject } from './json.ts'
import type { SandboxModel } from './models.ts'
import { bytesPerToken, type PromptPart, promptParts, readSignature } from './tokens.ts'
import { API_VERSIONS, validate } from './validate.ts'
import type { World } from './world.ts'

/** A request that upstream accepts. */
export interface Prompt {
  readonly model: SandboxModel
  readonly betas: readonly string[]
  /** Without thinking that another organisation made. */
  readonly body: JsonObject
  /** What was left out, when the request asked to be told; else null. */
  readonly dropped: readonly JsonObject[] | null
}

export type PromptResult =
  | { readonly kind: 'accepted'; readonly prompt: Prompt }
  | { readonly kind: 'refused'; readonly error: ApiError }

export type BodyResult =
  | { readonly kind: 'json'; readonly body: JsonObject }
  | { readonly kind: 'refused'; readonly error: ApiError }

const MAX_DECODED_BYTES = 32 * 1024 * 1024

/** The JSON object in the bytes of a request, unpacked when they are compressed. */
export function readBody(asked: Asked): BodyResult {
  const encoding = headerText(asked, 'content-encoding')
  let bytes = asked.body
  if (encoding !== null && encoding !== 'identity') {
    if (encoding !== 'gzip') {
      const message = `content-encoding: ${encoding} is not supported`
      return refused(badRequest(message, 'request_body_encoding_unsupported'))
    }
    try {
      bytes = gunzipSync(bytes, { maxOutputLength: MAX_DECODED_BYTES })
    } catch {
      return refused(badRequest('The body is not valid gzip.', 'request_body_encoding_invalid'))
    }
  }
  try {
    const body = asObject(JSON.parse(bytes.toString()))
    return body ? { kind: 'json', body } : refused(badRequest('Input should be an object'))
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'unreadable'
    return refused(badRequest(`The request body is not valid JSON: ${reason}`))
  }
}

/** Checks headers and body of a request; `isCount` for count_tokens. */
export function readPrompt(
  world: World,
  asked: Asked,
  body: JsonObject,
  { isCount }: { readonly isCount: boolean },
): PromptResult {
  const version = headerText(asked, 'anthropic-version')
  if (version === null) return refused(badRequest('anthropic-version: header is required'))
  if (!(API_VERSIONS as readonly string[]).includes(version)) {
    return refused(badRequest(`anthropic-version: "${version}" is not a valid version`))
  }
  const { account } = asked
  const workspace = headerText(asked, 'anthropic-workspace-id')
  if (workspace !== null && workspace !== account.workspaceId) {
    return refused(plainError(403, "anthropic-workspace-id does not match the key's workspace"))
  }
  const betas = betasOf(asked)
  const checked = validate(body, {
    version,
    betas,
    isCount,
    acceptsUnknownFields: world.acceptsUnknownFields,
    models: account.models,
    dataRetention: account.dataRetention,
  })
  if (checked.kind === 'refused') return checked
  const { model } = checked
  const kept = model.bindsThinking
    ? dropForeignThinking(body, account.organizationId)
    : { body, dropped: [] }
  world.counters.droppedThinking += kept.dropped.length
  const tells = betas.includes('thinking-binding-controls-2026-08-01')
  const dropped = tells ? kept.dropped : null
  return { kind: 'accepted', prompt: { model, betas, body: kept.body, dropped } }
}

/** The parts of a prompt with their tokens, and how many bytes made one. */
export function measure(
  world: World,
  body: JsonObject,
  model: SandboxModel,
): { readonly perToken: number; readonly parts: readonly PromptPart[] } {
  const perToken = bytesPerToken(world.tokenizer, body)
  return { perToken, parts: promptParts(body, perToken, model.imageCapTokens) }
}

/** Thinking is bound to its organisation: elsewhere it silently disappears. */
function dropForeignThinking(
  body: JsonObject,
  organizationId: string,
): { readonly body: JsonObject; readonly dropped: readonly JsonObject[] } {
  const dropped: JsonObject[] = []
  const isForeign = (block: JsonObject) =>
    block.type === 'thinking' &&
    readSignature(asText(block.signature) ?? '')?.organizationId !== organizationId
  const messages = asList(body.messages).map((item, at) => {
    const message = asObject(item)
    const blocks = asBlocks(message?.content)
    if (!blocks.some(isForeign)) return item
    const content = blocks.filter((block, index) => {
      if (!isForeign(block)) return true
      const path = `messages.${at}.content.${index}`
      dropped.push({ type: 'thinking_dropped', path, reason: 'organization_binding_mismatch' })
      return false
    })
    return { ...message, content }
  })
  return dropped.length === 0 ? { body, dropped } : { body: { ...body, messages }, dropped }
}

function refused(error: ApiError): { readonly kind: 'refused'; readonly error: ApiError } {
  return { kind: 'refused', error }
}
