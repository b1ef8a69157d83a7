import type { AnswerBlock } from '../openai/assemble.ts'
import { isObject, parseJson, textOf } from '../openai/json.ts'
import type { ItemPlace, ItemStatus, OutputItem } from './output-item.ts'
import { writeAdded, writeDone } from './output-item.ts'

/** A block of a tool that upstream runs itself, as the answer puts it together. */
export type ServerToolPart = Extract<AnswerBlock, { kind: 'other' }>

/** A web search that upstream ran, as a `web_search_call` item. */
export class SearchItem implements OutputItem {
  readonly #place: ItemPlace
  readonly #block: ServerToolPart
  #hasFailed = false

  constructor(place: ItemPlace, block: ServerToolPart) {
    this.#place = place
    this.#block = block
    writeAdded(place, this.json('in_progress'))
    place.writer.write('response.web_search_call.in_progress', place.members)
  }

  /** The query is whole: the search runs. */
  search(): void {
    this.#place.writer.write('response.web_search_call.searching', this.#place.members)
  }

  /** The search answered with an error. */
  fail(): void {
    this.#hasFailed = true
  }

  json(status: ItemStatus): string {
    return JSON.stringify({
      id: this.#place.id,
      type: 'web_search_call',
      status: this.#hasFailed ? 'failed' : status,
      action: { type: 'search', query: this.#query },
    })
  }

  finish(status: 'completed' | 'incomplete'): void {
    if (status === 'completed' && !this.#hasFailed) {
      this.#place.writer.write('response.web_search_call.completed', this.#place.members)
    }
    writeDone(this.#place, this.json(status))
  }

  get #query(): string {
    const { json, start } = this.#block
    const input = json === '' ? start.input : parseJson(json)
    return isObject(input) ? (textOf(input.query) ?? '') : ''
  }
}
