import type { AnswerBlock } from '../openai/assemble.ts'
import { AnswerAssembler } from '../openai/assemble.ts'
import type { JsonObject } from '../openai/json.ts'
import { isObject, textOf } from '../openai/json.ts'
import type { Block } from '../openai/upstream.ts'
import { type Bill, responsesUsage, serviceTierOf } from '../openai/usage.ts'
import type { CalledTool } from './call-item.ts'
import { CallItem } from './call-item.ts'
import { EventWriter } from './event-writer.ts'
import type { UrlCitation } from './message-item.ts'
import { MessageItem } from './message-item.ts'
import type { ItemPlace, OutputItem } from './output-item.ts'
import { ReasoningItem } from './reasoning-item.ts'
import { SearchItem } from './search-item.ts'

/** What an answer takes over from its request. */
export interface AnswerHead {
  /** `resp_…`. */
  readonly id: string
  /** What the ids of its items share. */
  readonly itemTag: string
  readonly createdS: number
  /** Unix seconds, now; null where nobody says. */
  readonly nowS: (() => number) | null
  /** What its receipt says; null where nobody says. */
  readonly bill: (() => Bill) | null
  /** The client's tool behind a name that upstream calls. */
  readonly toolNamed: (upstreamName: string) => CalledTool
  /** The members that echo the request, as JSON without braces. */
  readonly echo: string
  /** A fence around the text is taken off: the caller parses it as JSON. */
  readonly isLooseJson: boolean
}

/** Why a response failed, as `response.error` says it. */
export interface ResponseError {
  readonly code: string
  readonly message: string
}

type ResponseStatus = 'in_progress' | 'completed' | 'incomplete' | 'failed'

/** Upstream's stop reasons after which an answer is incomplete, and what `incomplete_details` says. */
const INCOMPLETE: Readonly<Record<string, string>> = {
  max_tokens: 'max_output_tokens',
  model_context_window_exceeded: 'max_output_tokens',
  refusal: 'content_filter',
}

/** Upstream's events become the events of a Responses stream, and the response object that ends it. */
export class Answer {
  readonly #head: AnswerHead
  readonly #writer = new EventWriter()
  readonly #assembler = new AnswerAssembler()
  /** Items that are done, as JSON. */
  readonly #done: string[] = []
  /** The last item, as long as it is open: text blocks join, and a cut shows only afterwards. */
  #open: OutputItem | null = null
  /** The block that upstream is writing; null between blocks. */
  #current: AnswerBlock | null = null
  /** Where it goes: into the open message, or an item of its own; null where it is not shown. */
  #block: 'text' | ReasoningItem | CallItem | SearchItem | null = null
  #citations: UrlCitation[] = []
  #status: ResponseStatus = 'in_progress'
  #hasStarted = false
  #error: ResponseError | null = null
  #completedS: number | null = null

  constructor(head: AnswerHead) {
    this.#head = head
  }

