import { Worker } from 'node:worker_threads'
import { type LedgerReport, StoreError } from '../store.ts'
import { decodeError } from './batch.ts'
import type { KeeperData, KeeperMessage, KeeperRequest } from './keeper-worker.ts'
import { workerUrl } from './writer.ts'

interface Waiting {
  readonly resolve: (report: LedgerReport) => void
  readonly reject: (error: Error) => void
}

/** The daemon's side of the thread that checkpoints and checks. */
export class Keeper {
  readonly #worker: Worker
  readonly #waiting: Waiting[] = []
  #isClosed = false

  constructor(options: {
    path: string
    onLargeLog: (bytes: number) => void
    onFatal: (error: StoreError) => void
  }) {
    this.#worker = new Worker(workerUrl('keeper-worker'), {
      workerData: { path: options.path } satisfies KeeperData,
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: 8 },
    })
    this.#worker.on('message', (message: KeeperMessage) => {
      if (message.kind === 'large_log') return options.onLargeLog(message.bytes)
      const waiting = this.#waiting.shift()
      if (message.kind === 'report') waiting?.resolve(message.report)
      else waiting?.reject(decodeError(message.error))
    })
    let reason = 'it ended'
    this.#worker.on('error', (error) => {
      reason = String(error)
    })
    this.#worker.on('exit', () => {
      const error = new StoreError('io', `The thread that keeps the database stopped: ${reason}.`)
      for (const waiting of this.#waiting.splice(0)) waiting.reject(error)
      // Without checkpoints the log grows without end: better a restart now than a full disk later.
      if (!this.#isClosed) options.onFatal(error)
      this.#isClosed = true
    })
  }

  /** The money check, on the keeper's own connection. */
  check(nowMs: number): Promise<LedgerReport> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(new StoreError('closed', 'The store is closed.'))
      this.#waiting.push({ resolve, reject })
      this.#ask({ kind: 'check', nowMs })
    })
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const exited = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()))
    this.#ask({ kind: 'close' })
    await exited
  }

  #ask(request: KeeperRequest): void {
    this.#worker.postMessage(request)
  }
}
