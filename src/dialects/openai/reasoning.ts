import type { Effort, ModelCapabilities } from './capabilities.ts'
import { EFFORTS, fitEffort } from './capabilities.ts'
import type { JsonObject } from './json.ts'
import { refuse } from './refusal.ts'
import type { UpstreamMessage } from './upstream.ts'
import type { Warning } from './warnings.ts'

/** `reasoning_effort` as clients may say it. */
export type WantedEffort = Effort | 'none' | 'minimal'

/** Which share of `max_tokens` a model that thinks by budget may think. */
const BUDGET_SHARE: Readonly<Record<Effort, number>> = {
  low: 0.2,
  medium: 0.5,
  high: 0.8,
  xhigh: 0.9,
  max: 0.95,
}

const MIN_BUDGET = 1024
const MAX_BUDGET = 32_000

/** How a request thinks upstream. */
export interface Reasoning {
  /** Upstream's `thinking`; null: not sent. */
  readonly thinking: JsonObject | null
  /** Upstream's `output_config.effort`; null: not sent. */
  readonly effort: Effort | null
  /** It asks for thinking by budget, beside which upstream refuses forced tools. */
  readonly isBudget: boolean
  /** It asks for thinking of any kind, beside which upstream refuses sampling. */
  readonly isActive: boolean
  readonly warnings: readonly Warning[]
}

/** Reads an effort; refuses a word that OpenAI does not have either. */
export function readEffort(value: unknown, field: string): WantedEffort | null {
  if (value === undefined || value === null) return null
  if (value === 'none' || value === 'minimal') return value
  const effort = EFFORTS.find((known) => known === value)
  if (effort !== undefined) return effort
  refuse(
    'invalid_value',
    field,
    `Invalid value for '${field}'. Supported values are: none, minimal, ${EFFORTS.join(', ')}.`,
  )
}

/** What a client asked for, and of whom. */
export interface ReasoningWish {
  readonly effort: WantedEffort | null
  /** Tokens to think (OpenRouter's `reasoning.max_tokens`); null where not said. */
  readonly budget: number | null
  /** Anthropic's own `thinking`, which passes verbatim and wins; null where not said. */
  readonly thinking: JsonObject | null
  /** Asks to see reasoning without saying how much (the Responses API's `summary`). */
  readonly show: boolean
  readonly maxTokens: number
  readonly capabilities: ModelCapabilities
}

/** Maps a wish. Never depends on the history: thinking and effort are a part of the cached prefix. */
export function reasoningOf(wish: ReasoningWish): Reasoning {
  const { thinking, capabilities } = wish
  if (thinking !== null) return verbatim(wish, thinking)
  if (wish.effort === 'none') return quiet(capabilities)
  const effort = wish.effort === 'minimal' ? 'low' : wish.effort
  const wanted = effort ?? (wish.budget === null ? null : 'high')
  if (wanted === null && !wish.show) return NOTHING
  if (capabilities.thinking === 'budget') return byBudget(wish, effort)
  if (capabilities.thinking === 'none') return LEFT_OUT
  const fitting = wanted === null ? null : fitEffort(capabilities.efforts, wanted)
  return {
    thinking: { type: 'adaptive', display: 'summarized' },
    effort: fitting,
    isBudget: false,
    isActive: true,
    warnings: [
      ...(wish.budget === null ? [] : (['thinking-budget-changed'] as const)),
      ...lowered(wanted, fitting),
    ],
  }
}

const NOTHING: Reasoning = {
  thinking: null,
  effort: null,
  isBudget: false,
  isActive: false,
  warnings: [],
}

/** Thinking that was asked for and cannot be. */
export const LEFT_OUT: Reasoning = { ...NOTHING, warnings: ['thinking-left-out'] }

function lowered(wanted: Effort | null, fitting: Effort | null): readonly Warning[] {
  return wanted === fitting ? [] : ['effort-lowered']
}

function verbatim(wish: ReasoningWish, thinking: JsonObject): Reasoning {
  const isOff = thinking.type === 'disabled' || thinking.type === 'between_tools'
  const asked = wish.effort === 'none' ? null : wish.effort === 'minimal' ? 'low' : wish.effort
  const isBudget = thinking.type === 'enabled'
  // Upstream refuses the two highest levels where thinking is off.
  const wanted = isOff && (asked === 'xhigh' || asked === 'max') ? 'high' : asked
  const sendsEffort = wanted !== null && !isBudget
  const effort = sendsEffort ? fitEffort(wish.capabilities.efforts, wanted) : null
  // Beside a budget no effort is sent: `thinking` wins.
  const warnings = isBudget ? [] : lowered(asked, effort)
  return { thinking, effort, isBudget, isActive: !isOff, warnings }
}

function quiet(capabilities: ModelCapabilities): Reasoning {
  if (capabilities.quiet === 'low_effort')
    return { ...NOTHING, effort: 'low', warnings: ['thinking-stays-on'] }
  if (capabilities.quiet === 'nothing') return NOTHING
  return { ...NOTHING, thinking: { type: capabilities.quiet } }
}

function byBudget(wish: ReasoningWish, effort: Effort | null): Reasoning {
  const { maxTokens, budget } = wish
  if (maxTokens <= MIN_BUDGET) return LEFT_OUT
  const share = budget ?? Math.floor(maxTokens * BUDGET_SHARE[effort ?? 'medium'])
  const tokens = Math.max(MIN_BUDGET, Math.min(MAX_BUDGET, share, maxTokens - 1))
  return {
    thinking: { type: 'enabled', budget_tokens: tokens },
    effort: null,
    isBudget: true,
    isActive: true,
    warnings: budget === null || budget === tokens ? [] : ['thinking-budget-changed'],
  }
}

/**
 * Whether thinking by budget must be left out: upstream then wants a thinking block before the last tool
 * calls of the history, and clients that do not keep them would get a 400.
 */
export function lacksThinking(messages: readonly UpstreamMessage[]): boolean {
  for (let i = messages.length - 1; i >= 0; i--) {
    const { role, content } = messages[i]
    if (role !== 'assistant' || !content.some(({ type }) => type === 'tool_use')) continue
    return !content.some(({ type }) => type === 'thinking' || type === 'redacted_thinking')
  }
  return false
}
