import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import type { TestContext } from 'node:test'

/** A request as it stood on the wire. */
export interface RawRequest {
  /** Request line and headers with their line ends, without the blank line. */
  readonly head: string
  readonly requestLine: string
  /** As sent, in order. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: Buffer
}

/** An upstream made of sockets alone: nothing between the test and the bytes. */
export interface RawUpstream {
  readonly url: string
  readonly requests: readonly RawRequest[]
  /** How many connections are open now. */
  openSockets(): number
}

const BLANK_LINE = Buffer.from('\r\n\r\n')

/** Listens until the test ends; `answer` writes what it likes for each whole request. */
export async function rawUpstream(
  t: TestContext,
  answer: (request: RawRequest, socket: Socket) => void,
): Promise<RawUpstream> {
  const requests: RawRequest[] = []
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    let pending = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      pending = Buffer.concat([pending, chunk])
      for (let taken = takeRequest(pending); taken !== null; taken = takeRequest(pending)) {
        pending = taken.rest
        requests.push(taken.request)
        answer(taken.request, socket)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo // a TCP server that listens has one
  return { url: `http://127.0.0.1:${port}`, requests, openSockets: () => sockets.size }
}

function takeRequest(bytes: Buffer<ArrayBuffer>) {
  const end = bytes.indexOf(BLANK_LINE)
  if (end < 0) return null
  const head = bytes.toString('latin1', 0, end)
  const [requestLine, ...lines] = head.split('\r\n')
  const headers = lines.map((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).trim()] as const
  })
  const length = Number(valuesOf(headers, 'content-length')[0] ?? 0)
  const from = end + BLANK_LINE.length
  if (bytes.length < from + length) return null
  const body = bytes.subarray(from, from + length)
  return { request: { head, requestLine, headers, body }, rest: bytes.subarray(from + length) }
}

/** All values of a header, in order; `name` in lower case. */
export function valuesOf(
  headers: readonly (readonly [name: string, value: string])[],
  name: string,
): string[] {
  return headers.filter(([known]) => known.toLowerCase() === name).map(([, value]) => value)
}
