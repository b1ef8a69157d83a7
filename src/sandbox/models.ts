import type { JsonObject } from './json.ts'

export type ThinkingType = 'adaptive' | 'enabled' | 'disabled' | 'between_tools'

/** What the simulated upstream knows about a model. */
export interface SandboxModel {
  readonly id: string
  readonly aliases: readonly string[]
  readonly displayName: string
  readonly line: 'fable' | 'mythos' | 'opus' | 'sonnet' | 'haiku'
  readonly lifecycle: 'active' | 'deprecated'
  readonly createdAt: string
  readonly retiresAt: string | null
  readonly contextTokens: number
  readonly maxOutputTokens: number
  /** Shorter prefixes are silently not cached. */
  readonly minCacheTokens: number
  /** An image never counts more tokens than this. */
  readonly imageCapTokens: number
  /** Models of one class share an organisation's rate-limit buckets. */
  readonly rateClass: string
  readonly thinkingTypes: readonly ThinkingType[]
  readonly thinkingDisplay: 'omitted' | 'summarized'
  /** Thinking blocks that another organisation made are dropped. */
  readonly bindsThinking: boolean
  /** May `temperature` and its like be sent (on API version 2023-06-01)? */
  readonly sampling: 'free' | 'default_only' | 'none'
  readonly fastMode: 'plain' | 'beta' | 'as_standard' | 'none'
  readonly geo: boolean
  readonly prefill: boolean
  readonly forcedTools: boolean
  readonly needsRetention: boolean
}

const BIG = {
  aliases: [],
  lifecycle: 'active',
  retiresAt: null,
  contextTokens: 1_000_000,
  maxOutputTokens: 128_000,
  minCacheTokens: 512,
  imageCapTokens: 4_784,
  thinkingTypes: ['adaptive'],
  thinkingDisplay: 'omitted',
  bindsThinking: false,
  sampling: 'none',
  fastMode: 'none',
  geo: true,
  prefill: false,
  forcedTools: true,
  needsRetention: false,
} as const

const SMALL = {
  ...BIG,
  contextTokens: 200_000,
  maxOutputTokens: 64_000,
  imageCapTokens: 1_568,
  thinkingTypes: ['enabled', 'disabled'],
  thinkingDisplay: 'summarized',
  sampling: 'free',
  geo: false,
  prefill: true,
} as const

const FABLE = { ...BIG, line: 'fable', needsRetention: true } as const
const MYTHOS = { ...BIG, line: 'mythos', needsRetention: true, rateClass: 'mythos-5' } as const
const ADAPTIVE_OR_OFF = ['adaptive', 'disabled'] as const

