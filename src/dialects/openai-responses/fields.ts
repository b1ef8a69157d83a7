import type { FieldRules } from '../openai/field-rules.ts'
import { ignored, ignoredMembers, mapped, refused } from '../openai/field-rules.ts'
import type { JsonObject } from '../openai/json.ts'
import { refuse } from '../openai/refusal.ts'

/** Every member of OpenAI's request that is known, in the order of the documentation; others are ignored. */
export const RESPONSES_FIELDS: FieldRules = {
  model: mapped('`model`; aliases apply, a leading `anthropic/` is dropped. Required.'),
  input: mapped('`system` and `messages`: a text, or items (below). Required, not empty.'),
  instructions: mapped('The first block of `system`.'),
  max_output_tokens: mapped(
    '`max_tokens`; more than the model has is lowered. Without it the smaller of 32,000 and what the model has.',
  ),
  temperature: mapped(
    '`temperature`, at most 1. Left out where the model accepts none, or thinks. 0 to 2.',
  ),
  top_p: mapped('`top_p`, where `temperature` is not sent.'),
  top_k: mapped('`top_k` (Anthropic), where the model accepts sampling.'),
  stream: mapped('Streams. Upstream always streams.'),
  tools: mapped('`tools` (below).'),
  tool_choice: mapped(
    '`tool_choice`. A forced call becomes `auto`, with a warning, where the model cannot be forced. `allowed_tools` is not enforced. Hosted tools cannot be forced: `auto`.',
  ),
  parallel_tool_calls: mapped('`tool_choice.disable_parallel_tool_use`.'),
  reasoning: mapped(
    '`effort`: `thinking` and `output_config.effort`, or a thinking budget. `summary`, `generate_summary`: thinking is shown. `context` and `mode` have no effect.',
  ),
  text: mapped(
    '`format`: `output_config.format`; where the model has no structured outputs, and for `json_object`, an instruction in `system`. `verbosity` has no effect.',
  ),
  include: mapped('Encrypted reasoning always comes; other entries have no effect.'),
  store: mapped('Taken, but nothing is stored; answers say `false`.'),
  user: mapped('`metadata.user_id`, hashed.'),
  safety_identifier: mapped('As `user`, and wins over it.'),
  service_tier: mapped('`default` is `standard_only`; others are left to upstream.'),
  speed: mapped('`speed` (Anthropic).'),
  cache_control: mapped(
    '`cache_control` (Anthropic), at the top, on items, on parts and on tools.',
  ),
  prompt_cache_key: mapped('Switches automatic caching on; never sent upstream.'),
  prompt_cache_options: mapped('`mode: explicit` switches automatic caching off.'),
  prompt_cache_retention: mapped('`24h`: automatic caching lives an hour, else five minutes.'),
  previous_response_id: refused('Nothing is stored. Send the whole conversation in `input`.'),
  conversation: refused('Nothing is stored.'),
  prompt: refused('Nothing is stored.'),
  context_management: refused('The whole conversation goes upstream as it is.'),
  background: refused('`true` is refused: answers come while the client waits.'),
  metadata: ignored('Comes back in the answer.'),
  max_tool_calls: ignored('Comes back in the answer.'),
  truncation: ignored('Nothing is cut; a prompt that is too long is an error.'),
  top_logprobs: ignored('Claude has none.'),
  stream_options: ignored('Events are never padded.'),
  client_metadata: ignored('Only for the client.'),
  access_programs: ignored('Claude has none.'),
  image: ignored('Claude makes no images.'),
  moderation: ignored('Claude has none.'),
}

/** Fields that only make sense where responses are stored. */
const UNSUPPORTED = ['conversation', 'prompt', 'context_management'] as const

/** The fields of a body that have no effect, as far as a header can tell them. */
export function ignoredFields(body: JsonObject): readonly string[] {
  return ignoredMembers(RESPONSES_FIELDS, body)
}

/** Refuses what needs stored responses or work in the background. */
export function refuseUnsupported(body: JsonObject): void {
  const { previous_response_id: previous, background } = body
  if (previous !== undefined && previous !== null) {
    const id = typeof previous === 'string' ? previous.slice(0, 100) : 'of another type'
    refuse(
      'previous_response_not_found',
      'previous_response_id',
      `Previous response with id '${id}' not found.`,
    )
  }
  for (const name of UNSUPPORTED) {
    if (body[name] !== undefined && body[name] !== null) refuseParameter(name)
  }
  if (background !== undefined && background !== null && background !== false)
    refuseParameter('background')
}

function refuseParameter(name: string): never {
  refuse(
    'unsupported_parameter',
    name,
    `Unsupported parameter: '${name}' is not supported here. Responses are not stored.`,
  )
}
