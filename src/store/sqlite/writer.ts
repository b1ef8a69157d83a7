import { Worker } from 'node:worker_threads'
import { StoreError } from '../store.ts'
import { type BatchReply, decodeError, OP, type OpCode, type Payload, resultAt } from './batch.ts'
import type { OpenFailure } from './connection.ts'
import type { ColdWrite } from './operations.ts'
import type { WriterData, WriterMessage } from './writer-worker.ts'

/** One operation waiting for its commit; notes have nobody who waits. */
interface Pending {
  readonly code: OpCode
  readonly payload: Payload
  readonly resolve: ((value: unknown) => void) | null
  readonly reject: ((error: Error) => void) | null
}

/** How the writer's thread is started. */
export interface WriterOptions {
  readonly path: string
  readonly busyTimeoutMs: number
  /** The store can never write again: the process has to end. Called once. */
  readonly onFatal: (error: StoreError) => void
  /** The disk is full, or has room again. */
  readonly onFull: (isFull: boolean) => void
}

/** Beyond this many waiting operations new ones are refused, but not those that close a hold. */
export const MOST_QUEUED = 10_000
/** Beyond this many, notes (progress, refusals) are dropped. */
export const MOST_QUEUED_FOR_NOTES = 1_000
/** One commit takes at most this many: more brings no speed and delays the first. */
const MOST_PER_BATCH = 128
/** One: what comes during its fsync is the next batch. */
const MOST_IN_FLIGHT = 1

/**
 * The daemon's side of the writer's thread. Collects what one turn of the event loop brings into one
 * message; while the thread is busy with its fsync the next batch grows, so that batching needs no timer.
 */
export class Writer {
  readonly #options: WriterOptions
  readonly #worker: Worker
  readonly #hurry = new Int32Array(new SharedArrayBuffer(4))
  readonly #inFlight: (readonly Pending[])[] = []
  #queue: Pending[] = []
  #isScheduled = false
  #isFull = false
  /** Why nothing is taken any more. */
  #ended: StoreError | null = null
  #onIdle: (() => void) | null = null
  #opening: { resolve: (failure: OpenFailure | null) => void } | null = null

