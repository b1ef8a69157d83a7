/** Names that the scan of a body knows: it answers with these very strings instead of making new ones. */

/** Known members of the objects that we look into, then known values of their `type`, `role` and `ttl`. */
const NAMES = [
  ...['type', 'text', 'role', 'content', 'cache_control', 'ttl', 'id', 'name', 'input', 'source'],
  ...['data', 'media_type', 'file_id', 'url', 'signature', 'thinking', 'tool_use_id', 'is_error'],
  ...['model', 'messages', 'max_tokens', 'system', 'stream', 'tools', 'tool_choice', 'metadata'],
  ...['speed', 'inference_geo', 'service_tier', 'budget_tokens', 'thread', 'container', 'user_id'],
  ...['previous_message_id', 'diagnostics', 'fallback_credit_token', 'fallbacks', 'mcp_servers'],
  ...['output_config', 'effort', 'format', 'output_format', 'max_uses', 'caching', 'display'],
  ...['description', 'input_schema', 'strict', 'temperature', 'top_p', 'top_k', 'stop_sequences'],
  ...[
    'context_management',
    'edits',
    'keep',
    'citations',
    'title',
    'context',
    'encrypted_content',
    'encrypted_index',
  ],
  ...['caller', 'defer_loading', 'eager_input_streaming', 'allowed_callers', 'input_examples'],
  ...['disable_parallel_tool_use', 'authorization_token', 'tool_configuration', 'server_name'],
  ...[
    'betas',
    'task_budget',
    'page_age',
    'retrieved_at',
    'stdout',
    'stderr',
    'return_code',
    'error_code',
    'allowed_domains',
    'blocked_domains',
  ],
  ...['image', 'document', 'redacted_thinking', 'tool_use', 'tool_result', 'search_result'],
  ...['server_tool_use', 'container_upload', 'tool_addition', 'tool_removal', 'user', 'assistant'],
  ...['base64', 'file', 'ephemeral', '5m', '1h', 'default', 'custom', 'compaction'],
  ...['code_execution_output', 'bash_code_execution_output'],
] as const

/** How many words of 32 bits hold one bit per name. */
export const NAME_WORDS = (NAMES.length + 31) >> 5

const SLOTS = 512
const slots = new Uint8Array(SLOTS)
const ids = new Map<string, number>()

/** One step of the hash that `nameAt` expects. */
export function hashStep(hash: number, byte: number): number {
  return (Math.imul(hash, 31) + byte) | 0
}

function slotOf(hash: number): number {
  return (hash ^ (hash >>> 9)) & (SLOTS - 1)
}

NAMES.forEach((name, id) => {
  let hash = 0
  for (let k = 0; k < name.length; k++) hash = hashStep(hash, name.charCodeAt(k))
  let slot = slotOf(hash)
  while (slots[slot] !== 0) slot = (slot + 1) & (SLOTS - 1)
  slots[slot] = id + 1
  ids.set(name, id)
})

/** The number of the known name in `bytes[start, end)`, whose hash is `hash`; -1 when unknown. */
export function nameIdAt(bytes: Uint8Array, start: number, end: number, hash: number): number {
  for (let slot = slotOf(hash); slots[slot] !== 0; slot = (slot + 1) & (SLOTS - 1)) {
    const id = (slots[slot] as number) - 1
    const name = NAMES[id] as string
    if (name.length !== end - start) continue
    let k = 0
    while (k < name.length && name.charCodeAt(k) === bytes[start + k]) k++
    if (k === name.length) return id
  }
  return -1
}

/** The number of a known name; -1 when unknown. */
export function nameId(name: string): number {
  return ids.get(name) ?? -1
}

/** The name of a number that `nameId` or `nameIdAt` gave. */
export function nameOf(id: number): string {
  return NAMES[id] as string
}
