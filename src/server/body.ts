import type { IncomingMessage } from 'node:http'
import { GatewayError } from '../core/errors.ts'
import type { Incoming } from './context.ts'

/** How a body may arrive: at most so big, and not slower than this after a time of grace. */
export interface BodyLimits {
  readonly maxBytes: number
  readonly graceMs: number
  readonly minBytesPerSecond: number
}

/** Reads a request's body; a client that asked first is told to go on once nothing speaks against it. */
export async function receiveBody(incoming: Incoming): Promise<Buffer> {
  const { request, response, context } = incoming
  const limits = { maxBytes: context.maxBodyBytes, ...BODY_PACE }
  refuseByHeaders(request, limits)
  if (incoming.awaitsContinue) response.writeContinue()
  return readBody(request, limits)
}

/** What the headers alone rule out. */
function refuseByHeaders(request: IncomingMessage, limits: BodyLimits): void {
  const declared = declaredLength(request)
  if (declared !== null && declared > limits.maxBytes) throw tooLarge(declared, limits)
  // What is checked and priced must be what upstream reads, so nobody else may decode it.
  const coding = request.headers['content-encoding']
  if (coding !== undefined && coding.toLowerCase() !== 'identity') {
    throw new GatewayError('invalid_request', {
      facts: {
        field: 'content-encoding',
        problem: 'compressed bodies are not taken here, send the JSON as it is',
      },
    })
  }
}

/** Free for slow links: ten seconds without a rate, then 16 KiB/s on average. */
export const BODY_PACE = { graceMs: 10_000, minBytesPerSecond: 16 * 1024 } as const

/**
 * Reads the whole body as one buffer, each byte copied at most once. Fails with `request_too_large`,
 * `body_timeout`, or `ClientGone` when the client leaves first.
 */
export function readBody(request: IncomingMessage, limits: BodyLimits): Promise<Buffer> {
  const declared = declaredLength(request)
  if (declared !== null && declared > limits.maxBytes)
    return Promise.reject(tooLarge(declared, limits))
  // A small body came in one read with its headers: it is taken at once, without listeners and timers.
  if (declared !== null && declared > 0 && request.readableLength === declared) {
    const body: unknown = request.read()
    if (Buffer.isBuffer(body)) return Promise.resolve(body)
  }
  // Its 'close' has been told already and will not be told again.
  if (request.destroyed) return Promise.reject(new ClientGone())
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let received = 0
    let seconds = 0
    let done = false
    const pace = setInterval(() => {
      seconds++
      const elapsedMs = seconds * 1_000
      if (elapsedMs < limits.graceMs) return
      if (received < (elapsedMs / 1_000) * limits.minBytesPerSecond) {
        finish(new GatewayError('body_timeout', { facts: { seconds }, retryAfterMs: 1_000 }))
      }
    }, 1_000)
    pace.unref()

    const finish = (failure: Error | null) => {
      if (done) return
      done = true
      clearInterval(pace)
      request.off('data', onData)
      request.off('end', onEnd)
      request.off('close', onClose)
      request.off('error', onClose)
      if (failure !== null) {
        request.resume()
        reject(failure)
      } else {
        resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, received))
      }
    }
    const onData = (chunk: Buffer) => {
      received += chunk.length
      if (received > limits.maxBytes) finish(tooLarge(received, limits))
      else chunks.push(chunk)
    }
    const onEnd = () => finish(null)
    const onClose = () => finish(new ClientGone())
    request.on('data', onData)
    request.on('end', onEnd)
    request.on('close', onClose)
    request.on('error', onClose)
  })
}

/** The client closed the connection; there is nobody to answer. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone'
}

function declaredLength(request: IncomingMessage): number | null {
  const text = request.headers['content-length']
  return text === undefined ? null : Number(text)
}

function tooLarge(bytes: number, limits: BodyLimits): GatewayError {
  const tenths = (count: number) => (count * 10) / 1_048_576
  const mebibytes = (count: number) => (count / 10).toFixed(1).replace(/\.0$/, '')
  return new GatewayError('request_too_large', {
    facts: {
      // Upward, so that it never reads as large as the limit.
      size: mebibytes(Math.ceil(tenths(bytes))),
      limit: mebibytes(Math.floor(tenths(limits.maxBytes))),
    },
  })
}
