import type { BoundInput } from '../billing/bound.ts'
import type { InferenceRequest } from '../dialects/dialect.ts'
import type { BodyFacts } from '../wire/body-facts.ts'
import { continuesThread, textOf, wholeOf } from './scalars.ts'

/**
 * What a body says about its size and prices, for the cost bound. `historyTokens`: what the thread that it
 * continues came to so far; null where that is not known, or where it continues none.
 */
export function boundInputOf(request: InferenceRequest, historyTokens: number | null): BoundInput {
  const { facts } = request
  const geo = textOf(facts.inferenceGeo)
  const continues = continuesThread(facts)
  return {
    textBytes: facts.textBytes - facts.denseBytes,
    denseBytes: facts.denseBytes,
    images: facts.images.base64 + facts.images.url + facts.images.file + facts.images.other,
    unknownInput: hasUnknownSize(facts) || (continues && historyTokens === null),
    ...(historyTokens === null ? {} : { historyTokens }),
    cacheWrites:
      facts.hasCacheControl1h || continues ? '1h' : facts.hasCacheControl ? '5m' : 'none',
    maxTokens: request.maxTokens,
    // A thread keeps its tools upstream.
    hasTools: facts.clientTools + facts.serverTools.length > 0 || facts.hasToolChanges || continues,
    serverTools: facts.serverTools
      .filter((tool) => tool.family !== 'advisor')
      .map((tool) => ({
        kind: tool.family === 'web_search' ? 'web_search' : 'other',
        maxUses: wholeOf(tool.maxUses),
      })),
    mcp: facts.mcpServers > 0,
    compaction: facts.mayCompact,
    fast: textOf(facts.speed) === 'fast',
    geo: geo === 'us' || geo === 'global' ? geo : 'unknown',
  }
}

/** Whether the prompt is plain text and nothing else, so that its bytes teach how many make a token. */
export function isPlainText(facts: BodyFacts): boolean {
  const { images } = facts
  return (
    !hasUnknownSize(facts) &&
    !continuesThread(facts) &&
    images.base64 === 0 &&
    facts.denseBytes === 0 &&
    facts.serverTools.length === 0 &&
    facts.mcpServers === 0 &&
    facts.fallbacks.kind === 'none' &&
    !facts.topLevel.has('compaction') &&
    !facts.topLevel.has('context_management')
  )
}

/** True where the body does not tell how long the prompt is: PDFs, URLs, file ids. */
function hasUnknownSize(facts: BodyFacts): boolean {
  const { documents, images } = facts
  return (
    documents.base64 + documents.url + documents.file + documents.other > 0 ||
    images.url + images.file + images.other > 0 ||
    facts.containerUploads > 0 ||
    facts.fileIds > 0
  )
}
