/** `{"input":"`, where the text of a custom tool begins. */
const BEGIN = /^\s*\{\s*"input"\s*:\s*"/

/**
 * The free text of a custom tool out of the JSON `{"input":"…"}` that a model writes for it, piece by piece:
 * escapes cut in two and halves of surrogate pairs are held back until their rest is here.
 */
export class CustomInput {
  /** All JSON so far; read once, at the end, so that long input is not copied piece by piece. */
  #json = ''
  /** What is not decoded yet. */
  #rest = ''
  #state: 'before' | 'inside' | 'behind' = 'before'
  #text = ''

  /** Takes a further piece of JSON and answers the text that it completes. */
  push(piece: string): string {
    this.#json += piece
    if (this.#state === 'behind') return ''
    this.#rest += piece
    if (this.#state === 'before') {
      const begin = BEGIN.exec(this.#rest)
      if (begin === null) return ''
      this.#rest = this.#rest.slice(begin[0].length)
      this.#state = 'inside'
    }
    const text = this.#decode()
    this.#text += text
    return text
  }

  /** The text that is still due at the end, where the JSON was not of the usual form. */
  end(): string {
    if (this.#state !== 'before') return ''
    this.#text = inputOf(this.#json)
    return this.#text
  }

  /** The text so far. */
  get text(): string {
    return this.#text
  }

  #decode(): string {
    const rest = this.#rest
    const quote = closingQuote(rest)
    const end = quote === -1 ? wholeEnd(rest) : quote
    if (quote !== -1) this.#state = 'behind'
    this.#rest = rest.slice(end)
    return unescape(rest.slice(0, end))
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

function unescape(raw: string): string {
  if (raw === '') return ''
  try {
    return String(JSON.parse(`"${raw}"`))
  } catch {
    // A raw control character or a wrong escape: not JSON, so the text stays as it was written.
    return raw
  }
}

/** `input` of a whole JSON text; JSON of another form stands for itself. */
function inputOf(json: string): string {
  try {
    const value: unknown = JSON.parse(json)
    if (typeof value !== 'object' || value === null || !('input' in value)) return json
    return typeof value.input === 'string' ? value.input : JSON.stringify(value.input)
  } catch {
    return json
  }
}