  constructor(options: WriterOptions) {
    this.#options = options
    const { path, busyTimeoutMs } = options
    this.#worker = new Worker(workerUrl('writer-worker'), {
      workerData: { path, busyTimeoutMs, hurry: this.#hurry } satisfies WriterData,
      // The parent's loaders are for its own sources; Node alone runs ours.
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: 8 },
    })
    this.#worker.on('message', (message: WriterMessage) => this.#receive(message))
    this.#worker.on('error', (error) => this.#stopped(String(error)))
    this.#worker.on('exit', (code) => this.#stopped(`it ended with code ${code}`))
  }

  /** Waits until the thread has the file open; answers null, or why it could not. */
  opened(): Promise<OpenFailure | null> {
    return new Promise((resolve) => {
      this.#opening = { resolve }
    })
  }

  /** Queues an operation of the hot path; resolves when it is durable. */
  write<T>(code: OpCode, payload: Payload): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#ended) return reject(this.#ended)
      if (this.#queue.length >= MOST_QUEUED && code !== OP.settleHold && code !== OP.voidHold) {
        return reject(new StoreError('overloaded', 'Too many writes wait for the database.'))
      }
      // The reply's shape follows from the code that was sent.
      this.#add({ code, payload, resolve: resolve as (value: unknown) => void, reject })
    })
  }

  /** Queues any other write. */
  call(name: ColdWrite, args: readonly unknown[]): Promise<unknown> {
    return this.write(OP.cold, [name, args])
  }

  /** Queues something that nobody waits for, unless there is more important work. */
  note(code: OpCode, payload: Payload): void {
    if (this.#ended || this.#queue.length >= MOST_QUEUED_FOR_NOTES) return
    this.#add({ code, payload, resolve: null, reject: null })
  }

  /** Writes what is queued, then ends the thread. A lock held by others may cost `busyTimeoutMs` twice. */
  async close(): Promise<void> {
    if (this.#ended) {
      // Broken, or closed before: nothing is left to write.
      await this.#worker.terminate()
      return
    }
    this.#ended = new StoreError('closed', 'The store is closed.')
    const timer = setTimeout(() => Atomics.store(this.#hurry, 0, 1), this.#options.busyTimeoutMs)
    if (this.#queue.length + this.#inFlight.length > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve
      })
    }
    clearTimeout(timer)
    const exited = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()))
    this.#worker.postMessage('close')
    await exited
  }

  #add(pending: Pending): void {
    this.#queue.push(pending)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled || this.#inFlight.length >= MOST_IN_FLIGHT) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#send()
    })
  }

  #send(): void {
    if (this.#inFlight.length >= MOST_IN_FLIGHT || this.#queue.length === 0) return
    const taken =
      this.#queue.length <= MOST_PER_BATCH ? this.#queue : this.#queue.slice(0, MOST_PER_BATCH)
    this.#queue = taken === this.#queue ? [] : this.#queue.slice(MOST_PER_BATCH)
    const batch: (OpCode | Payload)[] = []
    for (const { code, payload } of taken) batch.push(code, payload)
    this.#inFlight.push(taken)
    this.#worker.postMessage(batch)
    if (this.#queue.length > 0) this.#schedule()
  }

  #receive(message: WriterMessage): void {
    if ('kind' in message) {
      if (message.kind === 'failed') this.#endOpening(message.failure)
      else this.#endOpening(null)
      return
    }
    const taken = this.#inFlight.shift()
    if (taken) this.#answer(taken, message)
    if (this.#queue.length > 0) this.#schedule()
    else if (this.#inFlight.length === 0) this.#onIdle?.()
  }

  #answer(taken: readonly Pending[], reply: BatchReply): void {
    const { failure } = reply
    this.#setFull(failure?.kind === 'full' || reply.isFull === true)
    if (failure) {
      const error = decodeError(failure)
      for (const pending of taken) pending.reject?.(error)
      if (failure.kind === 'io' || failure.kind === 'corrupt') this.#fatal(error as StoreError)
      return
    }
    const errors = new Map(reply.errors)
    const values = new Map(reply.values)
    for (let i = 0; i < taken.length; i++) {
      const error = errors.get(i)
      if (error) taken[i].reject?.(decodeError(error))
      else taken[i].resolve?.(resultAt(reply, i) ?? values.get(i))
    }
  }

  #setFull(isFull: boolean): void {
    if (isFull === this.#isFull) return
    this.#isFull = isFull
    this.#options.onFull(isFull)
  }

  #endOpening(failure: OpenFailure | null): void {
    // A thread that never opened the file ends by itself, and that is no disaster.
    if (failure) this.#ended = new StoreError('closed', 'The store was never open.')
    this.#opening?.resolve(failure)
    this.#opening = null
  }

  /** The thread is gone: after `close` as it should be, otherwise nothing can be written any more. */
  #stopped(reason: string): void {
    if (this.#opening) this.#endOpening({ kind: 'io', path: this.#options.path, problem: reason })
    const isExpected = this.#ended?.reason === 'closed' && this.#inFlight.length === 0
    if (!isExpected) {
      this.#fatal(new StoreError('io', `The thread that writes the database stopped: ${reason}.`))
    }
    this.#onIdle?.()
  }

  #fatal(error: StoreError): void {
    const isFirst = this.#ended?.reason !== error.reason
    this.#ended = error
    const lost = [...this.#inFlight.splice(0).flat(), ...this.#queue.splice(0)]
    for (const pending of lost) pending.reject?.(error)
    if (isFirst) this.#options.onFatal(error)
  }
}

/** A worker's file: TypeScript where this runs from sources, JavaScript where it was built. */
export function workerUrl(name: string): URL {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return new URL(`./${name}.${extension}`, import.meta.url)
}
