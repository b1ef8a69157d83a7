import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { ERRORS, GatewayError } from '../core/errors.ts'
import type { Dialect } from '../dialects/dialect.ts'
import { DIALECTS } from '../dialects/index.ts'
import { ClientGone } from './body.ts'
import type { Incoming, ServerContext } from './context.ts'
import { dialectOf } from './dialect-of.ts'
import { ownHeaders } from './own-headers.ts'
import { replyError, toGatewayError, wireError } from './reply.ts'
import { findRoute } from './router.ts'

/** Request line and headers together, in bytes. */
const MAX_HEADER_BYTES = 16 * 1024
const MAX_CONNECTIONS = 10_000
/** Bodies up to this are read to their end after a refusal, so that the connection stays usable. */
const DRAIN_BYTES = 256 * 1024
/** What cannot be read as a request is answered in this format. */
const BROKEN_HTTP: Dialect = DIALECTS['/v1/messages']
/** How long a client may take to read an answer to broken HTTP. */
const BY_HAND_MS = 1_000

/** The HTTP server in front of the routes; the caller lets it listen. */
export function createListener(context: ServerContext): Server {
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: context.headersTimeoutMs,
      // Bodies have a pace of their own (body.ts); an answer may take an hour.
      requestTimeout: 0,
      keepAliveTimeout: 75_000,
      connectionsCheckingInterval: 1_000,
      insecureHTTPParser: false,
      // Node would answer without a body; `handle` refuses it in our shape.
      requireHostHeader: false,
      noDelay: true,
    },
    (request, response) => void handle(context, request, response, false),
  )
  server.maxConnections = MAX_CONNECTIONS
  server.on('checkContinue', (request, response) => void handle(context, request, response, true))
  // Any other expectation cannot be met; Node would answer without a body.
  server.on(
    'checkExpectation',
    (request, response) => void handle(context, request, response, false),
  )
  server.on('connect', (request, socket) => answerConnect(context, request, socket as Socket)) // as below
  server.on('clientError', (error, socket) => answerBrokenHttp(context, error, socket as Socket)) // node:http gives its own sockets
  return server
}

async function handle(
  context: ServerContext,
  request: IncomingMessage,
  response: ServerResponse,
  awaitsContinue: boolean,
): Promise<void> {
  const { clock, contact, log } = context.gateway
  const url = request.url ?? ''
  const query = url.indexOf('?')
  const path = query < 0 ? url : url.slice(0, query)
  const incoming: Incoming = {
    context,
    request,
    response,
    requestId: context.makeRequestId(),
    dialect: dialectOf(request, path, context.hasOpenAi),
    live: null,
    awaitsContinue,
    path,
    arrivedAtMs: clock.nowMs(),
    arrivedMs: clock.monotonicMs(),
  }
  // A client that goes away mid-answer must not become an uncaught error; each step sees 'close' itself.
  response.on('error', ignore)
  const lacksHost = request.headers.host === undefined && request.httpVersion === '1.1'
  try {
    if (lacksHost) throw brokenHttp()
    const { route, id } = findRoute(request.method ?? '', path, context.hasOpenAi)
    await route.serve(incoming, id)
  } catch (error) {
    if (error instanceof ClientGone) return
    const failure = toGatewayError(error)
    if (failure.code === 'internal_error')
      log.error({ requestId: incoming.requestId, err: error }, 'request.failed')
    replyError(response, failure, {
      dialect: incoming.dialect,
      requestId: incoming.requestId,
      contact,
      extraHeaders: ownHeaders(incoming),
      closeConnection: lacksHost || awaitsContinue || !isDrained(request),
      isReceiving: !awaitsContinue && !isDrained(request),
    })
  }
}

/** Whether what is left of the body is small enough to be read and thrown away. */
function isDrained(request: IncomingMessage): boolean {
  if (request.complete) return true
  const declared = request.headers['content-length']
  if (declared === undefined) return request.headers['transfer-encoding'] === undefined
  return Number(declared) <= DRAIN_BYTES
}

/** Nobody is tunnelled anywhere; Node would hang up without a word. */
function answerConnect(context: ServerContext, request: IncomingMessage, socket: Socket): void {
  const path = (request.url ?? '').slice(0, 200)
  writeByHand(
    context,
    socket,
    new GatewayError('route_not_found', { facts: { method: 'CONNECT', path } }),
  )
}

/** Broken HTTP never reaches a route; it gets our error shape all the same, written by hand. */
function answerBrokenHttp(
  context: ServerContext,
  error: Error & { code?: string },
  socket: Socket,
): void {
  // Behind a request that is being answered, an error would stand in the middle of its answer.
  if (error.code === 'ECONNRESET' || !socket.writable || isAnswering(socket)) {
    socket.destroy()
    return
  }
  if (error.code === 'HPE_HEADER_OVERFLOW') {
    writeByHand(context, socket, new GatewayError('headers_too_large'))
  } else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    const seconds = Math.round(context.headersTimeoutMs / 1_000)
    writeByHand(context, socket, new GatewayError('body_timeout', { facts: { seconds } }))
  } else {
    writeByHand(context, socket, brokenHttp())
  }
}

function brokenHttp(): GatewayError {
  const facts = { field: 'HTTP', problem: 'the request is not valid HTTP/1.1' }
  return new GatewayError('invalid_request', { facts })
}

/** Node's own mark of the response that a socket belongs to now, as its manual shows for `clientError`. */
function isAnswering(socket: Socket & { _httpMessage?: object | null }): boolean {
  return (socket._httpMessage ?? null) !== null
}

function writeByHand(context: ServerContext, socket: Socket, failure: GatewayError): void {
  const requestId = context.makeRequestId()
  const wire = wireError(failure, requestId, context.gateway.contact)
  const body = BROKEN_HTTP.renderError(wire)
  const retry = ERRORS[failure.code].retryable ? '' : 'x-should-retry: false\r\n'
  socket.on('error', ignore)
  // Node has let go of it: a client that keeps its side open would keep the connection, and a stop, for ever.
  const timer = setTimeout(() => socket.destroy(), BY_HAND_MS)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
  socket.once('end', () => socket.destroySoon())
  socket.resume()
  socket.end(
    `HTTP/1.1 ${wire.status} ${STATUS_CODES[wire.status] ?? 'Error'}\r\n` +
      `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n` +
      `x-cc-request-id: ${requestId}\r\nrequest-id: ${requestId}\r\ncache-control: no-store\r\n` +
      `${retry}connection: close\r\n\r\n${body}`,
  )
}

function ignore(): void {}
