// Group commit: many operations, one transaction, one fsync. Also how operations and their results look
// on the way to the writer's thread and back: flat arrays, because every cell is copied twice.
import type { Database } from 'better-sqlite3'
import { InvariantError } from '../../core/invariant.ts'
import { type HoldResult, type ResizeResult, type SettleResult, StoreError } from '../store.ts'
import { isBusy, toStoreError } from './errors.ts'
import { callWrite } from './local-store.ts'
import type { ColdWrite, Operations } from './operations.ts'
import type { Tuple } from './usage-rows.ts'

/** What an operation is; its payload is a tuple, or name and arguments of a cold write. */
export const OP = {
  openHold: 0,
  settleHold: 1,
  voidHold: 2,
  progress: 3,
  refusal: 4,
  cold: 5,
  resizeHold: 6,
  thread: 7,
  object: 8,
} as const
export type OpCode = (typeof OP)[keyof typeof OP]
export type Payload = Tuple | readonly [name: ColdWrite, args: readonly unknown[]]

/** `[code, payload, code, payload, …]`. */
export type Batch = readonly (OpCode | Payload)[]

/** Three numbers per operation, then whatever is not numbers. */
export interface BatchReply {
  /** `[status, balanceMicro, heldMicro or availableMicro]` per operation. */
  readonly numbers: readonly number[]
  /** Results of cold writes, and of others that three numbers cannot tell, by index of the operation. */
  readonly values: readonly (readonly [index: number, value: unknown])[]
  /** Operations that failed alone. */
  readonly errors: readonly (readonly [index: number, error: SentError])[]
  /** Set when nothing of the batch was written. */
  readonly failure: SentError | null
  /** The disk had no room, and settlements went to the spool. */
  readonly isFull?: boolean
}

/** An error on its way between threads: classes do not survive the trip. */
export interface SentError {
  readonly kind: StoreError['reason'] | 'invariant' | 'other'
  readonly message: string
}

const STATUS = {
  none: 0,
  held: 1,
  insufficient: 2,
  closed: 3,
  alreadyClosed: 4,
  resized: 5,
  notResized: 6,
  tooLate: 7,
} as const

/** The three numbers of an operation that has no result among the numbers. */
export const NO_RESULT = [STATUS.none, 0, 0] as const

/** Runs batches on one connection; throws only SQLITE_BUSY, after which the same batch may be tried again. */
export function createBatchRunner(db: Database, operations: Operations) {
  const begin = db.prepare('BEGIN IMMEDIATE')
  const commit = db.prepare('COMMIT')
  const rollback = db.prepare('ROLLBACK')
  const savepoint = db.prepare('SAVEPOINT operation')
  const release = db.prepare('RELEASE operation')
  const undo = db.prepare('ROLLBACK TO operation')

  function runOne(code: OpCode, payload: Payload, index: number, reply: WritableReply): void {
    switch (code) {
      case OP.openHold:
        pushHold(reply, index, operations.openHold(payload as Tuple))
        return
      case OP.resizeHold:
        pushResize(reply, index, operations.resizeHold(payload as [string, number]))
        return
      case OP.settleHold:
        reply.numbers.push(...settleNumbers(operations.settleHold(payload as Tuple)))
        return
      case OP.voidHold:
        reply.numbers.push(...settleNumbers(operations.voidHold(payload as Tuple)))
        return
      case OP.progress:
        operations.noteProgress(payload as [string, string, string | null])
        break
      case OP.refusal:
        operations.noteRefusal(payload as Tuple)
        break
      case OP.thread:
        operations.noteThread(payload as Tuple)
        break
      case OP.object:
        operations.noteObject(payload as Tuple)
        break
      case OP.cold: {
        const [name, args] = payload as readonly [ColdWrite, readonly unknown[]]
        operations.endTransaction()
        reply.values.push([index, callWrite(operations, name, args)])
        operations.forgetRead()
      }
    }
    reply.numbers.push(...NO_RESULT)
  }

  /** The usual way: no savepoints, because hardly ever an operation fails. */
  function runAll(batch: Batch): BatchReply {
    const reply = emptyReply()
    for (let i = 0; i < batch.length; i += 2) {
      runOne(batch[i] as OpCode, batch[i + 1] as Payload, i / 2, reply)
    }
    return reply
  }

  /** The slow way, after an operation failed: each in a savepoint, so that only the bad ones are lost. */
  function runEach(batch: Batch): BatchReply {
    const reply = emptyReply()
    for (let i = 0; i < batch.length; i += 2) {
      savepoint.run()
      try {
        runOne(batch[i] as OpCode, batch[i + 1] as Payload, i / 2, reply)
        operations.endTransaction()
      } catch (error) {
        if (!db.inTransaction || isWholeBatch(error)) throw error
        undo.run()
        operations.beginTransaction()
        reply.numbers.length = (i / 2) * 3
        reply.numbers.push(...NO_RESULT)
        reply.errors.push([i / 2, encodeError(error)])
      }
      release.run()
    }
    return reply
  }

  function inTransaction(run: (batch: Batch) => BatchReply, batch: Batch): BatchReply {
    begin.run()
    operations.beginTransaction()
    try {
      const reply = run(batch)
      operations.endTransaction()
      commit.run()
      return reply
    } catch (error) {
      // A full disk and a failed write have rolled back already.
      if (db.inTransaction) rollback.run()
      throw error
    }
  }

  return function runBatch(batch: Batch): BatchReply {
    try {
      return inTransaction(runAll, batch)
    } catch (error) {
      if (isBusy(error)) throw error
      if (isWholeBatch(error)) return { ...emptyReply(), failure: encodeError(error) }
    }
    try {
      return inTransaction(runEach, batch)
    } catch (error) {
      if (isBusy(error)) throw error
      return { ...emptyReply(), failure: encodeError(error) }
    }
  }
}

