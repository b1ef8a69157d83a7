import { idFloor } from '../../core/ids.ts'
import type { User } from '../../core/model.ts'
import type { By, Found, NewUser, UserStore, UserSummary } from '../store.ts'
import {
  type Context,
  isIdPrefix,
  likeContains,
  nearestNames,
  prefixEnd,
  snapshot,
} from './context.ts'

interface UserRow {
  readonly id: string
  readonly name: string
  readonly email: string | null
  readonly state: User['state']
  readonly note: string | null
  readonly created_at_ms: number
}

interface SummaryRow extends UserRow {
  readonly balance_micro: number
  readonly held_micro: number
  readonly active_keys: number
}

const MONTH_MS = 30 * 86_400_000
const SUMMARY = `
  SELECT u.*, w.balance_micro, w.held_micro,
    (SELECT count(*) FROM keys k WHERE k.user_id = u.id AND u.state = 'active'
      AND k.revoked_at_ms IS NULL AND (k.expires_at_ms IS NULL OR k.expires_at_ms > @now)) AS active_keys
  FROM users u JOIN wallets w ON w.user_id = u.id`

/** Users and the wallets they are born with. */
export function userOperations({ db, sql, nowMs, audit }: Context) {
  function summaries(where: string, params: Record<string, unknown>): readonly UserSummary[] {
    const now = nowMs()
    return snapshot(db, () => {
      const rows = sql(`${SUMMARY} WHERE ${where} ORDER BY u.name`).all({
        ...params,
        now,
      }) as SummaryRow[]
      const spent = rows.length === 0 ? new Map() : spentSince(now - MONTH_MS, rows)
      return rows.map((row) => ({
        ...toUser(row),
        balanceMicro: row.balance_micro,
        heldMicro: row.held_micro,
        activeKeys: row.active_keys,
        spent30dMicro: spent.get(row.id) ?? 0,
      }))
    })
  }

  function spentSince(sinceMs: number, rows: readonly UserRow[]): ReadonlyMap<string, number> {
    const only = rows.length === 1 ? rows[0].id : null
    const sums = sql(
      `SELECT user_id, -sum(amount_micro) AS spent FROM ledger
       WHERE id >= @floor AND type = 'charge' AND (@only IS NULL OR user_id = @only) GROUP BY user_id`,
    ).all({ floor: idFloor('entry', sinceMs), only }) as { user_id: string; spent: number }[]
    return new Map(sums.map((row) => [row.user_id, row.spent]))
  }

  return {
    createUser(user: NewUser, by: By): Awaited<ReturnType<UserStore['createUser']>> {
      const existing = sql(
        'SELECT * FROM users WHERE name = ? OR email = ? ORDER BY name = ? DESC',
      ).get(user.name, user.email, user.name) as UserRow | undefined
      if (existing) return { kind: 'exists', user: toUser(existing) }
      sql(
        `INSERT INTO users (id, name, email, state, note, created_at_ms) VALUES (?, ?, ?, 'active', ?, ?)`,
      ).run(user.id, user.name, user.email, user.note, by.nowMs)
      sql('INSERT INTO wallets (user_id, balance_micro, held_micro) VALUES (?, 0, 0)').run(user.id)
      const created: User = { ...user, state: 'active', createdAtMs: by.nowMs }
      audit(by, { action: 'user.create', target: user.name, after: created })
      return { kind: 'created', user: created }
    },

    findUser(ref: string): Found<UserSummary> {
      const exact = summaries('u.id = @ref OR u.name = @ref OR u.email = @ref', { ref })
      if (exact.length === 1) return { kind: 'found', value: exact[0] }
      if (exact.length > 1) return { kind: 'ambiguous', candidates: exact.map((user) => user.id) }
      if (isIdPrefix('user', ref)) {
        const some = summaries('u.id >= @ref AND u.id < @end', { ref, end: prefixEnd(ref) })
        if (some.length === 1) return { kind: 'found', value: some[0] }
        if (some.length > 1) return { kind: 'ambiguous', candidates: some.map((user) => user.id) }
      }
      const names = sql('SELECT name FROM users').all() as { name: string }[]
      return {
        kind: 'not_found',
        nearest: nearestNames(
          ref,
          names.map((row) => row.name),
        ),
      }
    },

    listUsers(filter: { search?: string; state?: User['state'] }): readonly UserSummary[] {
      const search = filter.search === undefined ? null : likeContains(filter.search)
      return summaries(
        `(@search IS NULL OR u.name LIKE @search ESCAPE '\\' OR u.email LIKE @search ESCAPE '\\')
         AND (@state IS NULL OR u.state = @state)`,
        { search, state: filter.state ?? null },
      )
    },
  }
}

function toUser(row: UserRow): User {
  return {
    id: row.id,
    name: row.name,
    email: row.email,
    state: row.state,
    note: row.note,
    createdAtMs: row.created_at_ms,
  }
}
