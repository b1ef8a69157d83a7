import type { Scalar, ServerToolFamily } from './body-facts.ts'

const SERVER_FAMILIES = [
  'web_search',
  'web_fetch',
  'code_execution',
  'tool_search',
  'advisor',
  'mcp_toolset',
] as const satisfies readonly ServerToolFamily[]

const CLIENT_FAMILIES = ['bash', 'text_editor', 'memory', 'computer', 'browser_toolset']

/** Whether upstream runs a tool of this `type` itself, and which kind it is; null for a client's tool. */
export function serverToolFamily(type: Scalar): ServerToolFamily | null {
  if (type.type === 'absent' || type.type === 'null') return null
  if (type.type !== 'string') return 'unknown'
  const name = type.value
  if (name === 'custom') return null
  const server = SERVER_FAMILIES.find((family) => name.startsWith(family))
  if (server !== undefined) return server
  return CLIENT_FAMILIES.some((family) => name.startsWith(family)) ? null : 'unknown'
}
