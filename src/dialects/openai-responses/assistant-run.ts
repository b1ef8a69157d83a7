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

/** The items of one answer, in their order. */
class Group {
  readonly items: Item[] = []
  /** The first that an item tells. */
  tag: string | null = null
  hasMessage = false

  add(item: Item): void {
    this.items.push(item)
    this.tag ??= item.tag
    if (item.kind === 'message') this.hasMessage = true
  }

  /** Whether an item belongs to a further answer. */
  isEndedBy(item: Item): boolean {
    if (item.tag !== null) return item.tag !== this.tag
    return item.kind === 'message' && this.hasMessage
  }

  /** Takes the reasoning without a tag off the end: it belongs to what comes behind it. */
  takeReasoning(): readonly Item[] {
    const { items } = this
    let from = items.length
    while (from > 0 && items[from - 1].kind === 'reasoning' && items[from - 1].tag === null) from--
    return items.splice(from)
  }

  turn(): Turn {
    const blocks: Block[] = []
    const calls: ToolCall[] = []
    for (const item of this.items) {
      for (const block of item.blocks) blocks.push(block)
      if (item.call !== null) calls.push(item.call)
    }
    return { kind: 'assistant', thinking: [], blocks, calls }
  }
}

/**
 * Items of the assistant that follow each other, made into turns: one turn per answer. Answers are told apart
 * by the ids that we gave them; without those, a second message begins a further answer. Within a turn
 * thinking and text keep their order, which upstream checks for signed thinking; calls come last.
 */
export class AssistantRun {
  #groups: Group[] = []

  add(id: unknown, kind: Item['kind'], blocks: readonly Block[], call: ToolCall | null): void {
    const tag = typeof id === 'string' ? (OWN_ID.exec(id)?.[1] ?? null) : null
    const item: Item = { tag, kind, blocks, call }
    const last = this.#groups.at(-1)
    if (last !== undefined && !last.isEndedBy(item)) {
      last.add(item)
      return
    }
    const group = new Group()
    for (const moved of last?.takeReasoning() ?? []) group.add(moved)
    group.add(item)
    if (last?.items.length === 0) this.#groups.pop()
    this.#groups.push(group)
  }

  /** The turns of the run, which is empty afterwards. */
  take(): Turn[] {
    const turns = this.#groups.map((group) => group.turn())
    this.#groups = []
    return turns
  }
}
