import type { JsonObject } from '../openai/json.ts'
import { refuse } from '../openai/refusal.ts'

/** Fields that have an effect; every other one is ignored, and named in a header. */
const USED = new Set([
  'background',
  'cache_control',
  'conversation',
  'include',
  'input',
  'instructions',
  'max_output_tokens',
  'metadata',
  'model',
  'parallel_tool_calls',
  'previous_response_id',
  'prompt',
  'context_management',
  'prompt_cache_key',
  'prompt_cache_options',
  'prompt_cache_retention',
  'reasoning',
  'safety_identifier',
  'service_tier',
  'speed',
  'stream',
  'temperature',
  'text',
  'tool_choice',
  'tools',
  'top_k',
  'top_p',
  'user',
])

/** Fields that only make sense where responses are stored. */
const UNSUPPORTED = ['conversation', 'prompt', 'context_management'] as const

/** A field's name as a header can carry it; clients may send any. */
const PLAIN_NAME = /^[\w.-]{1,64}$/

/** The fields of a body that have no effect. What is null was not asked for. */
export function ignoredFields(body: JsonObject): readonly string[] {
  const ignored: string[] = []
  for (const [name, value] of Object.entries(body)) {
    if (USED.has(name) || value === null || !PLAIN_NAME.test(name)) continue
    // Asked not to store, and nothing is stored.
    if (name === 'store' && value === false) continue
    ignored.push(name)
  }
  return ignored
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
