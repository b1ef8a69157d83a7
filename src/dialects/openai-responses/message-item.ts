import { FenceReader } from '../openai/json-fence.ts'
import type { ItemPlace, ItemStatus, OutputItem } from './output-item.ts'
import { writeAdded, writeDone } from './output-item.ts'

/** A web page that a piece of text rests on. */
export interface UrlCitation {
  readonly url: string
  readonly title: string
}

/** A run of text blocks, and a refusal behind it, as one `message` item. */
export class MessageItem implements OutputItem {
  readonly #place: ItemPlace
  /** Null where text passes as it is. */
  readonly #fence: FenceReader | null
  #text = ''
  #refusal = ''
  #isTextOver = false
  readonly #annotations: string[] = []
  /** Where the open text block begins in the text, in UTF-16 units. */
  #blockStart = 0

  constructor(place: ItemPlace, isLooseJson: boolean) {
    this.#place = place
    this.#fence = isLooseJson ? new FenceReader() : null
    const id = JSON.stringify(place.id)
    writeAdded(
      place,
      `{"id":${id},"type":"message","role":"assistant","status":"in_progress","content":[]}`,
    )
  }

  /** Takes a further piece of text; an empty one is nothing. */
  write(piece: string): void {
    this.#say(this.#fence === null ? piece : this.#fence.push(piece))
  }

  #say(piece: string): void {
    if (piece === '') return
    if (this.#text === '') this.#addPart(0, outputText('""', ''))
    this.#text += piece
    this.#event('response.output_text.delta', 0, `"delta":${JSON.stringify(piece)},"logprobs":[]`)
  }

  /** Ends a text block: only now is it known from where to where its citations go. */
  endBlock(citations: readonly UrlCitation[]): void {
    for (const { url, title } of citations) {
      const annotation = JSON.stringify({
        type: 'url_citation',
        start_index: this.#blockStart,
        end_index: this.#text.length,
        url,
        title,
      })
      this.#event(
        'response.output_text.annotation.added',
        0,
        `"annotation_index":${this.#annotations.length},"annotation":${annotation}`,
      )
      this.#annotations.push(annotation)
    }
    this.#blockStart = this.#text.length
  }

  /** Adds why the model declined, as a part of its own. */
  refuse(reason: string): void {
    this.#endText()
    this.#refusal = reason
    const index = this.#text === '' ? 0 : 1
    this.#addPart(index, '{"type":"refusal","refusal":""}')
    this.#event('response.refusal.delta', index, `"delta":${JSON.stringify(reason)}`)
  }

  json(status: ItemStatus): string {
    const parts = []
    if (this.#text !== '' || this.#refusal === '') parts.push(this.#textPart())
    if (this.#refusal !== '') parts.push(this.#refusalPart())
    return (
      `{"id":${JSON.stringify(this.#place.id)},"type":"message","role":"assistant",` +
      `"status":"${status}","content":[${parts.join(',')}]}`
    )
  }

  finish(status: 'completed' | 'incomplete'): void {
    this.#endText()
    // A fence may be all that came: clients still expect a part.
    const isEmpty = this.#text === '' && this.#refusal === ''
    if (isEmpty) this.#addPart(0, outputText('""', ''))
    let index = 0
    if (this.#text !== '' || isEmpty) {
      const text = JSON.stringify(this.#text)
      this.#event('response.output_text.done', index, `"text":${text},"logprobs":[]`)
      this.#event('response.content_part.done', index, `"part":${this.#textPart()}`)
      index += 1
    }
    if (this.#refusal !== '') {
      this.#event('response.refusal.done', index, `"refusal":${JSON.stringify(this.#refusal)}`)
      this.#event('response.content_part.done', index, `"part":${this.#refusalPart()}`)
    }
    writeDone(this.#place, this.json(status))
  }

  /** What a fence may have begun with, or ended in, is text after all. */
  #endText(): void {
    if (this.#fence === null || this.#isTextOver) return
    this.#isTextOver = true
    this.#say(this.#fence.end())
  }

  #addPart(index: number, part: string): void {
    this.#event('response.content_part.added', index, `"part":${part}`)
  }

  #event(type: string, contentIndex: number, members: string): void {
    const place = this.#place.members
    this.#place.writer.write(type, `${place},"content_index":${contentIndex},${members}`)
  }

  #textPart(): string {
    return outputText(JSON.stringify(this.#text), this.#annotations.join(','))
  }

  #refusalPart(): string {
    return `{"type":"refusal","refusal":${JSON.stringify(this.#refusal)}}`
  }
}

function outputText(text: string, annotations: string): string {
  return `{"type":"output_text","text":${text},"annotations":[${annotations}],"logprobs":[]}`
}