/** The models on offer, newest first within each line. */
export const MODELS: readonly SandboxModel[] = [
  {
    ...FABLE,
    id: 'claude-fable-5-2',
    displayName: 'Claude Fable 5.2',
    createdAt: '2026-11-09T00:00:00Z',
    rateClass: 'fable-5-2',
    bindsThinking: true,
    fastMode: 'plain',
    forcedTools: false,
  },
  {
    ...FABLE,
    id: 'claude-fable-5-1',
    displayName: 'Claude Fable 5.1',
    createdAt: '2026-09-01T00:00:00Z',
    rateClass: 'fable-5',
    forcedTools: false,
  },
  {
    ...FABLE,
    id: 'claude-fable-5',
    displayName: 'Claude Fable 5',
    createdAt: '2026-06-09T00:00:00Z',
    rateClass: 'fable-5',
  },
  {
    ...MYTHOS,
    id: 'claude-mythos-5-2',
    displayName: 'Claude Mythos 5.2',
    createdAt: '2026-11-09T00:00:00Z',
    bindsThinking: true,
    fastMode: 'plain',
    forcedTools: false,
  },
  {
    ...MYTHOS,
    id: 'claude-mythos-5-1',
    displayName: 'Claude Mythos 5.1',
    createdAt: '2026-09-01T00:00:00Z',
    forcedTools: false,
  },
  {
    ...MYTHOS,
    id: 'claude-mythos-5',
    displayName: 'Claude Mythos 5',
    createdAt: '2026-06-09T00:00:00Z',
  },
  {
    ...BIG,
    id: 'claude-opus-5-5',
    displayName: 'Claude Opus 5.5',
    line: 'opus',
    createdAt: '2026-09-22T00:00:00Z',
    rateClass: 'opus-5-5',
    fastMode: 'plain',
    forcedTools: false,
  },
  {
    ...BIG,
    id: 'claude-opus-5',
    displayName: 'Claude Opus 5',
    line: 'opus',
    createdAt: '2026-07-24T00:00:00Z',
    rateClass: 'opus-5',
    thinkingTypes: ADAPTIVE_OR_OFF,
    fastMode: 'beta',
  },
  {
    ...BIG,
    id: 'claude-opus-4-8',
    displayName: 'Claude Opus 4.8',
    line: 'opus',
    createdAt: '2026-05-28T00:00:00Z',
    rateClass: 'opus-4',
    minCacheTokens: 1_024,
    thinkingTypes: ADAPTIVE_OR_OFF,
    fastMode: 'beta',
  },
  {
    ...BIG,
    id: 'claude-opus-4-7',
    displayName: 'Claude Opus 4.7',
    line: 'opus',
    createdAt: '2026-04-16T00:00:00Z',
    rateClass: 'opus-4',
    minCacheTokens: 2_048,
    thinkingTypes: ADAPTIVE_OR_OFF,
  },
  {
    ...BIG,
    id: 'claude-opus-4-6',
    displayName: 'Claude Opus 4.6',
    line: 'opus',
    createdAt: '2026-02-05T00:00:00Z',
    rateClass: 'opus-4',
    minCacheTokens: 4_096,
    imageCapTokens: 1_568,
    thinkingTypes: ['adaptive', 'enabled', 'disabled'],
    thinkingDisplay: 'summarized',
    sampling: 'free',
    fastMode: 'as_standard',
  },
  {
    ...SMALL,
    id: 'claude-opus-4-5-20251101',
    aliases: ['claude-opus-4-5'],
    displayName: 'Claude Opus 4.5',
    line: 'opus',
    createdAt: '2025-11-24T00:00:00Z',
    rateClass: 'opus-4',
    minCacheTokens: 4_096,
  },
  {
    ...BIG,
    id: 'claude-sonnet-5-5',
    displayName: 'Claude Sonnet 5.5',
    line: 'sonnet',
    createdAt: '2026-09-28T00:00:00Z',
    rateClass: 'sonnet-5-5',
    thinkingTypes: ['adaptive', 'between_tools'],
    bindsThinking: true,
    sampling: 'default_only',
    forcedTools: false,
  },
  {
    ...BIG,
    id: 'claude-sonnet-5',
    displayName: 'Claude Sonnet 5',
    line: 'sonnet',
    createdAt: '2026-06-30T00:00:00Z',
    rateClass: 'sonnet-5',
    minCacheTokens: 1_024,
    thinkingTypes: ADAPTIVE_OR_OFF,
    sampling: 'default_only',
  },
  {
    ...BIG,
    id: 'claude-sonnet-4-6',
    displayName: 'Claude Sonnet 4.6',
    line: 'sonnet',
    createdAt: '2026-02-17T00:00:00Z',
    rateClass: 'sonnet-4',
    minCacheTokens: 1_024,
    imageCapTokens: 1_568,
    thinkingTypes: ['adaptive', 'enabled', 'disabled'],
    thinkingDisplay: 'summarized',
    sampling: 'free',
  },
  {
    ...SMALL,
    id: 'claude-sonnet-4-5-20250929',
    aliases: ['claude-sonnet-4-5'],
    displayName: 'Claude Sonnet 4.5',
    line: 'sonnet',
    lifecycle: 'deprecated',
    createdAt: '2025-09-29T00:00:00Z',
    retiresAt: '2026-11-30T00:00:00Z',
    rateClass: 'sonnet-4',
    minCacheTokens: 1_024,
  },
  {
    ...BIG,
    id: 'claude-haiku-5-5',
    displayName: 'Claude Haiku 5.5',
    line: 'haiku',
    createdAt: '2026-10-07T00:00:00Z',
    rateClass: 'haiku-5-5',
    thinkingTypes: ADAPTIVE_OR_OFF,
    bindsThinking: true,
    sampling: 'default_only',
  },
  {
    ...SMALL,
    id: 'claude-haiku-4-5-20251001',
    aliases: ['claude-haiku-4-5'],
    displayName: 'Claude Haiku 4.5',
    line: 'haiku',
    createdAt: '2025-10-15T00:00:00Z',
    rateClass: 'haiku-4-5',
    minCacheTokens: 4_096,
  },
]

const BY_NAME = new Map<string, SandboxModel>()
for (const model of MODELS) {
  for (const name of [model.id, ...model.aliases]) BY_NAME.set(name, model)
}

/** The model of that id or alias; null when upstream does not offer it. */
export function findModel(name: string): SandboxModel | null {
  return BY_NAME.get(name) ?? null
}

/** `ModelInfo` as `GET /v1/models/{id}` answers it. */
export function modelInfo(model: SandboxModel): JsonObject {
  const can = (supported: boolean) => ({ supported })
  const thinks = (type: ThinkingType) => can(model.thinkingTypes.includes(type))
  const newer = model.geo
  return {
    type: 'model',
    id: model.id,
    display_name: model.displayName,
    created_at: model.createdAt,
    line: model.line,
    lifecycle: model.lifecycle,
    deprecated_at: model.lifecycle === 'deprecated' ? '2026-08-30T00:00:00Z' : null,
    retires_at: model.retiresAt,
    max_input_tokens: model.contextTokens,
    max_tokens: model.maxOutputTokens,
    capabilities: {
      batch: can(true),
      citations: can(true),
      code_execution: can(true),
      image_input: can(true),
      pdf_input: can(true),
      structured_outputs: can(true),
      context_management: {
        supported: true,
        clear_tool_uses_20250919: can(true),
        clear_thinking_20251015: can(true),
        compact_20260112: can(newer),
      },
      effort: {
        supported: model.line !== 'haiku' || newer,
        low: can(newer),
        medium: can(newer),
        high: can(newer),
        xhigh: can(newer && model.line !== 'haiku'),
        max: can(newer && model.line !== 'haiku'),
      },
      server_tools: { supported: true, web_search: can(true), code_execution: can(true) },
      thinking: {
        supported: true,
        types: {
          adaptive: thinks('adaptive'),
          enabled: thinks('enabled'),
          disabled: thinks('disabled'),
          between_tools: thinks('between_tools'),
        },
      },
    },
  }
}
