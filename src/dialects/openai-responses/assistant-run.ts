import type { ToolCall, Turn } from '../openai/history.ts'
import type { Block } from '../openai/upstream.ts'

/** The ids that this gateway gives: prefix, what all items of one answer share, ordinal. */
const OWN_ID = /^(?:rs|msg|fc|ctc|ws)_([0-9a-z]+)_\d+$/

interface Item {
  /** Which answer it belongs to; null where its id does not tell. */
  readonly tag: string | null
  readonly kind: 'reasoning' | 'message' | 'call'
  readonly blocks: readonly Block[]
  readonly call: ToolCall | null
}

/**
 * Items of the assistant that follow each other, made into turns: one turn per answer. Answers are told apart
 * by the ids that we gave them; without those, a second message begins a further answer. Within a turn
 * thinking and text keep their order, which upstream checks for signed thinking; calls come last.
 */
export class AssistantRun {
  #groups: Item[][] = []

  add(id: unknown, kind: Item['kind'], blocks: readonly Block[], call: ToolCall | null): void {
    const tag = typeof id === 'string' ? (OWN_ID.exec(id)?.[1] ?? null) : null
    const item: Item = { tag, kind, blocks, call }
    const group = this.#groups.at(-1)
    if (group === undefined) this.#groups.push([item])
    else if (!isNextAnswer(group, item)) group.push(item)
    else this.#groups.push([...(tag === null ? trailingReasoning(group) : []), item])
  }

  /** The turns of the run, which is empty afterwards. */
  take(): Turn[] {
    const turns = this.#groups.map(turnOf)
    this.#groups = []
    return turns
  }
}

function isNextAnswer(group: readonly Item[], item: Item): boolean {
  const tag = group.find((other) => other.tag !== null)?.tag ?? null
  if (item.tag !== null) return item.tag !== tag
  return item.kind === 'message' && group.some(({ kind }) => kind === 'message')
}

/** Takes the reasoning without a tag off the end of a group: it belongs to the message behind it. */
function trailingReasoning(group: Item[]): Item[] {
  let from = group.length
  while (from > 0 && group[from - 1].kind === 'reasoning' && group[from - 1].tag === null) from -= 1
  return group.splice(from)
}

function turnOf(items: readonly Item[]): Turn {
  const calls = items.flatMap(({ call }) => (call === null ? [] : [call]))
  return { kind: 'assistant', thinking: [], blocks: items.flatMap(({ blocks }) => blocks), calls }
}
