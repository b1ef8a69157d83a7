import type { FieldRules } from '../openai/field-rules.ts'
import { ignored, ignoredMembers, mapped, refused } from '../openai/field-rules.ts'
import { isObject } from '../openai/json.ts'

/** Every member of OpenAI's request that is known, in the order of the documentation; others are ignored. */
export const CHAT_FIELDS: FieldRules = {
  model: mapped('`model`; aliases apply, a leading `anthropic/` is dropped. Required.'),
  messages: mapped('`system` and `messages`. Required, not empty.'),
  max_completion_tokens: mapped(
    '`max_tokens`; more than the model has is lowered. Without it the smaller of 32,000 and what the model has.',
  ),
  max_tokens: mapped('As `max_completion_tokens`, which wins.'),
  temperature: mapped(
    '`temperature`, at most 1. Left out where the model accepts none, or thinks. 0 to 2.',
  ),
  top_p: mapped('`top_p`, where `temperature` is not sent.'),
  top_k: mapped('`top_k` (Anthropic), where the model accepts sampling.'),
  stop: mapped('`stop_sequences`; blank entries are dropped.'),
  stream: mapped('Streams. Upstream always streams.'),
  stream_options: mapped('`include_usage`; `include_obfuscation` has no effect.'),
  n: mapped('Only 1; anything else is refused.'),
  tools: mapped(
    '`tools`: functions, custom tools, and tools in Anthropic’s own shape. Names that upstream refuses are mapped there and back.',
  ),
  tool_choice: mapped(
    '`tool_choice`. A forced call becomes `auto`, with a warning, where the model cannot be forced. `allowed_tools` is not enforced.',
  ),
  parallel_tool_calls: mapped('`tool_choice.disable_parallel_tool_use`.'),
  functions: mapped('As `tools`; the answer then has `function_call`.'),
  function_call: mapped('As `tool_choice`, one call at most.'),
  response_format: mapped(
    '`output_config.format`; where the model has no structured outputs, and for `json_object`, an instruction in `system`.',
  ),
  reasoning_effort: mapped('`thinking` and `output_config.effort`, or a thinking budget.'),
  reasoning: mapped('`effort`, `max_tokens`, `enabled`, `exclude` (OpenRouter).'),
  thinking: mapped('`thinking` (Anthropic), verbatim; wins over `reasoning_effort`.'),
  user: mapped('`metadata.user_id`, hashed.'),
  safety_identifier: mapped('As `user`, and wins over it.'),
  service_tier: mapped('`default` is `standard_only`; others are left to upstream.'),
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
  metadata: ignored('Comes back in the answer.'),
  store: ignored('Nothing is stored.'),
  seed: ignored('Claude has none.'),
  logit_bias: ignored('Claude has none.'),
  logprobs: ignored('Answers have `logprobs: null`.'),
  top_logprobs: ignored('Answers have `logprobs: null`.'),
  frequency_penalty: ignored('Claude has none.'),
  presence_penalty: ignored('Claude has none.'),
  prediction: ignored('Claude has none.'),
  verbosity: ignored('Claude has none.'),
  moderation: ignored('Claude has none.'),
}

/** The members of a body that have no effect, as far as a header can tell them. */
export function ignoredFields(body: { readonly [name: string]: unknown }): string[] {
  const names = ignoredMembers(CHAT_FIELDS, body)
  const options = body.stream_options
  if (isObject(options) && (options.include_obfuscation ?? null) !== null)
    names.push('stream_options.include_obfuscation')
  return names
}
