import type { Micro } from '../core/money.ts'
import { dearestPrice, findServedPrice, type PriceRow, type PriceTable } from './price-table.ts'

/** One more model that may run and bill for the same request. */
export interface BoundFallback {
  readonly row: PriceRow
  /** null: the request's own. */
  readonly maxTokens: number | null
  readonly fast: boolean
}

/** An adviser tool: its model reads the conversation at each use. */
export interface BoundAdvisor {
  readonly row: PriceRow
  readonly maxUses: number | null
  readonly maxTokens: number | null
}

/** Every model that the request may be billed for. */
export interface BoundModels {
  readonly row: PriceRow
  readonly fallbacks: readonly BoundFallback[]
  readonly advisors: readonly BoundAdvisor[]
  readonly webSearchMicro: Micro
}

/** The models as the request spells them. */
export interface WantedModels {
  readonly model: string
  readonly fast: boolean
  readonly fallbacks:
    | 'default'
    | readonly {
        readonly model: string
        readonly maxTokens: number | null
        /** null: the request's own speed. */
        readonly fast: boolean | null
      }[]
  readonly advisors: readonly {
    readonly model: string
    readonly maxUses: number | null
    readonly maxTokens: number | null
  }[]
}

/** Looks up every model that a request names; one without a served price refuses the request. */
export function boundModels(
  wanted: WantedModels,
  table: PriceTable,
  atMs: number,
):
  | { readonly kind: 'models'; readonly models: BoundModels }
  | { readonly kind: 'unknown_model'; readonly model: string } {
  const row = findServedPrice(table, wanted.model, atMs)
  if (row === null) return { kind: 'unknown_model', model: wanted.model }
  const fallbacks: BoundFallback[] = []
  if (wanted.fallbacks === 'default') {
    const dearest = dearestPrice(table, atMs, wanted.fast ? 'fast' : 'standard')
    fallbacks.push({ row: dearest, maxTokens: null, fast: wanted.fast })
  } else {
    for (const fallback of wanted.fallbacks) {
      const found = findServedPrice(table, fallback.model, atMs)
      if (found === null) return { kind: 'unknown_model', model: fallback.model }
      const fast = fallback.fast ?? wanted.fast
      fallbacks.push({ row: found, maxTokens: fallback.maxTokens, fast })
    }
  }
  const advisors: BoundAdvisor[] = []
  for (const { model, maxUses, maxTokens } of wanted.advisors) {
    const found = findServedPrice(table, model, atMs)
    if (found === null) return { kind: 'unknown_model', model }
    advisors.push({ row: found, maxUses, maxTokens })
  }
  return {
    kind: 'models',
    models: { row, fallbacks, advisors, webSearchMicro: table.webSearchMicro },
  }
}
