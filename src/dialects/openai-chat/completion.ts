import type { AnswerContext } from '../dialect.ts'
import type { AnswerAssembler, AnswerBlock } from '../openai/assemble.ts'
import { argumentsOf } from '../openai/assemble.ts'
import { customText } from '../openai/custom-input.ts'
import type { JsonObject } from '../openai/json.ts'
import { withoutFence } from '../openai/json-fence.ts'
import { chatUsage, serviceTierOf } from '../openai/usage.ts'
import { annotationsOf } from './annotations.ts'
import { finishReason, refusalText } from './finish.ts'
import { REASONING_FORMAT } from './reasoning-details.ts'

/** How a client knows a tool. */
export interface ShownTool {
  readonly name: string
  /** Its calls carry a text instead of arguments. */
  readonly isCustom: boolean
}

/** What of the request the answer depends on. */
export interface ChatAnswerWish {
  readonly stream: boolean
  /** The stream carries `usage`. */
  readonly includesUsage: boolean
  readonly showsReasoning: boolean
  /** The tools came as `functions`. */
  readonly isLegacy: boolean
  /** By the names that upstream knows, tools whose calls the client knows otherwise. */
  readonly tools: ReadonlyMap<string, ShownTool>
  readonly searchesWeb: boolean
  /** A fence around the text is taken off: the caller parses it as JSON. */
  readonly isLooseJson: boolean
  /** Comes back as it was sent; null where there is none. */
  readonly metadata: JsonObject | null
}

/** A whole answer as a chat completion, as JSON text. */
export function chatCompletion(
  answer: AnswerAssembler,
  wish: ChatAnswerWish,
  about: AnswerContext,
): string {
  const tier = serviceTierOf(answer.usage)
  return JSON.stringify({
    id: `chatcmpl-${about.requestId}`,
    object: 'chat.completion',
    created: about.createdS,
    model: answer.model,
    choices: [
      {
        index: 0,
        logprobs: null,
        finish_reason: finishReason(answer, wish.isLegacy),
        native_finish_reason: answer.stopReason,
        message: messageOf(answer, wish),
      },
    ],
    usage: chatUsage(answer.usage, about.bill?.()),
    ...(tier === null ? {} : { service_tier: tier }),
    ...(wish.metadata === null ? {} : { metadata: wish.metadata }),
  })
}

function messageOf(answer: AnswerAssembler, wish: ChatAnswerWish) {
  let text = ''
  const annotations = []
  const calls = []
  for (const block of answer.blocks) {
    annotations.push(...annotationsOf(block, text.length))
    if (block.kind === 'text') text += block.text
    else if (block.kind === 'tool_use') {
      const said = answer.isCutBeforeArguments(block) ? '' : argumentsOf(block)
      calls.push(callOf(block, said, wish.tools))
    }
  }
  if (wish.isLooseJson) text = withoutFence(text)
  const legacy = wish.isLegacy ? calls.find(({ type }) => type === 'function') : undefined
  return {
    role: 'assistant',
    content: text === '' ? null : text,
    refusal: refusalText(answer),
    annotations,
    ...(wish.showsReasoning ? reasoningOf(answer.blocks) : {}),
    ...(wish.isLegacy || calls.length === 0 ? {} : { tool_calls: calls }),
    ...(legacy === undefined ? {} : { function_call: legacy.function }),
  }
}

function callOf(
  block: Extract<AnswerBlock, { kind: 'tool_use' }>,
  said: string,
  tools: ReadonlyMap<string, ShownTool>,
) {
  const tool = tools.get(block.name)
  const name = tool?.name ?? block.name
  if (tool?.isCustom)
    return { id: block.id, type: 'custom', custom: { name, input: customText(said) } }
  return { id: block.id, type: 'function', function: { name, arguments: said } }
}

function reasoningOf(blocks: readonly AnswerBlock[]) {
  const details: JsonObject[] = []
  let text = ''
  for (const block of blocks) {
    const about = { format: REASONING_FORMAT, index: details.length, id: `rs_${details.length}` }
    if (block.kind === 'thinking') {
      text += block.thinking
      const { thinking, signature } = block
      details.push({ type: 'reasoning.text', text: thinking, signature, ...about })
    } else if (block.kind === 'redacted') {
      details.push({ type: 'reasoning.encrypted', data: block.data, ...about })
    }
  }
  return {
    ...(text === '' ? {} : { reasoning_content: text }),
    ...(details.length === 0 ? {} : { reasoning_details: details }),
  }
}
