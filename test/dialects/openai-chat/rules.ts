import { capabilitiesOf } from '../../../src/dialects/openai/capabilities.ts'
import type { Upstream } from './world.ts'

type Block = Upstream['messages'][number]['content'][number]

/** Which rule of upstream's a translated body breaks; null where it breaks none. */
export function brokenRule(upstream: Upstream, model: string): string | null {
  const { messages } = upstream
  const capabilities = capabilitiesOf(model)
  if (messages.length === 0) return 'no messages'
  if (messages[0].role !== 'user') return 'the first message is not the user’s'
  const ids = new Set<unknown>()
  for (const [i, { role, content }] of messages.entries()) {
    if (content.length === 0) return `message ${i} is empty`
    const before = messages[i - 1]?.role
    const after = messages[i + 1]?.role
    if (role === before) return `two messages of ${role} in a row`
    if (role === 'system') {
      if (!capabilities.midSystem) return 'a system message where the model knows none'
      if (before !== 'user') return 'a system message that is not behind the user'
      if (after !== undefined && after !== 'assistant') return 'a system message before the user'
    }
    for (const block of content) {
      if (block.type === 'text' && String(block.text).trim() === '') return 'blank text'
      if (block.type !== 'tool_use') continue
      if (!/^[a-zA-Z0-9_-]+$/.test(String(block.id))) return `the id ${block.id}`
      if (ids.has(block.id)) return `the id ${block.id} twice`
      ids.add(block.id)
    }
    const problem = resultsProblem(content, messages[i - 1]?.content ?? [])
    if (problem !== null) return problem
    const calls = content.filter(({ type }) => type === 'tool_use')
    if (calls.length > 0 && after !== 'user') return 'calls without results'
  }
  const last = messages.at(-1)
  if (last?.role === 'assistant') {
    if (!capabilities.prefill) return 'a prefill'
    if (last.content.at(-1)?.type !== 'text') return 'an answer to go on with that ends in no text'
  }
  return markerProblem(upstream)
}

/** Results answer exactly the calls of the message before, and stand first. */
function resultsProblem(content: readonly Block[], before: readonly Block[]): string | null {
  const results = content.filter(({ type }) => type === 'tool_result')
  if (content.slice(0, results.length).some(({ type }) => type !== 'tool_result'))
    return 'a result behind something else'
  const calls = before.filter(({ type }) => type === 'tool_use').map(({ id }) => id)
  const answered = results.map(({ tool_use_id }) => tool_use_id)
  const isSame = calls.toSorted().join() === answered.toSorted().join()
  return isSame ? null : `calls ${calls.join()} with results ${answered.join()}`
}

function markerProblem(upstream: Upstream): string | null {
  const sections = [upstream.tools, upstream.system, ...upstream.messages.map((m) => m.content)]
  const blocks = sections.flatMap((section) => (Array.isArray(section) ? section : []))
  const nested = blocks.flatMap((block) =>
    block?.type === 'tool_result' && Array.isArray(block.content) ? block.content : [],
  )
  const marked = [...blocks, ...nested, upstream].filter((block) => block?.cache_control)
  return marked.length > 4 ? `${marked.length} markers` : null
}
