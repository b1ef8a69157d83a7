import { isObject, parseJson } from './json.ts'

/** A request that upstream refused, changed so that it may pass. */
export interface Repair {
  readonly kind: 'without_thinking' | 'with_tool_stubs'
  readonly body: string
}

/**
 * What to send instead of a translated body that upstream answered with this 400; null: nothing helps. To be
 * tried once, on the same account, and never held against its health.
 */
export function repairBody(bodyText: string, status: number, message: string): Repair | null {
  if (status !== 400) return null
  if (
    /bound to a different conversation|Invalid .?signature.? in .?thinking.? block/i.test(message)
  )
    return withoutThinking(bodyText)
  if (/\btools\b/.test(message)) return withToolStubs(bodyText)
  return null
}

type Content = readonly { readonly [field: string]: unknown }[]

interface ParsedBody {
  readonly [field: string]: unknown
  readonly messages: readonly { readonly role: string; readonly content: Content }[]
}

/** The bodies are our own, so their shape is known. */
function parsed(bodyText: string): ParsedBody | null {
  const body = parseJson(bodyText)
  return isObject(body) && Array.isArray(body.messages) ? (body as unknown as ParsedBody) : null
}

function withoutThinking(bodyText: string): Repair | null {
  const body = parsed(bodyText)
  if (body === null) return null
  let removed = 0
  const messages = body.messages.map((message) => {
    const content = message.content.filter(({ type }) => !isThinking(type))
    removed += message.content.length - content.length
    return { ...message, content }
  })
  if (removed === 0) return null
  const kept = messages.filter(({ content }) => content.length > 0)
  // Thinking by budget wants a thinking block before the tool calls; without them it must go too.
  const isBudget = isObject(body.thinking) && body.thinking.type === 'enabled'
  const { thinking, messages: _all, ...rest } = body
  const kind = 'without_thinking'
  const said = isBudget || thinking === undefined ? rest : { ...rest, thinking }
  return { kind, body: JSON.stringify({ ...said, messages: kept }) }
}

function isThinking(type: unknown): boolean {
  return type === 'thinking' || type === 'redacted_thinking'
}

/** Older models want a definition for every tool that the history calls. */
function withToolStubs(bodyText: string): Repair | null {
  const body = parsed(bodyText)
  if (body === null || body.tools !== undefined) return null
  const names = new Set<unknown>()
  for (const { content } of body.messages)
    for (const block of content) if (block.type === 'tool_use') names.add(block.name)
  if (names.size === 0) return null
  const tools = [...names].map((name) => ({ name, input_schema: { type: 'object' } }))
  const { messages, ...rest } = body
  // `messages` stays last: a further round is added at its end.
  const text = JSON.stringify({ ...rest, tools, tool_choice: { type: 'none' }, messages })
  return { kind: 'with_tool_stubs', body: text }
}
