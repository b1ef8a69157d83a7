import { type ApiError, badRequest, plainError, SPECIAL_ERRORS } from './errors.ts'
import { asBlocks, asList, asObject, asText, type JsonObject } from './json.ts'
import { findModel, type SandboxModel, type ThinkingType } from './models.ts'
import { readSignature } from './tokens.ts'

export const API_VERSIONS = ['2023-06-01', '2026-10-21'] as const

/** Fields that every request may have; those of a beta name it. */
const FIELDS: { readonly [name: string]: readonly string[] } = {
  model: [],
  messages: [],
  max_tokens: [],
  system: [],
  cache_control: [],
  container: [],
  diagnostics: [],
  inference_geo: [],
  metadata: [],
  output_config: [],
  output_format: [],
  service_tier: [],
  speed: [],
  stop_sequences: [],
  stream: [],
  temperature: [],
  top_p: [],
  top_k: [],
  thinking: [],
  tool_choice: [],
  tools: [],
  thread: ['message-threads-'],
  context_management: ['context-management-', 'compact-'],
  compaction: ['compact-'],
  fallbacks: ['server-side-fallback-'],
  fallback_credit_token: ['fallback-credit-'],
  mcp_servers: ['mcp-client-'],
  billing_policy: ['user-profiles-billing-'],
}

const NOT_FOR_COUNTING = ['max_tokens', 'stream', 'thread']

/** What a body is checked against. */
export interface ValidateContext {
  readonly version: string
  readonly betas: readonly string[]
  /** True for count_tokens. */
  readonly isCount: boolean
  readonly acceptsUnknownFields: boolean
  /** Models on offer to this account; null: all. */
  readonly models: readonly string[] | null
  readonly dataRetention: boolean
}

export type Validation =
  | { readonly kind: 'valid'; readonly model: SandboxModel }
  | { readonly kind: 'refused'; readonly error: ApiError }

/** Checks a body as upstream would, the first fault found in upstream's words. */
export function validate(body: JsonObject, context: ValidateContext): Validation {
  const shape = checkFields(body, context) ?? checkMessages(body, context)
  if (shape) return { kind: 'refused', error: shape }
  const name = asText(body.model) ?? ''
  const model = findModel(name)
  if (!model || (context.models && !context.models.includes(model.id))) {
    return { kind: 'refused', error: plainError(404, `model: ${name}`) }
  }
  const misfit = checkModel(body, model, context) ?? checkThinking(body, model, context.isCount)
  return misfit ? { kind: 'refused', error: misfit } : { kind: 'valid', model }
}

function checkFields(body: JsonObject, context: ValidateContext): ApiError | null {
  for (const name of context.isCount
    ? ['model', 'messages']
    : ['model', 'max_tokens', 'messages']) {
    if (body[name] === undefined) return badRequest(`${name}: Field required`)
  }
  for (const name of Object.keys(body)) {
    const betas = Object.hasOwn(FIELDS, name) ? FIELDS[name] : null
    const unknown = betas === null && !context.acceptsUnknownFields
    const early =
      betas !== null &&
      betas.length > 0 &&
      !betas.some((prefix) => context.betas.some((beta) => beta.startsWith(prefix)))
    const misplaced = context.isCount && NOT_FOR_COUNTING.includes(name)
    if (unknown || early || misplaced) return badRequest(`${name}: Extra inputs are not permitted`)
  }
  if (typeof body.model !== 'string') return badRequest('model: Input should be a valid string')
  if (body.stream !== undefined && typeof body.stream !== 'boolean') {
    return badRequest('stream: Input should be a valid boolean')
  }
  if (!context.isCount && !Number.isInteger(body.max_tokens)) {
    return badRequest('max_tokens: Input should be a valid integer')
  }
  if (body.tools !== undefined && !Array.isArray(body.tools)) {
    return badRequest('tools: Input should be a valid list')
  }
  return null
}

function checkMessages(body: JsonObject, context: ValidateContext): ApiError | null {
  if (!Array.isArray(body.messages)) return badRequest('messages: Input should be a valid list')
  if (body.messages.length === 0) return badRequest('messages: at least one message is required')
  if (body.messages.length > 100_000) return badRequest('messages: at most 100000 are allowed')
  for (const [index, item] of body.messages.entries()) {
    const where = `messages.${index}`
    const message = asObject(item)
    if (!message) return badRequest(`${where}: Input should be an object`)
    if (!['user', 'assistant', 'system'].includes(asText(message.role) ?? '')) {
      return badRequest(`${where}.role: Input should be 'user', 'assistant' or 'system'`)
    }
    const { content } = message
    if (content === undefined) return badRequest(`${where}.content: Field required`)
    if (typeof content !== 'string' && !Array.isArray(content)) {
      return badRequest(`${where}.content: Input should be a valid string or list`)
    }
    const misfit = checkBlocks(message, where, context.version)
    if (misfit) return misfit
  }
  return null
}

