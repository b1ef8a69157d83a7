import type { AnswerBlock } from '../openai/assemble.ts'
import { argumentsOf } from '../openai/assemble.ts'
import { CustomInputReader } from '../openai/custom-input.ts'
import { isObject, parseJson } from '../openai/json.ts'
import type { ItemPlace, ItemStatus, OutputItem } from './output-item.ts'
import { writeAdded, writeDone } from './output-item.ts'

/** What a call needs to know of its tool. */
export interface CalledTool {
  readonly isCustom: boolean
  /** The name that the client knows. */
  readonly name: string
  readonly namespace: string | null
}

/** A block of a tool's call, as the answer puts it together. */
export type CallPart = Extract<AnswerBlock, { kind: 'tool_use' }>

/** A call of one of the client's tools as a `function_call` or `custom_tool_call` item. */
export class CallItem implements OutputItem {
  readonly #place: ItemPlace
  readonly #block: CallPart
  readonly #tool: CalledTool
  readonly #custom: CustomInputReader | null
  /** What went out of the input: JSON, or a custom tool's text. */
  #sent = ''

  constructor(place: ItemPlace, block: CallPart, tool: CalledTool) {
    this.#place = place
    this.#block = block
    this.#tool = tool
    this.#custom = tool.isCustom ? new CustomInputReader() : null
    writeAdded(place, this.json('in_progress'))
  }

  /** Tells of a further piece of the input's JSON. */
  push(piece: string): void {
    this.#send(this.#custom === null ? piece : this.#custom.push(piece))
  }

  /** Whether the input is there from end to end. Without a piece of it, it may be empty or cut. */
  get isWhole(): boolean {
    const { json, input } = this.#block
    if (json === '') return isObject(input) && Object.keys(input).length > 0
    return parseJson(json) !== undefined
  }

  json(status: ItemStatus): string {
    const { name, namespace } = this.#tool
    const isCustom = this.#custom !== null
    return JSON.stringify({
      id: this.#place.id,
      type: isCustom ? 'custom_tool_call' : 'function_call',
      status,
      call_id: this.#block.id,
      name,
      ...(namespace === null ? {} : { namespace }),
      [isCustom ? 'input' : 'arguments']: this.#sent,
    })
  }

  /**
   * Ends the item. A call that was cut gets no further event: clients run what is reported as done, and half
   * a command must not run. It stands in the final `output`, marked incomplete.
   */
  finish(status: 'completed' | 'incomplete'): void {
    if (status === 'incomplete') return
    if (this.#block.json === '') this.push(argumentsOf(this.#block))
    if (this.#custom !== null) this.#send(this.#custom.end())
    const value = JSON.stringify(this.#sent)
    const place = this.#place.members
    const { writer } = this.#place
    if (this.#custom !== null) {
      writer.write('response.custom_tool_call_input.done', `${place},"input":${value}`)
    } else {
      const name = JSON.stringify(this.#tool.name)
      const members = `${place},"name":${name},"arguments":${value}`
      writer.write('response.function_call_arguments.done', members)
    }
    writeDone(this.#place, this.json(status))
  }

  #send(piece: string): void {
    if (piece === '') return
    this.#sent += piece
    const kind = this.#custom === null ? 'function_call_arguments' : 'custom_tool_call_input'
    const members = `${this.#place.members},"delta":${JSON.stringify(piece)}`
    this.#place.writer.write(`response.${kind}.delta`, members)
  }
}
