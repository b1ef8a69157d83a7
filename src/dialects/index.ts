import { anthropic } from './anthropic/index.ts'
import type { Dialect } from './dialect.ts'
import { openaiChat } from './openai-chat/index.ts'
import { openaiResponses } from './openai-responses/index.ts'

/** Every client format by the path that speaks it. */
export const DIALECTS = {
  '/v1/messages': anthropic,
  '/v1/chat/completions': openaiChat,
  '/v1/responses': openaiResponses,
} as const satisfies Readonly<Record<string, Dialect>>

export { capabilitiesOf } from './openai/capabilities.ts'
export type { Refusal } from './openai/refusal.ts'
