import type { ServerResponse } from 'node:http'
import type { Fault, FaultPoint } from './faults.ts'
import type { Frame } from './stream.ts'
import type { Timers } from './timers.ts'

/** A whole answer, before a fault gets at it. */
export interface Reply {
  readonly status: number
  readonly headers: { readonly [name: string]: string | readonly string[] }
  /** A body in one piece is one frame. */
  readonly frames: readonly Frame[]
  /** Streams are chunked and paced; other bodies have a length. */
  readonly streams: boolean
}

/** How a reply ended, told once and before its last byte leaves. */
export interface ReplyEnd {
  readonly kind: 'complete' | 'cut' | 'client_left'
  /** Tokens made until then. */
  readonly tokens: number
}

const BATCH_BYTES = 65_536
/** Nonsense that is no HTTP, no SSE, no JSON and no UTF-8. */
const GARBAGE = Buffer.from(
  '\0\u00ff\u00fe{"type":"content_block_delta","index":\n\n{]garbage\u00ff',
  'latin1',
)

/** Writes a reply, with the fault's point and manner of breaking, pacing and chopping. */
export function sendReply(
  response: ServerResponse,
  reply: Reply,
  fault: Fault,
  timers: Timers,
  ended: (end: ReplyEnd) => void,
): void {
  let isOver = false
  let tokens = 0

  function end(kind: ReplyEnd['kind']): void {
    if (isOver) return
    isOver = true
    ended({ kind, tokens })
  }
  if (response.destroyed) {
    end('client_left')
    return
  }
  response.on('close', () => end('client_left'))

  if (fault.at === 'connect' || fault.at === 'before_headers') {
    end('cut')
    breakOff(response, fault, reply.streams)
    return
  }

  const cut = fault.at ? cutAt(reply.frames, fault.at, fault.after, reply.streams) : null
  const frames = cut ?? reply.frames
  response.writeHead(reply.status, headersOf(reply))

  const quick = !fault.tokenRate && !fault.firstTokenMs && !fault.chunk && cut === null
  if (quick && frames.length === 1) {
    tokens = frames[0].tokens
    end('complete')
    response.end(frames[0].text)
    return
  }
  if (frames.length === 0) response.flushHeaders()
  if (fault.chunk) {
    for (const frame of frames) tokens += frame.tokens
    writeChopped(response, frames, fault.chunk, timers, finish)
    return
  }

  const rate = fault.tokenRate ?? 0
  let next = 0
  let startedMs = 0
  if (fault.firstTokenMs && frames.length > 0) {
    response.write(frames[0].text)
    next = 1
    timers.after(fault.firstTokenMs, begin)
  } else {
    begin()
  }

  function begin(): void {
    startedMs = performance.now()
    pump()
  }

  function pump(): void {
    while (next < frames.length && !isOver) {
      const elapsedMs = rate > 0 ? performance.now() - startedMs : 0
      let batch = ''
      while (next < frames.length && batch.length < BATCH_BYTES) {
        const due = rate > 0 ? ((tokens + frames[next].tokens) / rate) * 1000 : 0
        if (due > elapsedMs) break
        batch += frames[next].text
        tokens += frames[next].tokens
        next++
      }
      if (batch === '') {
        const dueMs = ((tokens + frames[next].tokens) / rate) * 1000
        timers.after(Math.max(1, dueMs - elapsedMs), pump)
        return
      }
      if (next === frames.length && cut === null) {
        end('complete')
        response.end(batch)
        return
      }
      if (!response.write(batch)) {
        response.once('drain', pump)
        return
      }
    }
    finish()
  }

  function finish(): void {
    if (isOver) return
    if (cut === null) {
      end('complete')
      response.end()
      return
    }
    end('cut')
    breakOff(response, fault, reply.streams)
  }
}

function headersOf(reply: Reply): { [name: string]: string | string[] | number } {
  const headers: { [name: string]: string | string[] | number } = {}
  for (const [name, value] of Object.entries(reply.headers)) {
    headers[name] = typeof value === 'string' ? value : [...value]
  }
  if (!reply.streams) {
    let length = 0
    for (const frame of reply.frames) length += Buffer.byteLength(frame.text)
    headers['content-length'] = length
  }
  return headers
}

/** Ends, resets, stalls or spoils what has been written so far. */
export function breakOff(response: ServerResponse, fault: Fault, streams: boolean): void {
  const socket = response.socket
  if (!socket) return
  switch (fault.how ?? 'close') {
    case 'stall':
      return
    case 'garbage':
      // A stream of nonsense ends properly, so that only its content is wrong.
      if (response.headersSent && streams) response.end(GARBAGE)
      else socket.end(GARBAGE)
      return
    case 'reset':
      // What was written must be on its way first, or the reset would overtake it.
      setImmediate(() => socket.write('', () => socket.resetAndDestroy()))
      return
    default:
      socket.destroySoon()
  }
}

/** The frames that leave before the break, the last one perhaps in part. */
function cutAt(
  frames: readonly Frame[],
  at: FaultPoint,
  after: number | undefined,
  streams: boolean,
): readonly Frame[] {
  if (at === 'after_headers') return []
  if (!streams) return [part(frames[0], shareOfBody(at, frames[0].text.length))]
  const end = frameIndex(frames, at, after)
  const isInside = at === 'in_message_start' || at === 'mid_event'
  return isInside ? [...frames.slice(0, end), part(frames[end], 0.5)] : frames.slice(0, end)
}

/** The first frame of a stream that does not leave whole when it breaks at that point. */
export function frameIndex(
  frames: readonly Frame[],
  at: FaultPoint,
  after: number | undefined,
): number {
  const first = (mark: Frame['mark']) => {
    const found = frames.findIndex((frame) => frame.mark === mark)
    return found < 0 ? frames.length - 1 : found
  }
  switch (at) {
    case 'connect':
    case 'before_headers':
    case 'after_headers':
    case 'in_message_start':
      return 0
    case 'after_message_start':
      return 1
    case 'mid_event': {
      const deltas = frames.filter((frame) => frame.mark === 'delta').length
      let left = Math.min(after ?? Math.floor(deltas / 2), Math.max(0, deltas - 1))
      const middle = frames.findIndex((frame) => frame.mark === 'delta' && left-- === 0)
      return middle < 0 ? 1 : middle
    }
    case 'before_message_delta':
      return first('message_delta')
    default:
      return first('message_stop')
  }
}

/** Where the points of a stream lie in a body that comes in one piece. */
function shareOfBody(at: FaultPoint, length: number): number {
  switch (at) {
    case 'in_message_start':
      return 0.1
    case 'after_message_start':
      return 0.25
    case 'mid_event':
      return 0.5
    case 'before_message_delta':
      return 0.9
    default:
      return (length - 1) / length
  }
}

function part(frame: Frame, share: number): Frame {
  const length = Math.max(1, Math.floor(frame.text.length * share))
  return { ...frame, text: frame.text.slice(0, length), tokens: 0 }
}

/** Everything in pieces of `size` bytes, each in a write of its own. */
function writeChopped(
  response: ServerResponse,
  frames: readonly Frame[],
  size: number,
  timers: Timers,
  done: () => void,
): void {
  const bytes = Buffer.from(frames.map((frame) => frame.text).join(''))
  let at = 0
  function step(): void {
    if (response.destroyed) return
    if (at >= bytes.length) {
      done()
      return
    }
    const written = response.write(bytes.subarray(at, at + size))
    at += size
    if (written) timers.after(0, step)
    else response.once('drain', step)
  }
  step()
}
