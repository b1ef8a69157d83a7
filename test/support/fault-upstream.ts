import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import { ANSWERS, type Cell } from './fault-cells.ts'
import type { RawRequest } from './raw-upstream.ts'
import { rawUpstream } from './raw-upstream.ts'

/** An upstream of bare sockets that breaks each request where its cell says. */
export interface FaultUpstream {
  /** The base URL of an account that suffers this cell. */
  baseUrlOf(cellIndex: number): string
  /** The base URL of an account that is well. */
  readonly wellUrl: string
  /** From now on no cell breaks, where a server is there at all. */
  heal(): void
  /** While set, answers wait until so many requests are there at the same time. */
  gather(count: number): void
  /** Connections that are open, and those of them with an answer that is not whole. */
  open(): { readonly all: number; readonly unfinished: number }
}

/** What a whole answer says that it used; its input classes are what a cut one proves. */
export const SAID = {
  input: 400,
  cacheRead: 100,
  cacheWrite5m: 40,
  cacheWrite1h: 60,
  output: 90,
} as const

const DELTAS = ['a'.repeat(120), 'b'.repeat(100), 'c'.repeat(80)] as const
/** Bytes of text in the events that are whole when it breaks in the middle of the third, and with all of it. */
export const TEXT_BYTES_AT_BREAK = { least: 220, most: 300 } as const

const GIBBERISH = '\u0000\u0007<html>no such thing}{"\n\nevent: ?\ndata: ]\n\n'
/** No chunk has such a length, and no answer such a first line. */
const GARBAGE = 'zzzz this is not HTTP \u0001\u0002\r\n\r\n'

/** Listens until the test ends. */
export async function faultUpstream(
  t: TestContext,
  cells: readonly Cell[],
): Promise<FaultUpstream> {
  const unfinished = new Set<Socket>()
  let isHealed = false
  let gathering: { count: number; waiting: (() => void)[] } | null = null

  const upstream = await rawUpstream(t, (request, socket) => {
    const respond = () => answer(request, socket)
    if (gathering === null) return respond()
    gathering.waiting.push(respond)
    if (gathering.waiting.length < gathering.count) return
    for (const go of gathering.waiting.splice(0)) go()
  })
  function answer(request: RawRequest, socket: Socket): void {
    const index = /^POST \/cell-(\d+)\//.exec(request.requestLine)?.[1]
    const { model, stream } = JSON.parse(request.body.toString('utf8')) as AskedBody
    const cell = index === undefined ? null : cells[Number(index)]
    if (cell === null || isHealed) socket.write(wholeAnswer('200', model, stream === true).join(''))
    else breakAt(cell, model, socket, unfinished)
  }

  const early = {
    close: await hangsUp(t, (socket) => socket.end()),
    garbage: await hangsUp(t, (socket) => socket.end('SSH-2.0-OpenSSH_9.9\r\n')),
    reset: await nobodyThere(),
    stall: await neverAccepts(t),
  }
  return {
    baseUrlOf(cellIndex) {
      const { place, manner } = cells[cellIndex]
      if (place === 'refuse' && manner !== 'gibberish') return early[manner]
      return `${upstream.url}/cell-${cellIndex}`
    },
    wellUrl: `${upstream.url}/well`,
    heal() {
      isHealed = true
    },
    gather(count) {
      gathering = { count, waiting: [] }
    },
    open: () => ({
      all: upstream.openSockets(),
      unfinished: [...unfinished].filter((socket) => !socket.destroyed).length,
    }),
  }
}

interface AskedBody {
  readonly model: string
  readonly stream?: boolean
}

/** Writes the answer up to its place, then does there what the cell says. */
function breakAt(cell: Cell, model: string, socket: Socket, unfinished: Set<Socket>): void {
  const { place, manner } = cell
  const parts = wholeAnswer(cell.answer, model, cell.stream, manner === 'garbage')
  if (place === 'nowhere') {
    socket.write(parts.join(''))
    return
  }
  unfinished.add(socket)
  if (manner === 'gibberish') {
    const body = bodyParts(cell.answer, model, cell.stream)
    const spoiled = body.slice(0, PARTS_BEFORE[place] - 1).join('') + GIBBERISH
    socket.write(framed(cell.answer, [spoiled], 'chunked', cell.stream).join(''))
    unfinished.delete(socket)
    return
  }
  const sent = parts.slice(0, PARTS_BEFORE[place]).join('')
  if (sent !== '') socket.write(sent)
  if (manner === 'garbage') socket.write(GARBAGE)
  // What was sent is read before the end comes; a reset would take back what was not.
  if (manner === 'close') setTimeout(() => socket.end(), 10)
  if (manner === 'reset') setTimeout(() => socket.resetAndDestroy(), 10)
}

/** How many parts of an answer stand before a place; the first part are the headers. */
const PARTS_BEFORE = {
  refuse: 0,
  before_headers: 0,
  after_headers: 1,
  in_message_start: 2,
  mid_event: 3,
  before_message_stop: 4,
} as const

/** Headers, then the body in parts that end where cells break: see `PARTS_BEFORE`. */
function wholeAnswer(
  answer: Cell['answer'],
  model: string,
  stream: boolean,
  isChunked = stream,
): string[] {
  const body = bodyParts(answer, model, stream)
  return framed(answer, body, isChunked ? 'chunked' : 'length', stream)
}

