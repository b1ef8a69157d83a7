import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'

/** A client without a socket: what the gateway sees of it is Node's response. */
export class SimulatedClient extends EventEmitter {
  statusCode = 0
  headers: Readonly<Record<string, string>> = {}
  destroyed = false
  headersSent = false
  writableEnded = false
  writableFinished = false
  writableLength = 0
  readonly #chunks: Buffer[] = []

  get response(): ServerResponse {
    return this as unknown as ServerResponse
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString('utf8')
  }

  /** The client has its answer, and knows that this is all of it. */
  get hasWholeAnswer(): boolean {
    return this.writableFinished && this.statusCode === 200 && !this.text.includes('event: error')
  }

  writeHead(status: number, head: readonly string[] | Readonly<Record<string, string>> = []): this {
    this.statusCode = status
    this.headersSent = true
    const flat = Array.isArray(head) ? head : Object.entries(head).flat()
    this.headers = Object.fromEntries(
      Array.from({ length: flat.length / 2 }, (_, i) => [
        flat[2 * i].toLowerCase(),
        flat[2 * i + 1],
      ]),
    )
    return this
  }

  write(bytes: Buffer | string, encoding?: BufferEncoding): boolean {
    if (!this.destroyed) this.#chunks.push(toBuffer(bytes, encoding))
    return true
  }

  end(bytes?: Buffer | string, encoding?: BufferEncoding): this {
    if (this.destroyed || this.writableEnded) return this
    if (bytes !== undefined) this.#chunks.push(toBuffer(bytes, encoding))
    this.writableEnded = true
    this.writableFinished = true
    this.emit('finish')
    this.#close()
    return this
  }

  setTimeout(): this {
    return this
  }

  /** The client hangs up, or the gateway does. */
  destroy(): this {
    this.#close()
    return this
  }

  #close(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.emit('close')
  }
}

function toBuffer(bytes: Buffer | string, encoding: BufferEncoding = 'utf8'): Buffer {
  return typeof bytes === 'string' ? Buffer.from(bytes, encoding) : bytes
}
