import { readChange } from '../../billing/price-changes.ts'
import { invariant } from '../../core/invariant.ts'
import type { By, NewPriceChange, PriceChange, PriceStore } from '../store.ts'
import { type Context, snapshot } from './context.ts'

interface ChangeRow {
  readonly seq: number
  readonly kind: PriceChange['kind']
  readonly subject: string
  readonly value: string
  readonly effective_at_ms: number
  readonly source: string
  readonly actor: string
  readonly created_at_ms: number
}

/** What people changed about models: rows that are added and never altered. */
export function priceOperations({ db, sql, audit }: Context) {
  function loadPriceChanges(): readonly PriceChange[] {
    const rows = sql('SELECT * FROM price_changes ORDER BY seq').all() as ChangeRow[]
    return rows.map(toChange)
  }

  return {
    loadPriceChanges(): readonly PriceChange[] {
      return snapshot(db, loadPriceChanges)
    },

    addPriceChanges(
      changes: readonly NewPriceChange[],
      by: By,
    ): Awaited<ReturnType<PriceStore['addPriceChanges']>> {
      if (changes.some((change) => change.effectiveAtMs < by.nowMs)) return { kind: 'in_the_past' }
      const before = loadPriceChanges()
      const added = changes.map((change): PriceChange => {
        const read = readChange(change)
        invariant(read.kind === 'ok', 'only price changes that can be read are stored')
        const { lastInsertRowid } = sql(
          `INSERT INTO price_changes (kind, subject, value, effective_at_ms, source, actor, created_at_ms)
           VALUES (@kind, @subject, @value, @effectiveAtMs, @source, @actor, @createdAtMs)`,
        ).run({
          kind: change.kind,
          subject: change.subject,
          value: JSON.stringify(change.value),
          effectiveAtMs: change.effectiveAtMs,
          source: change.source,
          actor: by.actor,
          createdAtMs: by.nowMs,
        })
        const { kind, subject, value, effectiveAtMs } = change
        const last = before.findLast((row) => row.kind === kind && row.subject === subject)
        audit(by, {
          action: `model.${kind}`,
          target: subject,
          before: last === undefined ? null : { value: last.value },
          after: { value, effectiveAtMs, source: change.source },
        })
        return {
          ...change,
          seq: Number(lastInsertRowid),
          actor: by.actor,
          createdAtMs: by.nowMs,
        }
      })
      return { kind: 'added', changes: added }
    },
  }
}

function toChange(row: ChangeRow): PriceChange {
  return {
    seq: row.seq,
    kind: row.kind,
    subject: row.subject,
    value: JSON.parse(row.value) as unknown,
    effectiveAtMs: row.effective_at_ms,
    source: row.source,
    actor: row.actor,
    createdAtMs: row.created_at_ms,
  }
}
