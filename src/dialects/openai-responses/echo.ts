import type { JsonObject } from '../openai/json.ts'
import { isObject } from '../openai/json.ts'
import type { Sampling } from '../openai/params.ts'

/** The members of a response that repeat its request, as JSON without braces; of sampling what went up. */
export function echoOf(body: JsonObject, sampling: Sampling['fields']): string {
  const echo = {
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: body.max_tool_calls ?? null,
    metadata: isObject(body.metadata) ? body.metadata : {},
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: null,
    prompt_cache_key: body.prompt_cache_key ?? null,
    reasoning: isObject(body.reasoning) ? body.reasoning : { effort: null, summary: null },
    safety_identifier: body.safety_identifier ?? null,
    store: false,
    temperature: sampling.temperature ?? null,
    text: { format: { type: 'text' }, ...withoutNulls(body.text) },
    tool_choice: body.tool_choice ?? 'auto',
    tools: Array.isArray(body.tools) ? body.tools : [],
    top_logprobs: 0,
    top_p: sampling.top_p ?? null,
    truncation: 'disabled',
    user: body.user ?? null,
  }
  return JSON.stringify(echo).slice(1, -1)
}

function withoutNulls(value: unknown): JsonObject {
  if (!isObject(value)) return {}
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null))
}
