/** A Markdown fence around the whole text, up to its first line's end. */
const OPENING = /^\s*```(?:json)?[^\S\n]*\n/i
/** What may still become one. */
const BEGUN = /^\s*(?:`{0,2}|```(?:j|js|jso|json)?[^\S\n]*)$/i
/** No fence takes so long to begin. */
const MAX_BEGIN = 64

/**
 * Takes the fence off JSON that a model has wrapped in one, piece by piece: what may be the fence's beginning
 * or its end is held back until it is clear. Text without a fence passes as it is.
 */
export class FenceReader {
  #state: 'before' | 'inside' | 'none' = 'before'
  #rest = ''

  /** Takes a further piece and answers the text that is certain. */
  push(piece: string): string {
    if (this.#state === 'none') return piece
    this.#rest += piece
    if (this.#state === 'before') this.#begin()
    if (this.#state === 'before') return ''
    const end = this.#state === 'inside' ? closingStart(this.#rest) : this.#rest.length
    const text = this.#rest.slice(0, end)
    this.#rest = this.#rest.slice(end)
    return text
  }

  /** The text that is still due at the end. */
  end(): string {
    const isClosing = this.#state === 'inside' && this.#rest.trim() === '```'
    return isClosing ? '' : this.#rest
  }

  #begin(): void {
    const opening = OPENING.exec(this.#rest)
    if (opening !== null && opening[0].length <= MAX_BEGIN) {
      this.#rest = this.#rest.slice(opening[0].length)
      this.#state = 'inside'
    } else if (this.#rest.length > MAX_BEGIN || !BEGUN.test(this.#rest)) {
      this.#state = 'none'
    }
  }
}

/** The whole text without its fence. */
export function withoutFence(text: string): string {
  const reader = new FenceReader()
  return reader.push(text) + reader.end()
}

/** Where at its end a text may be the closing fence: backticks with blanks around them. */
function closingStart(text: string): number {
  let at = blanksStart(text, text.length)
  for (let ticks = 0; ticks < 3 && text[at - 1] === '`'; ticks++) at -= 1
  return blanksStart(text, at)
}

function blanksStart(text: string, end: number): number {
  let at = end
  while (at > 0 && text[at - 1].trim() === '') at -= 1
  return at
}
