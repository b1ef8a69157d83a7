// The one thread of the daemon that writes. Each message is a batch, each batch one commit and one answer.
import { parentPort, workerData } from 'node:worker_threads'
import { invariant } from '../../core/invariant.ts'
import {
  type Batch,
  type BatchReply,
  createBatchRunner,
  encodeError,
  type SentError,
} from './batch.ts'
import { connect, type OpenFailure } from './connection.ts'
import { createContext } from './context.ts'
import { isBusy } from './errors.ts'
import { createOperations } from './operations.ts'
import { Spool } from './spool.ts'
import { nothing, spooledBatches } from './spooled-batches.ts'

/** What the writer's thread is started with. */
export interface WriterData {
  readonly path: string
  readonly busyTimeoutMs: number
  /** Its first cell is 1 once a lock that another process keeps may cost us the batch. */
  readonly hurry: Int32Array
}

/** What it sends: first how opening went, then one reply per batch. */
export type WriterMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly failure: OpenFailure }
  | BatchReply

const port = parentPort
invariant(port, 'this file runs as a worker')
const { path, busyTimeoutMs, hurry } = workerData as WriterData

const connected = connect({ path, access: 'write', busyTimeoutMs, foreignKeys: false })
if (connected.kind !== 'connected') {
  port.postMessage({ kind: 'failed', failure: connected } satisfies WriterMessage)
  port.close()
} else {
  const { db } = connected
  const operations = createOperations(createContext(db))
  const runBatch = createBatchRunner(db, operations)
  const spool = new Spool(path)
  const nowMs = () => performance.now()
  const batches = spooledBatches({ run: runPatiently, spool, operations, nowMs })
  // After a failed write or fsync nobody knows what is on the disk: nothing more is written.
  let broken: SentError | null = null

  port.on('message', (batch: Batch | 'close') => {
    if (batch === 'close') {
      spool.close()
      db.close()
      port.close()
      return
    }
    const reply = broken ? nothing(broken) : batches.run(batch)
    if (reply.failure?.kind === 'io' || reply.failure?.kind === 'corrupt') broken = reply.failure
    port.postMessage(reply satisfies WriterMessage)
  })
  // Before anything else, above all before recovery: these requests ended, and were answered for. Where the
  // disk is still full they wait on.
  const failure = batches.replay()
  if (failure?.kind === 'io' || failure?.kind === 'corrupt') broken = failure
  port.postMessage({ kind: 'ready' } satisfies WriterMessage)

  /** Another process may keep the lock for longer than one time-out: what was queued is not lost for that. */
  function runPatiently(batch: Batch): BatchReply {
    for (;;) {
      try {
        return runBatch(batch)
      } catch (error) {
        if (!isBusy(error) || Atomics.load(hurry, 0) === 1) return nothing(encodeError(error))
      }
    }
  }
}
