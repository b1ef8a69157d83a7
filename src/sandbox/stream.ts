import type { Answer } from './answer.ts'
import type { Fault } from './faults.ts'
import type { JsonObject } from './json.ts'
import { bodyUsage, deltaUsage, poisoned, startUsage } from './usage.ts'

/** Where in an answer a frame stands; faults break the answer at such a place. */
export type FrameMark =
  | 'message_start'
  | 'block'
  | 'delta'
  | 'message_delta'
  | 'message_stop'
  | 'body'

/** Some bytes of an answer that are written together, and the tokens made while they were. */
export interface Frame {
  readonly text: string
  readonly tokens: number
  readonly mark: FrameMark
}

const PING: JsonObject = { type: 'ping' }

/** The members of a message beside usage, as both forms of an answer start with them. */
function envelope(answer: Answer, model: string): JsonObject {
  return { id: answer.id, type: 'message', role: 'assistant', model }
}

/** The answer in one piece. */
export function messageBody(answer: Answer, fault: Fault, extra: JsonObject): string {
  const usage = bodyUsage(answer.usage)
  const content = answer.blocks.map((block) => block.final)
  return JSON.stringify({
    ...envelope(answer, answer.finalModel),
    content: fault.unknownBlock ? [UNKNOWN_BLOCK, ...content] : content,
    stop_reason: answer.stopReason,
    stop_sequence: answer.stopSequence,
    stop_details: answer.stopDetails,
    container: answer.kept?.container ?? null,
    diagnostics: answer.kept?.diagnostics ?? null,
    ...(fault.usage === 'missing' ? {} : { usage: poisoned(usage, fault.usage ?? '') }),
    ...(fault.unknownField ? { not_yet_invented: { since: 2027 } } : {}),
    ...extra,
  })
}

const UNKNOWN_BLOCK: JsonObject = { type: 'hologram', frames: ['a', 'b'], note: 'not yet invented' }

/** The answer as server-sent events, frame by frame. */
export function messageFrames(answer: Answer, fault: Fault, extra: JsonObject): readonly Frame[] {
  const frames: Frame[] = []
  const eol = fault.crlf ? '\r\n' : '\n'
  let index = 0

  function push(mark: FrameMark, event: JsonObject, tokens = 0): void {
    const head = fault.comments ? `: keep-alive${eol}` : ''
    const text = `${head}event: ${event.type}${eol}data: ${JSON.stringify(event)}${eol}${eol}`
    frames.push({ text, tokens, mark })
  }

  function block(start: JsonObject, startTokens: number, deltas: () => void): void {
    push('block', { type: 'content_block_start', index, content_block: start }, startTokens)
    deltas()
    push('block', { type: 'content_block_stop', index })
    index++
  }

  const startUsageText = usageMember(
    startUsage(answer.usageAtStart, 1 + (answer.id.charCodeAt(answer.id.length - 1) % 3)),
    fault,
    'absent_start',
  )
  push('message_start', {
    type: 'message_start',
    message: {
      ...envelope(answer, answer.model),
      content: [],
      stop_reason: null,
      stop_sequence: null,
      stop_details: null,
      container: answer.kept?.isNewContainer ? null : (answer.kept?.container ?? null),
      diagnostics: answer.kept?.diagnostics ?? null,
      ...startUsageText,
      ...extra,
    },
  })
  if (fault.unknownEvent) push('block', { type: 'weather_report', sky: 'clear' })
  if (fault.unknownBlock) block(UNKNOWN_BLOCK, 0, () => {})

  answer.blocks.forEach((item, position) => {
    block(item.start, item.startTokens, () => {
      if (position === 0) {
        for (let i = 0; i < 1 + (fault.pings ?? 0); i++) push('block', PING)
        if (fault.oversize && item.start.type === 'text') {
          push('delta', textDelta(index, 'x'.repeat(fault.oversize)))
        }
      }
      for (const { delta, tokens } of item.deltas) {
        if (delta === null) push('delta', PING, tokens)
        else push('delta', { type: 'content_block_delta', index, delta }, tokens)
      }
    })
  })

  for (const usage of runningTotals(answer, fault)) {
    const isLast = usage.isLast
    const delta = {
      stop_reason: isLast ? answer.stopReason : null,
      stop_sequence: isLast ? answer.stopSequence : null,
      ...(isLast ? { stop_details: answer.stopDetails } : {}),
      ...(isLast && answer.kept?.container ? { container: answer.kept.container } : {}),
    }
    const figures = deltaUsage({ ...answer.usage, output: usage.output })
    push('message_delta', {
      type: 'message_delta',
      delta,
      ...usageMember(figures, fault, 'absent_delta'),
    })
  }
  push('message_stop', { type: 'message_stop' })
  return frames
}

function textDelta(index: number, text: string): JsonObject {
  return { type: 'content_block_delta', index, delta: { type: 'text_delta', text } }
}

function usageMember(usage: JsonObject, fault: Fault, absent: string): JsonObject {
  if (fault.usage === 'missing' || fault.usage === absent) return {}
  return { usage: poisoned(usage, fault.usage ?? '') }
}

/** The output counts that successive `message_delta` events report. */
function runningTotals(
  answer: Answer,
  fault: Fault,
): readonly { output: number; isLast: boolean }[] {
  const output = answer.usage.output
  const count = fault.messageDeltas ?? (fault.usage === 'shrinking' ? 2 : 1)
  const totals: { output: number; isLast: boolean }[] = []
  for (let i = 1; i <= count; i++) {
    const share = fault.usage === 'shrinking' ? 1 / i : i / count
    totals.push({ output: Math.floor(output * share), isLast: i === count })
  }
  return totals
}

/** `event: error` as it comes in the middle of a stream. */
export function errorFrame(type: string, message: string, requestId: string, crlf: boolean): Frame {
  const eol = crlf ? '\r\n' : '\n'
  const data = JSON.stringify({ type: 'error', error: { type, message }, request_id: requestId })
  return { text: `event: error${eol}data: ${data}${eol}${eol}`, tokens: 0, mark: 'block' }
}
