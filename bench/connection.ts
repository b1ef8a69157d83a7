// One client connection of the load generator.

import { connect, type Socket } from 'node:net'
import { EventCounter, MessageReader } from './wire.ts'

/** What a connection reports. */
export interface ConnectionHandler {
  readonly countEvents: boolean
  /** Events that ended in what just arrived (0 unless counted), and its bytes. */
  readonly onData: (events: number, bytes: number) => void
  /** The answer is complete (null), or why there is none; then the connection is gone. */
  readonly onAnswer: (failure: string | null) => void
}

// libuv reads one socket at a time and nobody keeps a slice, so all connections share the memory.
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024)

/** A keep-alive connection that sends ready-made requests, one at a time. */
export class Connection {
  #socket: Socket | null = null
  #busy = false
  readonly #port: number
  readonly #handler: ConnectionHandler

  constructor(port: number, handler: ConnectionHandler) {
    this.#port = port
    this.#handler = handler
  }

  /** False once either side has closed. */
  get alive(): boolean {
    return this.#socket !== null && !this.#socket.destroyed
  }

  /** Connects, anew if there was a connection; rejects when nobody listens. */
  reconnect(): Promise<void> {
    this.#socket?.destroy()
    const handler = this.#handler
    let ok = false
    let status = ''
    let events = 0
    const counter = new EventCounter()
    const reader = new MessageReader({
      onHead: (head) => {
        ok = head.startsWith('HTTP/1.1 200')
        status = head.slice(9, 12)
      },
      onBody: (bytes) => {
        if (handler.countEvents) events += counter.count(bytes)
        if (!ok) status += ` ${bytes.toString('latin1').slice(0, 300)}`
      },
      onEnd: () => {
        // A message's last event must be told before its end.
        if (events > 0) handler.onData(events, 0)
        events = 0
        this.#answered(ok ? null : `status ${status}`)
      },
      onBroken: (why) => this.#answered(why),
    })
    return new Promise((resolve, reject) => {
      const socket = connect({
        port: this.#port,
        host: '127.0.0.1',
        noDelay: true,
        onread: {
          buffer: READ_BUFFER,
          callback: (count) => {
            reader.feed(READ_BUFFER.subarray(0, count))
            handler.onData(events, count)
            events = 0
            return true
          },
        },
      })
      this.#socket = socket
      socket.once('connect', () => resolve())
      socket.on('error', reject)
      socket.on('close', () => {
        if (this.#socket === socket) this.#answered('the connection closed')
        reject(new Error('closed before it was connected'))
      })
    })
  }

  send(request: Buffer): void {
    this.#busy = true
    if (this.alive) this.#socket?.write(request)
    else this.#answered('the connection was gone')
  }

  close(): void {
    const socket = this.#socket
    this.#socket = null
    socket?.destroy()
  }

  #answered(failure: string | null): void {
    if (!this.#busy) return
    this.#busy = false
    if (failure !== null) this.close()
    this.#handler.onAnswer(failure)
  }
}
