import type { FieldRules } from '../openai/field-rules.ts'
import { ignored, ignoredMembers, mapped, oneOf, refused } from '../openai/field-rules.ts'
import type { JsonObject } from '../openai/json.ts'
import { isObject } from '../openai/json.ts'

/** Every member of OpenAI's request that is known, in the order of the documentation; others are ignored. */
export const CHAT_FIELDS: FieldRules = {
  model: mapped('`model`; aliases apply, a leading `anthropic/` is dropped. Required.'),
  messages: mapped('`system` and `messages`. Required, not empty.'),
  max_completion_tokens: mapped(
    '`max_tokens`; at least 1; more than the model has is lowered, with a warning. Without it the smaller of 32,000 and what the model has.',
  ),
  max_tokens: mapped('As `max_completion_tokens`, which wins.'),
  temperature: mapped(
    '`temperature`, at most 1, with a warning. Ignored where the model accepts none, or thinks. 0 to 2.',
  ),
  top_p: mapped('`top_p`; ignored beside `temperature`, and where that is.'),
  top_k: mapped('`top_k` (Anthropic); ignored where the model accepts no sampling, or thinks.'),
  stop: mapped('`stop_sequences`; blank entries are dropped, with a warning.'),
  stream: mapped('Streams. Upstream always streams.'),
  stream_options: mapped(
    '`include_usage`; `include_obfuscation` is ignored: chunks are never padded.',
  ),
  n: mapped('Only 1; anything else is refused.'),
  tools: mapped(
    '`tools`: functions, custom tools, and tools in Anthropic’s own shape. Names that upstream refuses are mapped there and back.',
  ),
  tool_choice: mapped(
    '`tool_choice`. A forced call becomes `auto`, with a warning, where the model cannot be forced. `allowed_tools` is not enforced.',
  ),
  parallel_tool_calls: mapped('`tool_choice.disable_parallel_tool_use`.'),
  functions: mapped(
    'As `tools`, beside which they are ignored; the answer then has `function_call`.',
  ),
  function_call: mapped('As `tool_choice`, one call at most.'),
  response_format: mapped(
    '`output_config.format`. Where the model has no structured outputs or the schema is open or refers to itself, and for `json_object`, an instruction in `system`, with a warning.',
  ),
  reasoning_effort: mapped(
    '`thinking` and `output_config.effort`, or a thinking budget ([below](#reasoning)).',
  ),
  reasoning: mapped('`effort`, `max_tokens`, `enabled`, `exclude` (OpenRouter).'),
  thinking: mapped(
    '`thinking` (Anthropic), verbatim; wins over `reasoning_effort` and `reasoning`.',
  ),
  user: mapped('`metadata.user_id`, hashed.'),
  safety_identifier: mapped('As `user`, and wins over it.'),
  service_tier: mapped(
    '`default` is `standard_only`, `auto` is left to upstream; others are ignored. The operator may have `priority` and `fast` ask for fast mode.',
  ),
  speed: mapped('`speed` (Anthropic).'),
  cache_control: mapped(
    '`cache_control` (Anthropic), at the top, on messages, on parts and on tools.',
  ),
  prompt_cache_key: mapped('Switches automatic caching on; never sent upstream.'),
  prompt_cache_options: mapped('`mode: explicit` switches automatic caching off.'),
  prompt_cache_retention: mapped('`24h`: automatic caching lives an hour, else five minutes.'),
  web_search_options: mapped('Anthropic’s web search, where the operator allows it; else refused.'),
  modalities: mapped('Only `text`; `audio` is refused.'),
  audio: refused('Answers have no sound.'),
  metadata: ignored('Comes back in the answer.', oneOf()),
  store: ignored('Nothing is stored.', oneOf(false)),
  seed: ignored('Claude has none.'),
  logit_bias: ignored('Claude has none.', oneOf()),
  logprobs: ignored('Answers have `logprobs: null`.', oneOf(false)),
  top_logprobs: ignored('Answers have `logprobs: null`.', oneOf(0)),
  frequency_penalty: ignored('Claude has none.', oneOf(0)),
  presence_penalty: ignored('Claude has none.', oneOf(0)),
  prediction: ignored('Claude has none.'),
  verbosity: ignored('Claude has none.', oneOf('medium')),
  moderation: ignored('Claude has none.'),
}

/** The members of a body that have no effect, as far as a header can tell them. */
export function ignoredFields(body: JsonObject): string[] {
  const names = ignoredMembers(CHAT_FIELDS, body)
  const { stream_options: options, messages } = body
  if (isObject(options) && (options.include_obfuscation ?? false) !== false)
    names.push('stream_options.include_obfuscation')
  if (Array.isArray(messages) && messages.some(isNamed)) names.push('messages.name')
  // The older names of tools have no effect beside them.
  if (hasAny(body.tools) && hasAny(body.functions)) names.push('functions')
  names.push(...beatenByThinking(body))
  return names
}

function hasAny(list: unknown): boolean {
  return Array.isArray(list) && list.length > 0
}

/** Whether a message names who speaks. A result's name only repeats that of its call. */
function isNamed(message: unknown): boolean {
  if (!isObject(message) || message.role === 'tool' || message.role === 'function') return false
  return typeof message.name === 'string' && message.name !== ''
}

/** What Anthropic's own `thinking` leaves no room for: another wish about reasoning, but for an effort beside it. */
function beatenByThinking({ thinking, reasoning, reasoning_effort: effort }: JsonObject): string[] {
  if (!isObject(thinking)) return []
  const nested = isObject(reasoning) ? reasoning : {}
  const isSent = (value: unknown) => value !== 'none' && thinking.type !== 'enabled'
  const names: string[] = []
  if ((effort ?? null) !== null && !isSent(effort)) names.push('reasoning_effort')
  if ((nested.effort ?? null) !== null && !isSent(nested.effort)) names.push('reasoning.effort')
  if ((nested.max_tokens ?? null) !== null) names.push('reasoning.max_tokens')
  return names
}
