import type { Database } from 'better-sqlite3'
import type { HoldProgress } from '../../core/model.ts'
import type { Store } from '../store.ts'
import { StoreError } from '../store.ts'
import { createContext } from './context.ts'
import { toStoreError } from './errors.ts'
import { objectTuple, threadTuple } from './memory.ts'
import { COLD_WRITES, type ColdWrite, createOperations, type Operations } from './operations.ts'
import { holdTuple, usageTuple } from './usage-rows.ts'

/** The reads of the port: each is one statement, or several on one state of the file. */
export const READS = [
  'findUser',
  'listUsers',
  'listDeletedUsers',
  'getSuspension',
  'listWalletIds',
  'findKey',
  'listKeys',
  'loadKeys',
  'findAccount',
  'listAccounts',
  'loadAccounts',
  'loadHealth',
  'listAccountEvents',
  'lastAccountEvents',
  'listCosts',
  'getCharge',
  'findEntry',
  'getWallet',
  'listLedger',
  'sumLedgerByDay',
  'checkLedger',
  'checkWallet',
  'listOpenHolds',
  'getUsage',
  'findUsageByUpstreamId',
  'findUsageIds',
  'listUsage',
  'usageAfter',
  'sumUsage',
  'exportUsage',
  'summarizeUsage',
  'loadPriceChanges',
  'getThread',
  'getObjects',
  'loadMemory',
  'listBoots',
  'getMeta',
  'dataVersion',
  'schemaVersion',
  'listAudit',
] as const satisfies readonly (keyof Operations & keyof Store)[]

export type Read = (typeof READS)[number]

/**
 * The store in this thread: each write is a transaction of its own. For commands and the monitor. In a
 * rehearsal all writes together are one transaction, which closing takes back: they answer what they would.
 */
export function createLocalStore(
  db: Database,
  nowMs: () => number = Date.now,
  isRehearsal = false,
): Store {
  const operations = createOperations(createContext(db, nowMs))
  let isClosed = false

  function whole<T>(operation: () => T): T {
    operations.beginTransaction()
    const result = operation()
    operations.endTransaction()
    return result
  }

  function write<T>(operation: () => T): T {
    if (isClosed) throw new StoreError('closed', 'The store is closed.')
    try {
      if (isRehearsal && !db.inTransaction) db.exec('BEGIN IMMEDIATE')
      return db.transaction(() => whole(operation)).immediate()
    } catch (error) {
      throw toStoreError(error)
    }
  }

  return {
    ...asyncReads(operations, () => isClosed),
    ...asyncWrites((name, args) => callWrite(operations, name, args), write),
    openHold: async (hold) => write(() => operations.openHold(holdTuple(hold))),
    resizeHold: async (requestId, deltaMicro) =>
      write(() => operations.resizeHold([requestId, deltaMicro])),
    settleHold: async (record) => write(() => operations.settleHold(usageTuple(record))),
    voidHold: async (record) => write(() => operations.voidHold(usageTuple(record))),
    noteProgress(note) {
      ignore(() => write(() => operations.noteProgress(progressTuple(note))))
    },
    noteRefusal(record) {
      ignore(() => write(() => operations.noteRefusal(usageTuple(record))))
    },
    noteThread(note) {
      ignore(() => write(() => operations.noteThread(threadTuple(note))))
    },
    noteObject: async (object) => write(() => operations.noteObject(objectTuple(object))),
    changes: () => operations.changes(),
    async close() {
      if (isClosed) return
      isClosed = true
      if (db.inTransaction) db.exec('ROLLBACK')
      db.close()
    },
  }
}

/** A note of progress, ready to bind. */
export function progressTuple(note: {
  requestId: string
  accountId: string
  progress: HoldProgress | null
}): readonly [string, string, string | null] {
  const progress = note.progress === null ? null : JSON.stringify(note.progress)
  return [note.requestId, note.accountId, progress]
}

/** Calls a write that is known by name only. */
export function callWrite(
  operations: Operations,
  name: ColdWrite,
  args: readonly unknown[],
): unknown {
  // The names come from COLD_WRITES and the arguments from the typed port: one call serves them all.
  const operation = operations[name] as (...args: readonly unknown[]) => unknown
  return operation(...args)
}

/** The port's reads on one connection. */
export function asyncReads(operations: Operations, isClosed: () => boolean): Pick<Store, Read> {
  const reads = READS.map((name) => [
    name,
    async (...args: readonly unknown[]) => {
      if (isClosed()) throw new StoreError('closed', 'The store is closed.')
      const read = operations[name] as (...args: readonly unknown[]) => unknown
      try {
        return read(...args)
      } catch (error) {
        throw toStoreError(error)
      }
    },
  ])
  // Same names, same arguments, same results, only later: the list above is checked against both sides.
  return Object.fromEntries(reads) as Pick<Store, Read>
}

/** The port's cold writes, each handed to `run` as a whole. */
export function asyncWrites(
  call: (name: ColdWrite, args: readonly unknown[]) => unknown,
  run: (operation: () => unknown) => unknown,
): Pick<Store, ColdWrite> {
  const writes = COLD_WRITES.map((name) => [
    name,
    async (...args: readonly unknown[]) => run(() => call(name, args)),
  ])
  // As with the reads: the names are checked, the shapes are the operations' own.
  return Object.fromEntries(writes) as Pick<Store, ColdWrite>
}

function ignore(operation: () => unknown): void {
  try {
    operation()
  } catch {
    // Notes may be lost by contract; what they were about goes on without them.
  }
}
