/** The levels of `reasoning_effort` that upstream knows, weakest first. */
export const EFFORTS = ['low', 'medium', 'high', 'xhigh', 'max'] as const

/** One level of upstream's `output_config.effort`. */
export type Effort = (typeof EFFORTS)[number]

/** What a model accepts, as far as translation depends on it. */
export interface ModelCapabilities {
  /** Most output tokens of one answer. */
  readonly maxOutput: number
  /** Accepts `temperature`, `top_p`, `top_k` (one of the first two, and not while it thinks by budget). */
  readonly sampling: boolean
  /** `adaptive`: thinks by effort; `budget`: by `budget_tokens`; `none`: not at all. */
  readonly thinking: 'adaptive' | 'budget' | 'none'
  /** How "no reasoning" is said: by a thinking type, by the lowest effort, or by saying nothing. */
  readonly quiet: 'between_tools' | 'disabled' | 'low_effort' | 'nothing'
  readonly efforts: readonly Effort[]
  /** Accepts `tool_choice` `any` and `tool`. */
  readonly forcedToolChoice: boolean
  /** Accepts `output_config.format`. */
  readonly jsonSchema: boolean
  /** Accepts a last message of the assistant, and goes on with it. */
  readonly prefill: boolean
  /** Accepts `role: "system"` inside `messages`. */
  readonly midSystem: boolean
}

const CURRENT: ModelCapabilities = {
  maxOutput: 128_000,
  sampling: false,
  thinking: 'adaptive',
  quiet: 'nothing',
  efforts: EFFORTS,
  forcedToolChoice: true,
  jsonSchema: true,
  prefill: false,
  midSystem: false,
}

const ALWAYS_THINKS: ModelCapabilities = { ...CURRENT, quiet: 'low_effort', midSystem: true }

const NO_XHIGH: readonly Effort[] = ['low', 'medium', 'high', 'max']

const SINCE_4_6: ModelCapabilities = { ...CURRENT, sampling: true, efforts: NO_XHIGH }

const SINCE_4_5: ModelCapabilities = {
  ...SINCE_4_6,
  maxOutput: 64_000,
  thinking: 'budget',
  efforts: [],
  prefill: true,
}

const OLD: ModelCapabilities = { ...SINCE_4_5, jsonSchema: false }

/** By what an id contains, the first that fits: the longer name of a family before the shorter. */
const TABLE: readonly (readonly [part: string, capabilities: ModelCapabilities])[] = [
  ['sonnet-5-5', { ...CURRENT, quiet: 'between_tools', forcedToolChoice: false, midSystem: true }],
  ['opus-5-5', { ...ALWAYS_THINKS, forcedToolChoice: false }],
  ['haiku-5-5', { ...CURRENT, quiet: 'disabled', midSystem: true }],
  ['opus-5', { ...CURRENT, quiet: 'disabled', midSystem: true }],
  ['fable-5-1', { ...ALWAYS_THINKS, forcedToolChoice: false }],
  ['fable-5-2', { ...ALWAYS_THINKS, forcedToolChoice: false }],
  ['mythos-5-1', { ...ALWAYS_THINKS, forcedToolChoice: false }],
  ['mythos-5-2', { ...ALWAYS_THINKS, forcedToolChoice: false }],
  ['fable-5', ALWAYS_THINKS],
  ['mythos-5', ALWAYS_THINKS],
  ['opus-4-8', { ...CURRENT, midSystem: true }],
  ['opus-4-7', CURRENT],
  ['sonnet-5', { ...CURRENT, quiet: 'disabled' }],
  ['sonnet-4-6', SINCE_4_6],
  ['opus-4-6', SINCE_4_6],
  ['opus-4-5', { ...SINCE_4_5, efforts: ['low', 'medium', 'high'] }],
  ['sonnet-4-5', SINCE_4_5],
  ['haiku-4-5', SINCE_4_5],
  ['opus-4-1', { ...SINCE_4_5, maxOutput: 32_000 }],
  ['3-7-sonnet', OLD],
  ['3-5-haiku', { ...OLD, maxOutput: 8_192, thinking: 'none' }],
  ['3-5-sonnet', { ...OLD, maxOutput: 8_192, thinking: 'none' }],
  ['claude-3', { ...OLD, maxOutput: 4_096, thinking: 'none' }],
  ['claude-opus-4', { ...OLD, maxOutput: 32_000 }],
  ['claude-sonnet-4', OLD],
  ['claude-2', { ...OLD, maxOutput: 4_096, thinking: 'none' }],
  ['claude-instant', { ...OLD, maxOutput: 4_096, thinking: 'none' }],
]

/**
 * What a model accepts, by its id; an unknown id counts as a current model. `live` are figures that
 * upstream itself stated (`GET /v1/models`), which win.
 */
export function capabilitiesOf(
  modelId: string,
  live: Partial<ModelCapabilities> = {},
): ModelCapabilities {
  const known = TABLE.find(([part]) => modelId.includes(part))?.[1] ?? CURRENT
  return { ...known, ...live }
}

/** The nearest effort that a model accepts: the same, or the next lower one. */
export function fitEffort(efforts: readonly Effort[], wanted: Effort): Effort | null {
  for (let rank = EFFORTS.indexOf(wanted); rank >= 0; rank--) {
    if (efforts.includes(EFFORTS[rank])) return EFFORTS[rank]
  }
  return null
}
