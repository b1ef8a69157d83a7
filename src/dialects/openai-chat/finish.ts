import type { AnswerAssembler } from '../openai/assemble.ts'
import { textOf } from '../openai/json.ts'

/** OpenAI's word for why an answer stopped; upstream's own goes along as `native_finish_reason`. */
export function finishReason(answer: AnswerAssembler, isLegacy: boolean): string {
  switch (answer.stopReason) {
    case 'max_tokens':
    case 'model_context_window_exceeded':
      return 'length'
    case 'refusal':
      return 'content_filter'
    case 'tool_use': {
      // Tools that upstream runs itself are no calls of the client's.
      const calls = answer.blocks.some(({ kind }) => kind === 'tool_use')
      if (!calls) return 'stop'
      return isLegacy ? 'function_call' : 'tool_calls'
    }
    default:
      return 'stop'
  }
}

/** Why the model declined, in words; null where it did not. */
export function refusalText({ stopReason, stopDetails }: AnswerAssembler): string | null {
  if (stopReason !== 'refusal') return null
  const explanation = textOf(stopDetails?.explanation)
  if (explanation !== null && explanation !== '') return explanation
  const category = textOf(stopDetails?.category)
  return category === null
    ? 'The model declined to respond.'
    : `The model declined to respond (${category}).`
}
