import type { EventWriter } from './event-writer.ts'

/** `incomplete`: the item was cut before its end. */
export type ItemStatus = 'in_progress' | 'completed' | 'incomplete'

/** Where an output item stands: its id, its `output_index`, and the stream that its events go to. */
export interface ItemPlace {
  readonly id: string
  readonly index: number
  /** `item_id` and `output_index` as JSON: what most events of the item begin with. */
  readonly members: string
  readonly writer: EventWriter
}

/** An entry of `output` in the making. */
export interface OutputItem {
  /** The item as JSON, as far as it has come. */
  json(status: ItemStatus): string
  /** Writes the events that end the item. */
  finish(status: 'completed' | 'incomplete'): void
}

/** Tells that an item begins. */
export function writeAdded(place: ItemPlace, item: string): void {
  place.writer.write('response.output_item.added', `"output_index":${place.index},"item":${item}`)
}

/** Tells that an item is done; clients build their history from these. */
export function writeDone(place: ItemPlace, item: string): void {
  place.writer.write('response.output_item.done', `"output_index":${place.index},"item":${item}`)
}
