import type { IncomingMessage } from 'node:http'
import type { Asked } from './asked.ts'

const MAX_BODY_BYTES = 32 * 1024 * 1024

/** The credential of a request; with both headers the API key wins. */
export function keyOf(request: IncomingMessage): string | null {
  const key = request.headers['x-api-key']
  if (typeof key === 'string') return key
  const match = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')
  return match ? match[1] : null
}

/** What the routes need of a request. */
export function askedOf(
  request: IncomingMessage,
  rest: Pick<Asked, 'body' | 'requestId' | 'account'>,
): Asked {
  const url = request.url ?? '/'
  const mark = url.indexOf('?')
  return {
    method: request.method ?? 'GET',
    path: mark < 0 ? url : url.slice(0, mark),
    query: new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1)),
    headers: request.headers,
    ...rest,
  }
}

/** The whole body, or null when it is larger than upstream takes (the rest is read and dropped). */
export function receiveBody(request: IncomingMessage, done: (body: Buffer | null) => void): void {
  const chunks: Buffer[] = []
  let length = 0
  request.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length <= MAX_BODY_BYTES) chunks.push(chunk)
    else chunks.length = 0
  })
  request.on('end', () => {
    if (length > MAX_BODY_BYTES) done(null)
    // Copied, for a recorded body would keep the whole buffer that it was read into.
    else done(Buffer.concat(chunks))
  })
  // A caller that leaves in the middle of its request: 'close' of the response cleans up.
  request.on('error', () => {})
}

/** Headers by lower-case name, repeated ones joined. */
export function joinHeaders(rawHeaders: readonly string[]): { readonly [name: string]: string } {
  const headers: { [name: string]: string } = {}
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i].toLowerCase()
    headers[name] = name in headers ? `${headers[name]}, ${rawHeaders[i + 1]}` : rawHeaders[i + 1]
  }
  return headers
}
