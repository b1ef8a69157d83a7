import { connect } from 'node:net'

/** An answer as it stood on the wire. */
export interface RawAnswer {
  readonly status: number
  /** By lower-case name; repeated ones joined by a comma. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** What a raw exchange came to: every answer, in order, and who closed. */
export interface RawExchange {
  readonly answers: readonly RawAnswer[]
  readonly text: string
  /** The server closed the connection; false: it was still open when the waiting ended. */
  readonly closed: boolean
}

/** When to stop reading: so many answers are whole, or the server closes. */
export interface RawOptions {
  readonly answers?: number
  /** Give up after this; generous, for only a failing test waits so long. */
  readonly withinMs?: number
  /** Keep the connection after the answers for so long, to see whether the server closes it. */
  readonly lingerMs?: number
  /** As simple clients do: all is written before the first byte is read. */
  readonly readsWhenAllIsSent?: boolean
  /** Told as bytes arrive; may write more. */
  readonly onText?: (text: string, write: (bytes: string | Buffer) => void) => void
}

/** Writes bytes to a server over one connection and reads what comes back. */
export function rawExchange(
  url: string,
  bytes: string | Buffer | readonly (string | Buffer)[],
  options: RawOptions = {},
): Promise<RawExchange> {
  const { hostname, port } = new URL(url)
  const { answers: wanted = 1, withinMs = 10_000, lingerMs = 0 } = options
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true })
    const chunks: Buffer[] = []
    let lingering = false
    const parts = Array.isArray(bytes) ? bytes : [bytes]
    const done = (closed: boolean) => {
      clearTimeout(timer)
      socket.destroy()
      const text = Buffer.concat(chunks).toString('latin1')
      resolve({ answers: parseAnswers(text), text, closed })
    }
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new Error(`no end within ${withinMs} ms: ${Buffer.concat(chunks).toString('latin1')}`))
    }, withinMs)
    socket.on('connect', () => {
      if (options.readsWhenAllIsSent) {
        socket.pause()
        socket.once('drain', () => socket.resume())
      }
      for (const part of parts) socket.write(part)
    })
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      const text = Buffer.concat(chunks).toString('latin1')
      options.onText?.(text, (more) => socket.write(more))
      if (!lingering && parseAnswers(text).length >= wanted) {
        lingering = true
        if (lingerMs === 0) done(false)
        else setTimeout(() => done(false), lingerMs)
      }
    })
    socket.on('error', () => {})
    socket.on('close', () => done(true))
  })
}

/** The whole answers in a text; 1xx ones count as answers without a body. */
export function parseAnswers(text: string): RawAnswer[] {
  const answers: RawAnswer[] = []
  let rest = text
  for (;;) {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) return answers
    const [statusLine, ...lines] = rest.slice(0, end).split('\r\n')
    const headers = new Map<string, string>()
    for (const line of lines) {
      const colon = line.indexOf(':')
      const name = line.slice(0, colon).toLowerCase()
      const value = line.slice(colon + 1).trim()
      const before = headers.get(name)
      headers.set(name, before === undefined ? value : `${before}, ${value}`)
    }
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1] ?? Number.NaN)
    rest = rest.slice(end + 4)
    let body = ''
    if (headers.get('transfer-encoding') === 'chunked') {
      const read = readChunked(rest)
      if (read === null) return answers
      body = read.body
      rest = read.rest
    } else if (headers.has('content-length')) {
      const length = Number(headers.get('content-length'))
      if (rest.length < length) return answers
      body = rest.slice(0, length)
      rest = rest.slice(length)
    }
    answers.push({ status, headers, body })
  }
}

function readChunked(text: string): { body: string; rest: string } | null {
  let body = ''
  let at = 0
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at)
    if (lineEnd < 0) return null
    const size = Number.parseInt(text.slice(at, lineEnd), 16)
    if (Number.isNaN(size)) return null
    const from = lineEnd + 2
    if (text.length < from + size + 2) return null
    if (size === 0) return { body, rest: text.slice(from + 2) }
    body += text.slice(from, from + size)
    at = from + size + 2
  }
}