function framed(
  answer: Cell['answer'],
  body: readonly string[],
  framing: 'chunked' | 'length',
  stream: boolean,
): string[] {
  const { status, retryAfterSeconds } = { retryAfterSeconds: null, ...ANSWERS[answer] }
  const type = stream && status === 200 ? 'text/event-stream' : 'application/json'
  const length = Buffer.byteLength(body.join(''))
  const head = [
    `HTTP/1.1 ${status} Of Course`,
    `content-type: ${type}`,
    'request-id: req_of_the_cell',
    framing === 'chunked' ? 'transfer-encoding: chunked' : `content-length: ${length}`,
    ...(retryAfterSeconds === null ? [] : [`retry-after: ${retryAfterSeconds}`]),
  ]
  const parts = framing === 'length' ? [...body] : [...body.map(chunk), '0\r\n\r\n']
  return [`${head.join('\r\n')}\r\n\r\n`, ...parts]
}

/** An empty chunk would be the end. */
function chunk(text: string): string {
  const length = Buffer.byteLength(text)
  return length === 0 ? '' : `${length.toString(16)}\r\n${text}\r\n`
}

/** Four parts: to inside the first event, to inside a later one, to before the end, the end. */
function bodyParts(answer: Cell['answer'], model: string, stream: boolean): string[] {
  const { status, type, message } = { type: '', message: '', ...ANSWERS[answer] }
  if (status !== 200) {
    const text = JSON.stringify({ type: 'error', error: { type, message }, request_id: 'req_1' })
    const middle = text.length >> 1
    return ['', text.slice(0, middle), text.slice(middle), '']
  }
  if (stream) return streamParts(model)
  const text = JSON.stringify({
    ...messageOf(model),
    content: [{ type: 'text', text: DELTAS.join('') }],
  })
  return [
    text.slice(0, 20),
    text.slice(20, text.length >> 1),
    text.slice(text.length >> 1, -1),
    '}',
  ]
}

function streamParts(model: string): string[] {
  const usage = { ...messageOf(model).usage, output_tokens: 1 }
  const message = { ...messageOf(model), stop_reason: null, content: [], usage }
  const start = event('message_start', { message })
  const block = { index: 0, content_block: { type: 'text', text: '' } }
  const deltas = DELTAS.map((text) =>
    event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } }),
  )
  const last = event('message_delta', {
    delta: { stop_reason: 'end_turn', stop_sequence: null },
    usage: { output_tokens: SAID.output },
  })
  const third = deltas[2]
  const cut = third.length - 40
  return [
    start.slice(0, 80),
    start.slice(80) +
      event('content_block_start', block) +
      deltas[0] +
      event('ping', {}) +
      deltas[1] +
      third.slice(0, cut),
    third.slice(cut) + event('content_block_stop', { index: 0 }) + last,
    event('message_stop', {}),
  ]
}

function messageOf(model: string) {
  return {
    id: 'msg_of_the_cell',
    type: 'message',
    role: 'assistant',
    model,
    content: [] as readonly unknown[],
    stop_reason: 'end_turn' as string | null,
    stop_sequence: null,
    usage: {
      input_tokens: SAID.input,
      cache_read_input_tokens: SAID.cacheRead,
      cache_creation_input_tokens: SAID.cacheWrite5m + SAID.cacheWrite1h,
      cache_creation: {
        ephemeral_5m_input_tokens: SAID.cacheWrite5m,
        ephemeral_1h_input_tokens: SAID.cacheWrite1h,
      },
      output_tokens: SAID.output,
    },
  }
}

function event(type: string, fields: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
}

/** The body of a whole error, as a client has to get it. */
export function errorBody(answer: Cell['answer']): string {
  return bodyParts(answer, '', false).join('')
}

/** Accepts and does its worst before it was asked anything. */
async function hangsUp(t: TestContext, act: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.resume()
    act(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return urlOf(server.address() as AddressInfo) // a TCP server that listens has one
}

async function nobodyThere(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = urlOf(server.address() as AddressInfo) // as above
  await new Promise((resolve) => server.close(resolve))
  return url
}

/**
 * A port whose queue of connections is full and never emptied: the handshake gets no answer, as behind a
 * firewall that drops packets. Its thread listens, then sleeps until the test ends.
 */
async function neverAccepts(t: TestContext): Promise<string> {
  const asleep = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(
    `const { workerData, parentPort } = require('node:worker_threads')
     const server = require('node:net').createServer()
     server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       parentPort.postMessage(server.address())
       Atomics.wait(workerData, 0, 0)
       process.exit()
     })`,
    { eval: true, workerData: asleep },
  )
  const address = await new Promise<AddressInfo>((resolve) => worker.once('message', resolve))
  const fillers = Array.from({ length: 4 }, () => {
    const socket = connect(address.port, '127.0.0.1')
    socket.on('error', () => {})
    return socket
  })
  t.after(async () => {
    for (const socket of fillers) socket.destroy()
    Atomics.store(asleep, 0, 1)
    Atomics.notify(asleep, 0)
    await worker.terminate()
  })
  return urlOf(address)
}

function urlOf({ port }: AddressInfo): string {
  return `http://127.0.0.1:${port}`
}
