import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** A client that takes no byte of its answer for this long is gone. */
const STALLED_MS = 60_000

/** What waits for each connection's end: one listener for all answers on it. */
const waiting = new WeakMap<Socket, Set<() => void>>()

/** Calls `then` once the client has taken the whole answer or is gone: until then its bytes are in memory. */
export function whenTaken(
  request: IncomingMessage,
  response: ServerResponse,
  then: () => void,
): void {
  const { socket } = request
  if (response.writableFinished || response.destroyed || socket.destroyed) {
    then()
    return
  }
  const ends = waitingOn(socket)
  const end = () => {
    if (!ends.delete(end)) return
    then()
  }
  ends.add(end)
  response.once('close', end)
  if (response.writableEnded) response.setTimeout(STALLED_MS)
}

/** An answer behind another one on its connection hears nothing of the connection's end. */
function waitingOn(socket: Socket): Set<() => void> {
  const known = waiting.get(socket)
  if (known !== undefined) return known
  const ends = new Set<() => void>()
  waiting.set(socket, ends)
  socket.once('close', () => {
    for (const end of [...ends]) end()
  })
  return ends
}
