import { StoreError } from '../store.ts'
import {
  type Batch,
  type BatchReply,
  encodeError,
  NO_RESULT,
  OP,
  type OpCode,
  type Payload,
  type SentError,
  settleNumbers,
} from './batch.ts'
import type { Operations } from './operations.ts'
import type { Spool } from './spool.ts'
import { type Tuple, USAGE_AT } from './usage-rows.ts'

const FULL: SentError = encodeError(new StoreError('full', 'The disk is full.'))
/** Settlements of the spool in one commit. */
const REPLAYED = 128
/** How long the disk stays full at least: each try reads the spool. */
const TRY_MS = 200

/**
 * Runs batches as `run` does; while the disk is full, settlements go to the spool and count as written. They
 * are written to the database, in their order and before anything else, as soon as it takes them.
 */
export function spooledBatches(parts: {
  readonly run: (batch: Batch) => BatchReply
  readonly spool: Spool
  readonly operations: Pick<Operations, 'getWallet'>
  /** Any clock that only goes forward. */
  readonly nowMs: () => number
}) {
  const { run, spool, operations, nowMs } = parts
  let triedAtMs = 0
  /** Costs that wait in the spool, by user; and the requests that are closed by it. */
  const spentMicro = new Map<string, number>()
  const closed = new Set<string>()

  /** Answers why the spool could not be emptied; null when it is empty. */
  function replay(): SentError | null {
    const entries = spool.load()
    for (let i = 0; i < entries.length; i += REPLAYED) {
      const batch = entries
        .slice(i, i + REPLAYED)
        .flatMap((text) => JSON.parse(text) as readonly [OpCode, Payload])
      // What was written before a crash is closed already. What fails alone stays an open hold, which the
      // next start closes.
      const { failure } = run(batch)
      if (failure) return failure
    }
    if (entries.length > 0) spool.clear()
    spentMicro.clear()
    closed.clear()
    return null
  }

  /** Takes the settlements of a batch that the database has no room for; the rest of it fails. */
  function divert(batch: Batch): BatchReply {
    const numbers: number[] = []
    const errors: (readonly [number, SentError])[] = []
    const taken: Tuple[] = []
    const entries: string[] = []
    for (let i = 0; i < batch.length; i += 2) {
      const code = batch[i] as OpCode
      const usage = batch[i + 1] as Tuple
      if (code !== OP.settleHold && code !== OP.voidHold) {
        errors.push([i / 2, FULL])
        numbers.push(...NO_RESULT)
      } else if (closed.has(requestOf(usage))) {
        numbers.push(...settleNumbers({ kind: 'already_closed' }))
      } else {
        note(usage, 1)
        taken.push(usage)
        entries.push(JSON.stringify([code, usage]))
        numbers.push(...settleNumbers({ kind: 'closed', balanceMicro: balanceOf(userOf(usage)) }))
      }
    }
    if (entries.length === 0 || spool.append(entries)) {
      return { numbers, values: [], errors, failure: null, isFull: true }
    }
    for (const usage of taken) note(usage, -1)
    return nothing(FULL)
  }

  function note(usage: Tuple, sign: 1 | -1): void {
    const [userId, requestId] = [userOf(usage), requestOf(usage)]
    const costMicro = sign * (usage[USAGE_AT.costMicro] as number)
    spentMicro.set(userId, (spentMicro.get(userId) ?? 0) + costMicro)
    if (sign === 1) closed.add(requestId)
    else closed.delete(requestId)
  }

  function balanceOf(userId: string): number {
    return (operations.getWallet(userId)?.balanceMicro ?? 0) - (spentMicro.get(userId) ?? 0)
  }

  return {
    /** Call once before the first batch: what the process before this one left is written first. */
    replay,

    run(batch: Batch): BatchReply {
      if (spool.isEmpty) {
        const reply = run(batch)
        if (reply.failure?.kind !== 'full') return reply
        triedAtMs = nowMs()
        return divert(batch)
      }
      if (nowMs() - triedAtMs < TRY_MS) return divert(batch)
      triedAtMs = nowMs()
      const failure = replay()
      if (failure === null) return run(batch)
      return failure.kind === 'full' ? divert(batch) : nothing(failure)
    },
  }
}

function userOf(usage: Tuple): string {
  return usage[USAGE_AT.userId] as string
}

function requestOf(usage: Tuple): string {
  return usage[USAGE_AT.requestId] as string
}

/** The reply to a batch of which nothing was written. */
export function nothing(failure: SentError): BatchReply {
  return { numbers: [], values: [], errors: [], failure }
}
