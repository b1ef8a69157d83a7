import type { Context } from './context.ts'
import { keySpent } from './key-spent.ts'

interface WindowRow {
  readonly key_id: string
  readonly since_ms: number
  readonly until_ms: number
  readonly spent_micro: number
  readonly held_micro: number
  readonly has_limit: number
  readonly open_micro: number
}

/** What is wrong with the counters of limited keys; of one user's, or of all. */
export function limitChecks({ db, sql }: Pick<Context, 'db' | 'sql'>) {
  const spentIn = keySpent(db)

  function windows(userId: string | null): readonly WindowRow[] {
    return sql(
      `SELECT s.*, k.spend_limit_micro IS NOT NULL AS has_limit, coalesce(d.sum, 0) AS open_micro
       FROM key_spending s JOIN keys k ON k.id = s.key_id
       LEFT JOIN (SELECT key_id, limit_since_ms, sum(amount_micro) AS sum
         FROM holds INDEXED BY holds_open WHERE state = 'open' GROUP BY key_id, limit_since_ms) d
         ON d.key_id = s.key_id AND d.limit_since_ms = s.since_ms
       WHERE @userId IS NULL OR k.user_id = @userId`,
    ).all({ userId }) as WindowRow[]
  }

  /** Open holds that say they are counted in a window that nobody counts. */
  function uncounted(userId: string | null): readonly string[] {
    return sql(
      `SELECT h.request_id FROM holds h INDEXED BY holds_open
       WHERE h.state = 'open' AND h.limit_since_ms IS NOT NULL AND (@userId IS NULL OR h.user_id = @userId)
         AND NOT EXISTS (SELECT 1 FROM key_spending s
           WHERE s.key_id = h.key_id AND s.since_ms = h.limit_since_ms)`,
    )
      .pluck()
      .all({ userId }) as string[]
  }

  return {
    /** One sentence each; call inside a snapshot. */
    limitViolations(userId: string | null, most: number): readonly string[] {
      const found: string[] = []
      for (const row of windows(userId)) {
        const name = `Key ${row.key_id}`
        if (row.has_limit === 0) found.push(`${name} is counted and has no spend limit.`)
        const { since_ms: sinceMs, until_ms: untilMs } = row
        const spentMicro = spentIn(row.key_id, { sinceMs, untilMs })
        if (spentMicro !== row.spent_micro) {
          found.push(
            `${name}: ${row.spent_micro} micro counted in its window, its requests in it cost ${spentMicro}.`,
          )
        }
        if (row.open_micro !== row.held_micro) {
          found.push(
            `${name}: ${row.held_micro} micro held in its window, its open holds in it sum to ${row.open_micro}.`,
          )
        }
        if (found.length >= most) return found.slice(0, most)
      }
      for (const requestId of uncounted(userId)) {
        found.push(`Hold ${requestId} is counted in a window of its key that is not there.`)
      }
      return found.slice(0, most)
    },

    /** Counts the windows of a user's keys again; answers how many counters and holds that changed. */
    repairLimits(userId: string): number {
      let changed = 0
      for (const requestId of uncounted(userId)) {
        sql('UPDATE holds SET limit_since_ms = NULL WHERE request_id = ?').run(requestId)
        changed += 1
      }
      for (const row of windows(userId)) {
        const { key_id: keyId, since_ms: sinceMs, until_ms: untilMs } = row
        if (row.has_limit === 0) {
          sql('DELETE FROM key_spending WHERE key_id = ? AND since_ms = ?').run(keyId, sinceMs)
          sql(
            `UPDATE holds INDEXED BY holds_open SET limit_since_ms = NULL
             WHERE state = 'open' AND key_id = ? AND limit_since_ms = ?`,
          ).run(keyId, sinceMs)
          changed += 1
          continue
        }
        const spentMicro = spentIn(keyId, { sinceMs, untilMs })
        if (spentMicro === row.spent_micro && row.open_micro === row.held_micro) continue
        sql(
          'UPDATE key_spending SET spent_micro = ?, held_micro = ? WHERE key_id = ? AND since_ms = ?',
        ).run(spentMicro, row.open_micro, keyId, sinceMs)
        changed += 1
      }
      return changed
    },
  }
}
