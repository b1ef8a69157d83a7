import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from 'better-sqlite3'
import type { Changes, Store } from '../store.ts'
import { StoreError } from '../store.ts'
import { OP } from './batch.ts'
import { copyBeforeMigration } from './before-migration.ts'
import { quickCheckOf } from './check.ts'
import { connect, failureOf, type OpenFailure } from './connection.ts'
import { createContext } from './context.ts'
import { isBusy } from './errors.ts'
import { Keeper } from './keeper.ts'
import { asyncReads, asyncWrites, progressTuple, READS, type Read } from './local-store.ts'
import { objectTuple, threadTuple } from './memory.ts'
import { migrate } from './migrations.ts'
import { createOperations } from './operations.ts'
import { holdTuple, usageTuple } from './usage-rows.ts'
import { Writer } from './writer.ts'

/** How the daemon opens the store. */
export interface DaemonStoreOptions {
  readonly path: string
  /** How long one attempt of the writer waits for another process's lock; default 5,000. */
  readonly busyTimeoutMs?: number
  /** The store can never write again: log it and exit 70. Called at most once. */
  readonly onFatal?: (error: StoreError) => void
  /** The disk is full (writes reject with `full`), or has room again. */
  readonly onFull?: (isFull: boolean) => void
  /** The write-ahead log has grown beyond 256 MiB: somebody reads for too long. */
  readonly onLargeLog?: (bytes: number) => void
  /** Wall clock; default `Date.now`. */
  readonly nowMs?: () => number
}

const READ_ATTEMPTS = 50
const READ_RETRY_MS = 10

/**
 * Opens the store for the daemon: migrates where needed, checks the file, then reads here on a read-only
 * connection that never waits, writes in one thread with group commit, and checkpoints in another.
 */
export async function openDaemonStore(
  options: DaemonStoreOptions,
): Promise<{ readonly kind: 'opened'; readonly store: Store } | OpenFailure> {
  const { path, busyTimeoutMs = 5_000 } = options
  const failure = prepare(path, busyTimeoutMs)
  if (failure) return failure
  let isFatal = false
  const onFatal = (error: StoreError) => {
    if (!isFatal) options.onFatal?.(error)
    isFatal = true
  }
  const writer = new Writer({
    path,
    busyTimeoutMs,
    onFatal,
    onFull: options.onFull ?? (() => {}),
  })
  const writerFailure = await writer.opened()
  if (writerFailure) return writerFailure
  const connected = connect({ path, access: 'read', busyTimeoutMs: 0, foreignKeys: false })
  if (connected.kind !== 'connected') {
    await writer.close()
    return connected
  }
  const keeper = new Keeper({
    path,
    onLargeLog: options.onLargeLog ?? (() => {}),
    onFatal,
  })
  return {
    kind: 'opened',
    store: createDaemonStore({ db: connected.db, writer, keeper }, options.nowMs),
  }
}

/** Brings the file up to date and looks for damage, before anything depends on it. */
function prepare(path: string, busyTimeoutMs: number): OpenFailure | null {
  const connected = connect({
    path,
    access: 'write',
    busyTimeoutMs,
    foreignKeys: true,
    allowOlder: true,
  })
  if (connected.kind !== 'connected') return connected
  const { db } = connected
  try {
    // Before anything is changed: a damaged file is not worth a copy, and a migration would spread the damage.
    const problem = quickCheckOf(db.pragma('quick_check(5)'))
    if (problem !== 'ok') return { kind: 'corrupt', path, problem }
    copyBeforeMigration(db, path)
    migrate(db)
    return null
  } catch (error) {
    return failureOf(error, path)
  } finally {
    db.close()
  }
}

function createDaemonStore(
  parts: { db: Database; writer: Writer; keeper: Keeper },
  nowMs: () => number = Date.now,
): Store {
  const { db, writer, keeper } = parts
  const operations = createOperations(createContext(db, nowMs))
  let isClosed = false
  let closing: Promise<void> | null = null
  let known: Changes | null = null
  let last: Changes | null = null

  return {
    ...patiently(asyncReads(operations, () => isClosed)),
    ...asyncWrites(
      (name, args) => writer.call(name, args),
      (operation) => operation(),
    ),
    openHold: (hold) => writer.write(OP.openHold, holdTuple(hold)),
    resizeHold: (requestId, deltaMicro) => writer.write(OP.resizeHold, [requestId, deltaMicro]),
    settleHold: (record) => writer.write(OP.settleHold, usageTuple(record)),
    voidHold: (record) => writer.write(OP.voidHold, usageTuple(record)),
    noteProgress: (note) => writer.note(OP.progress, progressTuple(note)),
    noteRefusal: (record) => writer.note(OP.refusal, usageTuple(record)),
    noteThread: (note) => writer.note(OP.thread, threadTuple(note)),
    noteObject: (object) => writer.write(OP.object, objectTuple(object)),
    checkLedger: (now) => keeper.check(now),
    changes() {
      if (known) return known
      // Once per turn of the event loop: whatever other requests this turn brings, they arrived with it.
      setImmediate(() => {
        known = null
      })
      try {
        known = operations.changes()
      } catch (error) {
        // Another process has the whole file: what it writes is seen when it lets go.
        if (last === null || !isBusy(error)) throw error
        known = last
      }
      last = known
      return known
    },
    close() {
      closing ??= close()
      return closing
    },
  }

  async function close(): Promise<void> {
    isClosed = true
    await keeper.close()
    db.close()
    // The last connection to close writes the log into the file and removes it.
    await writer.close()
  }
}

/** Reads never wait in SQLite: in the rare moments when another process has the whole file, they come again. */
function patiently(reads: Pick<Store, Read>): Pick<Store, Read> {
  const wrapped = READS.map((name) => [
    name,
    async (...args: readonly unknown[]) => {
      const read = reads[name] as (...args: readonly unknown[]) => Promise<unknown>
      for (let attempt = 1; ; attempt++) {
        try {
          return await read(...args)
        } catch (error) {
          const mayPass = error instanceof StoreError && error.reason === 'busy'
          if (!mayPass || attempt === READ_ATTEMPTS) throw error
        }
        await sleep(READ_RETRY_MS)
      }
    },
  ])
  return Object.fromEntries(wrapped) as Pick<Store, Read>
}