interface WritableReply extends BatchReply {
  readonly numbers: number[]
  readonly values: (readonly [number, unknown])[]
  readonly errors: (readonly [number, SentError])[]
}

function emptyReply(): WritableReply {
  return { numbers: [], values: [], errors: [], failure: null }
}

function pushHold(reply: WritableReply, index: number, result: HoldResult): void {
  const { numbers } = reply
  switch (result.kind) {
    case 'held':
      numbers.push(STATUS.held, result.balanceMicro, result.heldMicro)
      return
    case 'insufficient_credit':
      numbers.push(STATUS.insufficient, result.balanceMicro, result.availableMicro)
      return
    case 'key_limit':
      pushValue(reply, index, result)
  }
}

function pushResize(reply: WritableReply, index: number, result: ResizeResult): void {
  const { numbers } = reply
  switch (result.kind) {
    case 'resized':
      numbers.push(STATUS.resized, result.amountMicro, result.availableMicro)
      return
    case 'insufficient_credit':
      numbers.push(STATUS.notResized, 0, result.availableMicro)
      return
    case 'closed':
      numbers.push(STATUS.tooLate, 0, 0)
      return
    case 'key_limit':
      pushValue(reply, index, result)
  }
}

function pushValue(reply: WritableReply, index: number, value: unknown): void {
  reply.values.push([index, value])
  reply.numbers.push(...NO_RESULT)
}

/** The three numbers of a settlement's result. */
export function settleNumbers(result: SettleResult): readonly [number, number, number] {
  if (result.kind === 'closed') return [STATUS.closed, result.balanceMicro, 0]
  return [STATUS.alreadyClosed, 0, 0]
}

/** The result that operation `index` had; undefined for those whose values come apart. */
export function resultAt(
  reply: BatchReply,
  index: number,
): HoldResult | ResizeResult | SettleResult | undefined {
  const at = index * 3
  const [status, first, second] = reply.numbers.slice(at, at + 3)
  switch (status) {
    case STATUS.held:
      return { kind: 'held', balanceMicro: first, heldMicro: second }
    case STATUS.insufficient:
      return { kind: 'insufficient_credit', balanceMicro: first, availableMicro: second }
    case STATUS.closed:
      return { kind: 'closed', balanceMicro: first }
    case STATUS.alreadyClosed:
      return { kind: 'already_closed' }
    case STATUS.resized:
      return { kind: 'resized', amountMicro: first, availableMicro: second }
    case STATUS.notResized:
      return { kind: 'insufficient_credit', availableMicro: second }
    case STATUS.tooLate:
      return { kind: 'closed' }
    default:
      return undefined
  }
}

/** True for errors after which nothing of the transaction is left to save. */
function isWholeBatch(error: unknown): boolean {
  const stored = toStoreError(error)
  return stored instanceof StoreError
}

export function encodeError(error: unknown): SentError {
  const stored = toStoreError(error)
  if (stored instanceof StoreError) return { kind: stored.reason, message: stored.message }
  if (stored instanceof InvariantError) return { kind: 'invariant', message: stored.message }
  return { kind: 'other', message: stored.stack ?? stored.message }
}

export function decodeError(error: SentError): Error {
  if (error.kind === 'invariant') return new InvariantError(error.message)
  if (error.kind === 'other') return new Error(error.message)
  return new StoreError(error.kind, error.message)
}
