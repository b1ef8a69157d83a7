import type { FieldRules } from '../openai/field-rules.ts'
import { ignored, ignoredMembers, mapped, oneOf, refused } from '../openai/field-rules.ts'
import type { JsonObject } from '../openai/json.ts'
import { isObject } from '../openai/json.ts'
import { refuse } from '../openai/refusal.ts'

/** Every member of OpenAI's request that is known, in the order of the documentation; others are ignored. */
export const RESPONSES_FIELDS: FieldRules = {
  model: mapped('`model`; aliases apply, a leading `anthropic/` is dropped. Required.'),
  input: mapped('`system` and `messages`: a text, or items (below). Required, not empty.'),
  instructions: mapped('The first block of `system`.'),
  max_output_tokens: mapped(
    '`max_tokens`; at least 1; more than the model has is lowered, with a warning. Without it the smaller of 32,000 and what the model has.',
  ),
  temperature: mapped(
    '`temperature`, at most 1, with a warning. Ignored where the model accepts none, or thinks; the answer repeats what was sent. 0 to 2.',
  ),
  top_p: mapped('`top_p`; ignored beside `temperature`, and where that is.'),
  top_k: mapped('`top_k` (Anthropic); ignored where the model accepts no sampling, or thinks.'),
  stream: mapped('Streams. Upstream always streams.'),
  tools: mapped('`tools` (below).'),
  tool_choice: mapped(
    '`tool_choice`. A forced call becomes `auto`, with a warning, where the model cannot be forced. `allowed_tools` is not enforced. Hosted tools cannot be forced: `auto`, with a warning.',
  ),
  parallel_tool_calls: mapped('`tool_choice.disable_parallel_tool_use`.'),
  reasoning: mapped(
    '`effort`: `thinking` and `output_config.effort`, or a thinking budget. `summary`, `generate_summary`: thinking is shown. `context` and `mode` are ignored.',
  ),
  text: mapped(
    '`format`: `output_config.format`. Where the model has no structured outputs or the schema is open or refers to itself, and for `json_object`, an instruction in `system`, with a warning. `verbosity` is ignored.',
  ),
  include: mapped('Encrypted reasoning always comes; other entries are ignored.'),
  store: ignored('Nothing is stored; answers say `false`.', oneOf(false)),
  user: mapped('`metadata.user_id`, hashed.'),
  safety_identifier: mapped('As `user`, and wins over it.'),
  service_tier: mapped(
    '`default` is `standard_only`, `auto` is left to upstream; others are ignored. The operator may have `priority` and `fast` ask for fast mode.',
  ),
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
  metadata: ignored('Comes back in the answer.', oneOf()),
  max_tool_calls: ignored('Comes back in the answer.'),
  truncation: ignored('Nothing is cut; a prompt that is too long is an error.', oneOf('disabled')),
  top_logprobs: ignored('Claude has none.', oneOf(0)),
  stream_options: ignored('Events are never padded.', isUnpadded),
  client_metadata: ignored('Only for the client.', oneOf()),
  access_programs: ignored('Claude has none.', oneOf()),
  image: ignored('Claude makes no images.'),
  moderation: ignored('Claude has none.'),
}

/** Fields that are refused, and what to do instead. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  conversation:
    "Conversations are not stored: send the whole conversation in 'input', with 'store': false.",
  prompt: "Prompts are not stored: send the text itself in 'instructions' or 'input'.",
  context_management:
    "The conversation goes to the model as it is: shorten 'input' yourself when it grows too long.",
}

/** The fields of a body that have no effect, as far as a header can tell them. */
export function ignoredFields(body: JsonObject): readonly string[] {
  const names = ignoredMembers(RESPONSES_FIELDS, body)
  const { text, reasoning, include } = body
  if (isObject(text) && !isUsual(text.verbosity)) names.push('text.verbosity')
  if (isObject(reasoning))
    for (const name of ['context', 'mode'])
      if ((reasoning[name] ?? null) !== null) names.push(`reasoning.${name}`)
  if (Array.isArray(include) && include.some((entry) => entry !== 'reasoning.encrypted_content'))
    names.push('include')
  return names
}

function isUsual(verbosity: unknown): boolean {
  return verbosity === undefined || verbosity === null || verbosity === 'medium'
}

function isUnpadded(options: unknown): boolean {
  return isObject(options) && (options.include_obfuscation ?? false) === false
}

/** Refuses what needs stored responses or work in the background. */
export function refuseUnsupported(body: JsonObject): void {
  const { previous_response_id: previous, background } = body
  if (previous !== undefined && previous !== null) {
    const id = typeof previous === 'string' ? previous.slice(0, 100) : 'of another type'
    refuse(
      'previous_response_not_found',
      'previous_response_id',
      `Previous response with id '${id}' not found. Responses are not stored here: send the whole conversation in 'input', with 'store': false.`,
    )
  }
  for (const [name, instead] of Object.entries(UNSUPPORTED)) {
    if (body[name] !== undefined && body[name] !== null) refuseParameter(name, instead)
  }
  if (background !== undefined && background !== null && background !== false)
    refuseParameter('background', "Answers come while you wait: use 'stream' for long ones.")
}

function refuseParameter(name: string, instead: string): never {
  refuse(
    'unsupported_parameter',
    name,
    `Unsupported parameter: '${name}' is not supported here. ${instead}`,
  )
}
