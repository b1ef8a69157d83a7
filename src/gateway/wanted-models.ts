import type { WantedModels } from '../billing/bound-models.ts'
import type { InferenceRequest } from '../dialects/dialect.ts'
import { textOf, wholeOf } from './scalars.ts'

/** The models that a body names, as it spells them. */
export function wantedModelsOf(request: InferenceRequest): WantedModels {
  const { facts } = request
  return {
    model: request.model,
    fast: textOf(facts.speed) === 'fast',
    fallbacks:
      facts.fallbacks.kind === 'default'
        ? 'default'
        : facts.fallbacks.kind === 'list'
          ? facts.fallbacks.entries.map((entry) => ({
              model: textOf(entry.model) ?? '',
              maxTokens: wholeOf(entry.maxTokens),
              fast: entry.speed.type === 'string' ? entry.speed.value === 'fast' : null,
            }))
          : [],
    advisors: facts.serverTools
      .filter((tool) => tool.family === 'advisor')
      .map((tool) => ({
        model: textOf(tool.model) ?? '',
        maxUses: wholeOf(tool.maxUses),
        maxTokens: wholeOf(tool.maxTokens),
      })),
  }
}
