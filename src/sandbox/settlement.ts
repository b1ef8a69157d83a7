import type { Answer } from './answer.ts'
import type { Asked } from './asked.ts'
import type { Fault } from './faults.ts'
import type { SandboxModel } from './models.ts'
import type { BilledRequest } from './record.ts'
import type { ReplyEnd } from './reply.ts'
import type { ThreadTurn } from './threads.ts'
import type { SandboxUsage } from './usage.ts'
import type { World } from './world.ts'

/** What is needed to book a request once its answer is over. */
export interface Settlement {
  readonly answer: Answer
  readonly fault: Fault
  readonly model: SandboxModel
  readonly stream: boolean
  /** False: an error event took the place of the end. */
  readonly isWhole: boolean
  readonly turn: ThreadTurn | null
}

/** Books what was really used, before the last byte leaves. */
export function settle(world: World, asked: Asked, settlement: Settlement, end: ReplyEnd): void {
  const { answer, fault, model, stream, isWhole, turn } = settlement
  const isDone = end.kind === 'complete' && isWhole
  const content = answer.blocks.map((block) => block.final)
  if (isDone && fault.decline === undefined) turn?.done(answer.id, content)
  else turn?.failed()
  // Nothing reached upstream.
  if (fault.at === 'connect') return
  const isLost = fault.at === 'before_headers'
  // Without streaming, or when only the answer was lost, the work was done all the same.
  const isFull = isDone || isLost || !stream
  const usage = isFull ? answer.usage : partial(answer, end.tokens)
  world.limits.spendOutput(asked.account.organizationId, model.rateClass, usage.output)
  world.bills.add({
    requestId: asked.requestId,
    messageId: answer.id,
    account: asked.account.name,
    requestedModel: model.id,
    model: answer.finalModel,
    usage,
    outcome: outcomeOf(end, isDone, isLost),
    isCharged: !answer.isFree,
    stream,
    atMs: world.nowMs(),
  })
}

function outcomeOf(end: ReplyEnd, isDone: boolean, isLost: boolean): BilledRequest['outcome'] {
  if (isDone) return 'complete'
  if (isLost) return 'lost'
  return end.kind === 'client_left' ? 'client_left' : 'cut'
}

/** What had been used when a stream ended early. */
function partial(answer: Answer, tokens: number): SandboxUsage {
  const output = Math.min(tokens, answer.usage.output)
  return { ...answer.usageAtStart, output, thinking: Math.min(output, answer.usage.thinking) }
}