function checkBlocks(message: JsonObject, where: string, version: string): ApiError | null {
  const isNew = version === '2026-10-21'
  for (const [index, block] of asBlocks(message.content).entries()) {
    const place = `${where}.content.${index}`
    if (typeof block.type !== 'string') return badRequest(`${place}.type: Field required`)
    if (block.type === 'text' && typeof block.text !== 'string') {
      return badRequest(`${place}.text: Field required`)
    }
    if (block.type === 'text' && block.text === '' && message.role === 'user') {
      return badRequest('messages: text content blocks must be non-empty')
    }
    if (block.type === 'thinking' && !readSignature(asText(block.signature) ?? '')) {
      return badRequest(`${place}: Invalid \`signature\` in \`thinking\` block`)
    }
    if (isNew && block.type === 'document' && message.role === 'assistant') {
      return badRequest(`${place}: document blocks are not allowed in assistant messages`)
    }
    const cites = block.type === 'text' && asList(block.citations).length > 0
    if (isNew && cites && message.role === 'user') {
      return badRequest(`${place}.citations: citations are not allowed in user messages`)
    }
  }
  return null
}

function checkModel(
  body: JsonObject,
  model: SandboxModel,
  context: ValidateContext,
): ApiError | null {
  const maxTokens = typeof body.max_tokens === 'number' ? body.max_tokens : 0
  if (maxTokens < 0) {
    return badRequest('max_tokens: Input should be greater than or equal to 0')
  }
  if (maxTokens > model.maxOutputTokens) {
    return badRequest(
      `max_tokens: ${maxTokens} > ${model.maxOutputTokens}, which is the maximum allowed ` +
        `number of output tokens for ${model.id}`,
    )
  }
  if (maxTokens === 0 && !context.isCount) {
    const thinks = asObject(body.thinking)?.type === 'enabled'
    if (body.stream === true || thinks || asObject(body.output_config)?.format !== undefined) {
      return badRequest('max_tokens: 0 cannot be combined with stream, thinking or a format')
    }
  }
  if (model.needsRetention && !context.dataRetention) {
    const message = SPECIAL_ERRORS.data_retention.message.replace('$model', model.id)
    return badRequest(message)
  }
  if (body.inference_geo !== undefined && !model.geo) {
    return badRequest(`inference_geo: not supported by ${model.id}`)
  }
  if (body.speed === 'fast') {
    const hasBeta = context.betas.includes('fast-mode-2026-02-01')
    if (model.fastMode === 'none' || (model.fastMode === 'beta' && !hasBeta)) {
      return badRequest(`speed: fast mode is not available for ${model.id}`)
    }
  }
  return checkSampling(body, model, context.version) ?? checkTools(body, model)
}

function checkSampling(body: JsonObject, model: SandboxModel, version: string): ApiError | null {
  for (const name of ['temperature', 'top_p', 'top_k']) {
    const value = body[name]
    if (value === undefined) continue
    if (typeof value !== 'number') return badRequest(`${name}: Input should be a valid number`)
    if (version === '2026-10-21') return badRequest(`${name}: Extra inputs are not permitted`)
    const isDefault = name !== 'top_k' && value === 1
    if (model.sampling === 'none' || (model.sampling === 'default_only' && !isDefault)) {
      return badRequest(`${name}: not supported by ${model.id}`)
    }
    if (name !== 'top_k' && (value < 0 || value > 1)) {
      return badRequest(`${name}: Input should be between 0 and 1`)
    }
  }
  const older = model.sampling === 'free' && !model.geo
  if (older && body.temperature !== undefined && body.top_p !== undefined) {
    return badRequest('`temperature` and `top_p` cannot both be specified for this model.')
  }
  return null
}

function checkTools(body: JsonObject, model: SandboxModel): ApiError | null {
  const type = asObject(body.tool_choice)?.type
  if ((type === 'any' || type === 'tool') && !model.forcedTools) {
    return badRequest(`tool_choice: \`${type}\` is not supported by ${model.id}`)
  }
  const names = asList(body.tools).map((tool) => asText(asObject(tool)?.name))
  if (type === 'tool' && !names.includes(asText(asObject(body.tool_choice)?.name))) {
    return badRequest(`Tool '${asObject(body.tool_choice)?.name}' not found in provided tools`)
  }
  for (const [index, item] of asList(body.tools).entries()) {
    const tool = asObject(item)
    const isCustom = tool?.type === undefined || tool.type === 'custom'
    if (!tool || (isCustom && typeof tool.name !== 'string')) {
      return badRequest(`tools.${index}.name: Field required`)
    }
    if (isCustom && !asObject(tool.input_schema)) {
      return badRequest(`tools.${index}.input_schema: Field required`)
    }
  }
  const last = asObject(asList(body.messages).at(-1))
  if (last?.role === 'assistant' && !model.prefill) {
    return badRequest(
      'This model does not support assistant message prefill. ' +
        'The conversation must end with a user message.',
    )
  }
  return null
}

function checkThinking(body: JsonObject, model: SandboxModel, isCount: boolean): ApiError | null {
  if (body.thinking === undefined) return null
  const thinking = asObject(body.thinking)
  const type = asText(thinking?.type) as ThinkingType | null // compared with the known ones next
  if (!thinking || !type) return badRequest('thinking: Input should be an object with a type')
  if (!model.thinkingTypes.includes(type)) {
    return badRequest(`thinking.type: \`${type}\` is not supported by ${model.id}`)
  }
  if (type !== 'enabled') return null
  const budget = thinking.budget_tokens
  if (typeof budget !== 'number' || budget < 1024) {
    return badRequest('thinking.enabled.budget_tokens: Input should be at least 1024')
  }
  if (!isCount && typeof body.max_tokens === 'number' && budget >= body.max_tokens) {
    return badRequest('`max_tokens` must be greater than `thinking.budget_tokens`')
  }
  return null
}
