import type { Digest } from '../openai/ids.ts'
import { upstreamToolName } from '../openai/ids.ts'
import { upstreamNameOf } from '../openai/tools.ts'
import type { UpstreamName } from './input.ts'
import type { ResponsesTool } from './tools.ts'
import { flatName } from './tools.ts'

/**
 * The names under which calls of the history go upstream: those of their tools, so that the history stays
 * what the model wrote. Clients may leave out a namespace where the name alone is clear.
 */
export function callNames(definitions: readonly ResponsesTool[], digest: Digest): UpstreamName {
  /** By the client's own name; null where several namespaces have it. */
  const byOwnName = new Map<string, ResponsesTool | null>()
  for (const tool of definitions) {
    const { ownName, namespace } = tool
    if (namespace === null || !byOwnName.has(ownName)) byOwnName.set(ownName, tool)
    else if (byOwnName.get(ownName)?.namespace !== null) byOwnName.set(ownName, null)
  }
  return ({ name, namespace }) => {
    if (namespace !== null && namespace !== '')
      return upstreamToolName(flatName(namespace, name), digest)
    const tool = byOwnName.get(name) ?? null
    return tool === null ? upstreamToolName(name, digest) : upstreamNameOf(tool, digest)
  }
}