  /** Takes one upstream event; answers what goes to the client. Unknown events are nothing. */
  accept(event: JsonObject): string {
    // What comes before the beginning belongs to no answer.
    if (!this.#hasStarted && event.type !== 'message_start') return ''
    const block = this.#assembler.add(event)
    switch (event.type) {
      case 'message_start':
        this.#start()
        break
      case 'content_block_start':
        if (block !== null && isObject(event.content_block))
          this.#startBlock(block, event.content_block)
        break
      case 'content_block_delta':
        if (block === this.#current && isObject(event.delta)) this.#delta(event.delta)
        break
      case 'content_block_stop':
        if (block === this.#current) this.#stopBlock()
    }
    return this.#writer.take()
  }

  /** Why upstream stopped; null where it did not say: then the answer is broken off. */
  get stopReason(): string | null {
    return this.#assembler.stopReason
  }

  /** The content so far, as upstream takes it back. */
  content(): readonly Block[] {
    return this.#assembler.content()
  }

  /** Ends the answer as upstream's stop reason says, which must be there; answers the terminal event. */
  finish(): string {
    const reason = this.stopReason ?? ''
    const isIncomplete = Object.hasOwn(INCOMPLETE, reason)
    if (reason === 'refusal') this.#refuse()
    else this.#close(isIncomplete ? 'incomplete' : 'completed')
    this.#status = isIncomplete ? 'incomplete' : 'completed'
    if (!isIncomplete) this.#completedS = this.#head.nowS?.() ?? null
    return this.#terminal()
  }

  /** Ends the answer with an error; only the terminal event is due, open items stay open. */
  fail(error: ResponseError): string {
    if (!this.#hasStarted) this.#start()
    if (this.#open !== null) this.#done.push(this.#open.json('incomplete'))
    this.#open = null
    this.#error = error
    this.#status = 'failed'
    return this.#terminal()
  }

  /** The response object as JSON, as far as it has come. */
  response(): string {
    const { usage, model } = this.#assembler
    const isOver = this.#status !== 'in_progress'
    const bill = isOver ? this.#head.bill?.() : undefined
    const reason = this.#status === 'incomplete' ? INCOMPLETE[this.stopReason ?? ''] : null
    const head = JSON.stringify({
      id: this.#head.id,
      object: 'response',
      created_at: this.#head.createdS,
      completed_at: this.#completedS,
      status: this.#status,
      background: false,
      error: this.#error,
      incomplete_details: reason === null ? null : { reason },
      model: model ?? '',
    })
    const tail = JSON.stringify({
      service_tier: serviceTierOf(usage),
      usage: isOver ? responsesUsage(usage, bill) : null,
    })
    const output = this.#done.join(',')
    return `${head.slice(0, -1)},"output":[${output}],${this.#head.echo},${tail.slice(1)}`
  }

  /** A further round of one answer (`pause_turn`) goes on where the one before stopped. */
  #start(): void {
    if (this.#hasStarted) return
    this.#hasStarted = true
    const response = this.response()
    this.#writer.write('response.created', `"response":${response}`)
    this.#writer.write('response.in_progress', `"response":${response}`)
  }

  #startBlock(block: AnswerBlock, start: JsonObject): void {
    this.#current = block
    this.#block = null
    switch (block.kind) {
      case 'text':
        this.#block = 'text'
        this.#citations = []
        this.#write(start.text)
        return
      case 'thinking':
      case 'redacted':
        this.#block = this.#begin(
          (place) => new ReasoningItem(place, block, this.#assembler.model ?? ''),
          'rs',
        )
        return
      case 'tool_use': {
        const tool = this.#head.toolNamed(block.name)
        const prefix = tool.isCustom ? 'ctc' : 'fc'
        this.#block = this.#begin((place) => new CallItem(place, block, tool), prefix)
        return
      }
      case 'other':
        if (start.type === 'server_tool_use' && start.name === 'web_search')
          this.#block = this.#begin((place) => new SearchItem(place, block), 'ws')
        else if (start.type === 'web_search_tool_result') this.#endSearch(start)
    }
  }

  #endSearch(result: JsonObject): void {
    if (!(this.#open instanceof SearchItem)) return
    if (!Array.isArray(result.content)) this.#open.fail()
    this.#close('completed')
  }

  #delta(delta: JsonObject): void {
    const block = this.#block
    if (block === 'text') {
      if (delta.type === 'text_delta') this.#write(delta.text)
      else if (delta.type === 'citations_delta') this.#cite(delta.citation)
    } else if (block instanceof ReasoningItem) {
      if (delta.type === 'thinking_delta') block.think(textOf(delta.thinking) ?? '')
    } else if (block instanceof CallItem) {
      if (delta.type === 'input_json_delta') block.push(textOf(delta.partial_json) ?? '')
    }
  }

  #write(text: unknown): void {
    if (typeof text === 'string' && text !== '') this.#message().write(text)
  }

  #cite(citation: unknown): void {
    if (!isObject(citation) || citation.type !== 'web_search_result_location') return
    const url = textOf(citation.url)
    if (url !== null) this.#citations.push({ url, title: textOf(citation.title) ?? '' })
  }

  #stopBlock(): void {
    const block = this.#block
    this.#current = null
    this.#block = null
    if (block === 'text') {
      if (this.#open instanceof MessageItem) this.#open.endBlock(this.#citations)
    } else if (block instanceof SearchItem) {
      block.search()
    } else if (block instanceof ReasoningItem) {
      this.#close(block.isWhole ? 'completed' : 'incomplete')
    } else if (block instanceof CallItem && block.isWhole) {
      // Clients start a call when it is done, so one that is whole does not wait for what comes next.
      this.#close('completed')
    }
  }

  /** Says the refusal as a part of the open message; without one, of a message of its own. */
  #refuse(): void {
    const details = this.#assembler.stopDetails ?? {}
    const category = textOf(details.category)
    const because = category === null ? '' : ` (${category})`
    const wasCut = this.#open instanceof MessageItem
    if (!wasCut) this.#close('incomplete')
    this.#message().refuse(
      textOf(details.explanation) ?? `The model declined to respond${because}.`,
    )
    this.#close(wasCut ? 'incomplete' : 'completed')
  }

  /** The open message; a new one where something else is open. */
  #message(): MessageItem {
    if (this.#open instanceof MessageItem) return this.#open
    return this.#begin((place) => new MessageItem(place, this.#head.isLooseJson), 'msg')
  }

  /** Begins an item; the one before it is whole, or nothing could follow it. */
  #begin<T extends OutputItem>(make: (place: ItemPlace) => T, prefix: string): T {
    this.#close('completed')
    const index = this.#done.length
    const id = `${prefix}_${this.#head.itemTag}_${index}`
    const members = `"item_id":${JSON.stringify(id)},"output_index":${index}`
    const item = make({ id, index, members, writer: this.#writer })
    this.#open = item
    return item
  }

  #close(status: 'completed' | 'incomplete'): void {
    const open = this.#open
    if (open === null) return
    this.#open = null
    open.finish(status)
    this.#done.push(open.json(status))
  }

  #terminal(): string {
    this.#writer.write(`response.${this.#status}`, `"response":${this.response()}`)
    return this.#writer.take()
  }
}
