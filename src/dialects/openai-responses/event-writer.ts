/** Writes events of a Responses stream; `sequence_number` counts from 0. */
export class EventWriter {
  #next = 0
  #text = ''

  /** Adds one event. `members` are the JSON members behind `type` and `sequence_number`. */
  write(type: string, members: string): void {
    const head = `{"type":"${type}","sequence_number":${this.#next}`
    this.#text += `event: ${type}\ndata: ${head},${members}}\n\n`
    this.#next += 1
  }

  /** What was written since the last call. */
  take(): string {
    const text = this.#text
    this.#text = ''
    return text
  }
}
