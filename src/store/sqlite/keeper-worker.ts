// The thread that keeps the file in shape: checkpoints, so that the writer never waits for one, and the
// money check, which reads everything and would freeze the main thread.
import { statSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { invariant } from '../../core/invariant.ts'
import type { LedgerReport } from '../store.ts'
import { encodeError, type SentError } from './batch.ts'
import { checkOperations } from './check.ts'
import { connect } from './connection.ts'
import { createContext } from './context.ts'
import { createSpool } from './spool.ts'

/** What the keeper's thread is started with. */
export interface KeeperData {
  readonly path: string
}

/** What it is asked. */
export type KeeperRequest =
  | { readonly kind: 'check'; readonly nowMs: number }
  | { readonly kind: 'close' }

/** What it sends; checks are answered in the order of asking. */
export type KeeperMessage =
  | { readonly kind: 'report'; readonly report: LedgerReport }
  | { readonly kind: 'error'; readonly error: SentError }
  | { readonly kind: 'large_log'; readonly bytes: number }

const MIB = 1_048_576
const LOOK_MS = 500
const CHECKPOINT_MS = 5_000
const CHECKPOINT_PAGES = 1_000
const TRUNCATE_BYTES = 64 * MIB
const WARN_BYTES = 256 * MIB
/** Not at once: who looks at a file for a moment leaves no 16 MiB behind. */
const SPOOL_AFTER_MS = 10_000
const SPOOL_RETRY_MS = 60_000

const port = parentPort
invariant(port, 'this file runs as a worker')
const { path } = workerData as KeeperData
const connected = connect({ path, access: 'write', busyTimeoutMs: 0, foreignKeys: false })
invariant(connected.kind === 'connected', `the keeper opens the database: ${connected.kind}`)
const { db } = connected
const check = checkOperations(createContext(db))
let checkpointedAtMs = performance.now()
let changedAtMs = checkpointedAtMs
let seenVersion: unknown = null
let hasWarned = false
let spoolDueMs = checkpointedAtMs + SPOOL_AFTER_MS

const timer = setInterval(keep, LOOK_MS)

port.on('message', (request: KeeperRequest) => {
  if (request.kind === 'close') {
    clearInterval(timer)
    db.close()
    port.close()
    return
  }
  try {
    const report = check.checkLedger(request.nowMs)
    port.postMessage({ kind: 'report', report } satisfies KeeperMessage)
  } catch (error) {
    port.postMessage({ kind: 'error', error: encodeError(error) } satisfies KeeperMessage)
  }
})

function keep(): void {
  const now = performance.now()
  try {
    checkpoint(now)
  } catch {
    // Busy, or worse: the next look tries again, and what is worse the writer meets and reports.
  }
  if (now < spoolDueMs) return
  spoolDueMs = now + SPOOL_RETRY_MS
  try {
    createSpool(path)
  } catch {
    // No room for it: then a full disk makes settlements wait in memory, as long as the process lives.
  }
}

function checkpoint(now: number): void {
  const version = db.pragma('data_version', { simple: true })
  if (version !== seenVersion) changedAtMs = now
  seenVersion = version
  const waiting = waitingPages()
  const isDue = now - checkpointedAtMs >= CHECKPOINT_MS
  if (waiting >= CHECKPOINT_PAGES || (waiting > 0 && isDue)) {
    db.pragma('wal_checkpoint(PASSIVE)')
    checkpointedAtMs = now
  }
  const bytes = statSync(`${path}-wal`).size
  const isIdle = now - changedAtMs >= CHECKPOINT_MS
  if (bytes > TRUNCATE_BYTES && isIdle) db.pragma('wal_checkpoint(TRUNCATE)')
  if (bytes > WARN_BYTES && !hasWarned)
    port?.postMessage({ kind: 'large_log', bytes } satisfies KeeperMessage)
  hasWarned = bytes > WARN_BYTES
}

/** Pages in the log that are not in the file yet; asking changes nothing. */
function waitingPages(): number {
  const [state] = db.pragma('wal_checkpoint(NOOP)') as { log: number; checkpointed: number }[]
  return state.log - state.checkpointed
}
