import { isObject, parseJson } from './json.ts'

/** What every call of a custom tool begins with upstream, up to its text. */
const BEGIN = /^\s*\{\s*"input"\s*:\s*"/

/** JSON that has not begun so by then is of another form, and read at its end. */
const MAX_BEGIN = 64

/** The text of a custom tool's call out of its whole JSON; JSON of another form stands for itself. */
export function customText(json: string): string {
  const value = parseJson(json)
  return isObject(value) && typeof value.input === 'string' ? value.input : json
}

/**
 * The free text of a custom tool out of the JSON `{"input":"…"}` that a model writes for it, piece by piece:
 * escapes cut in two and halves of surrogate pairs are held back until their rest is here. All pieces
 * together are `customText` of the whole.
 */
export class CustomInputReader {
  #state: 'before' | 'inside' | 'behind' | 'odd' = 'before'
  /** JSON that is not decoded yet: a few characters, or everything where the form is another one. */
  #rest = ''

  /** Takes a further piece of JSON and answers the text that it completes. */
  push(piece: string): string {
    if (this.#state === 'behind') return ''
    this.#rest += piece
    if (this.#state === 'before') this.#begin()
    return this.#state === 'inside' ? this.#decode() : ''
  }

  /** The text that is still due at the end. */
  end(): string {
    const rest = this.#rest
    this.#rest = ''
    if (this.#state === 'before' || this.#state === 'odd') return customText(rest)
    return this.#state === 'inside' ? decoded(rest) : ''
  }

  #begin(): void {
    const begin = BEGIN.exec(this.#rest)
    if (begin !== null) {
      this.#rest = this.#rest.slice(begin[0].length)
      this.#state = 'inside'
    } else if (this.#rest.length > MAX_BEGIN) {
      this.#state = 'odd'
    }
  }

  #decode(): string {
    const rest = this.#rest
    const quote = closingQuote(rest)
    const end = quote === -1 ? wholeEnd(rest) : quote
    if (quote !== -1) this.#state = 'behind'
    this.#rest = quote === -1 ? rest.slice(end) : ''
    return decoded(rest.slice(0, end))
  }
}

/** Where the open string ends; -1 when its quote is not here yet. */
function closingQuote(json: string): number {
  for (let i = 0; i < json.length; i++) {
    const c = json.charCodeAt(i)
    if (c === 0x5c) i += 1
    else if (c === 0x22) return i
  }
  return -1
}

/** Up to where the open string is whole: no cut escape, no first half of a pair at the end. */
function wholeEnd(json: string): number {
  let at = 0
  let end = 0
  while (at < json.length) {
    const next = at + unitLength(json, at)
    if (next > json.length) return end
    if (!isHighHalf(json, at)) end = next
    at = next
  }
  return end
}

/** Length of the character or escape at `at`. */
function unitLength(json: string, at: number): number {
  if (json.charCodeAt(at) !== 0x5c) return 1
  return json[at + 1] === 'u' ? 6 : 2
}

function isHighHalf(json: string, at: number): boolean {
  const code = json.charCodeAt(at)
  if (code !== 0x5c) return code >= 0xd800 && code <= 0xdbff
  return /^\\u[dD][89abAB]/.test(json.slice(at, at + 4))
}

/** A piece of a JSON string's inside; what is no JSON stays as it was written. */
function decoded(raw: string): string {
  if (!raw.includes('\\')) return raw
  const value = parseJson(`"${raw}"`)
  return typeof value === 'string' ? value : raw
}
