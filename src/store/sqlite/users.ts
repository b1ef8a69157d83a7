import { forfeit } from '../../billing/ledger.ts'
import type { User } from '../../core/model.ts'
import { recentSinceMs } from '../../core/runs-out.ts'
import {
  type By,
  type Found,
  type NewUser,
  ROLLUP_MS,
  type Suspension,
  type UserChange,
  type UserStore,
  type UserSummary,
  type UserUpdate,
} from '../store.ts'
import {
  type Context,
  isIdPrefix,
  likeContains,
  nearestNames,
  prefixEnd,
  snapshot,
} from './context.ts'
import { differenceOf } from './keys.ts'
import { appendEntry, toWallet, type WalletRow } from './ledger-rows.ts'

interface UserRow {
  readonly id: string
  readonly name: string
  readonly email: string | null
  readonly state: User['state']
  readonly low_balance_micro: number | null
  readonly note: string | null
  readonly created_at_ms: number
}

interface SummaryRow extends UserRow {
  readonly balance_micro: number
  readonly held_micro: number
  readonly active_keys: number
}

/** What a user's requests have cost. */
interface Spent {
  readonly user_id: string
  readonly month: number
  readonly recent: number
}

const MONTH_MS = 30 * 86_400_000
/** What a deleted user's name ends with after `#`, which no living name has. */
const TAIL_LENGTH = 8
const SUMMARY = `
  SELECT u.*, w.balance_micro, w.held_micro,
    (SELECT count(*) FROM keys k WHERE k.user_id = u.id AND u.state = 'active'
      AND k.revoked_at_ms IS NULL AND (k.expires_at_ms IS NULL OR k.expires_at_ms > @now)) AS active_keys
  FROM users u JOIN wallets w ON w.user_id = u.id WHERE u.deleted_at_ms IS NULL`

/** Users and the wallets they are born with. Deleted ones are found by none of these. */
export function userOperations(context: Context) {
  const { db, sql, nowMs, audit } = context

  function summaries(where: string, params: Record<string, unknown>): readonly UserSummary[] {
    const now = nowMs()
    return snapshot(db, () => {
      const rows = sql(`${SUMMARY} AND (${where}) ORDER BY u.name`).all({
        ...params,
        now,
      }) as SummaryRow[]
      const spent = rows.length === 0 ? new Map() : spentLately(now, rows)
      return rows.map((row) => ({
        ...toUser(row),
        balanceMicro: row.balance_micro,
        heldMicro: row.held_micro,
        activeKeys: row.active_keys,
        spent30dMicro: spent.get(row.id)?.month ?? 0,
        spentRecentMicro: spent.get(row.id)?.recent ?? 0,
      }))
    })
  }

  function spentLately(now: number, rows: readonly UserRow[]): ReadonlyMap<string, Spent> {
    const only = rows.length === 1 ? rows[0].id : null
    const sums = sql(
      `SELECT k.user_id, sum(r.cost_micro) AS month,
         coalesce(sum(r.cost_micro) FILTER (WHERE r.quarter >= @recent), 0) AS recent
       FROM usage_rollups r JOIN keys k ON k.id = r.key_id
       WHERE r.quarter >= @quarter AND (@only IS NULL OR k.user_id = @only) GROUP BY k.user_id`,
    ).all({
      quarter: Math.floor((now - MONTH_MS) / ROLLUP_MS),
      recent: recentSinceMs(now) / ROLLUP_MS,
      only,
    }) as Spent[]
    return new Map(sums.map((row) => [row.user_id, row]))
  }

  function userById(userId: string): User | null {
    const row = sql('SELECT * FROM users WHERE id = ? AND deleted_at_ms IS NULL').get(userId)
    return row ? toUser(row as UserRow) : null
  }

  function change(userId: string, fields: Partial<User>): UserChange {
    const before = userById(userId)
    if (before === null) return { kind: 'not_found' }
    const after: User = { ...before, ...fields }
    if (JSON.stringify(after) === JSON.stringify(before))
      return { kind: 'unchanged', before, after }
    const other = sql('SELECT 1 FROM users WHERE id <> ? AND (name = ? OR email = ?)')
    if (other.get(userId, after.name, after.email)) return { kind: 'name_taken' }
    sql(
      'UPDATE users SET name = ?, email = ?, state = ?, low_balance_micro = ?, note = ? WHERE id = ?',
    ).run(after.name, after.email, after.state, after.lowBalanceMicro, after.note, userId)
    return { kind: 'changed', before, after }
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
      const born = { state: 'active', lowBalanceMicro: null, createdAtMs: by.nowMs } as const
      const created: User = { ...user, ...born }
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
      const names = sql('SELECT name FROM users WHERE deleted_at_ms IS NULL').all() as {
        name: string
      }[]
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

    listDeletedUsers(name: string): readonly Pick<User, 'id' | 'name'>[] {
      return sql(
        `SELECT id, name FROM users WHERE deleted_at_ms IS NOT NULL
         AND (name = @name OR (name >= @name || '#' AND name < @name || '$')) ORDER BY deleted_at_ms DESC`,
      ).all({ name }) as Pick<User, 'id' | 'name'>[]
    },

    getSuspension(userId: string): Suspension | null {
      // The log knows names: a user who got another one meanwhile was suspended under the old one.
      const row = sql(
        `SELECT a.at_ms, a.actor, a.after FROM users u JOIN audit a ON a.action = 'user.suspend' AND a.target = u.name
         WHERE u.id = ? AND u.state = 'suspended' AND u.deleted_at_ms IS NULL ORDER BY a.id DESC LIMIT 1`,
      ).get(userId) as { at_ms: number; actor: string; after: string } | undefined
      if (row === undefined) return null
      const { reason } = JSON.parse(row.after) as { reason: string | null }
      return { atMs: row.at_ms, actor: row.actor, reason }
    },

    listWalletIds(): readonly string[] {
      return sql('SELECT user_id FROM wallets ORDER BY user_id').pluck().all() as string[]
    },

    updateUser(userId: string, update: UserUpdate, by: By): UserChange {
      const given = Object.entries(update).filter(([, value]) => value !== undefined)
      const result = change(userId, Object.fromEntries(given))
      if (result.kind === 'changed') {
        const difference = differenceOf(result.before, result.after)
        audit(by, { action: 'user.update', target: result.before.name, ...difference })
      }
      return result
    },

    setUserSuspended(
      userId: string,
      { isSuspended, reason }: Parameters<UserStore['setUserSuspended']>[1],
      by: By,
    ): UserChange {
      const result = change(userId, { state: isSuspended ? 'suspended' : 'active' })
      if (result.kind === 'changed') {
        const { before, after } = differenceOf(result.before, result.after)
        audit(by, {
          action: isSuspended ? 'user.suspend' : 'user.resume',
          target: result.after.name,
          before,
          after: { ...after, reason },
        })
      }
      return result
    },

    deleteUser(
      userId: string,
      options: Parameters<UserStore['deleteUser']>[1],
      by: By,
    ): Awaited<ReturnType<UserStore['deleteUser']>> {
      const user = userById(userId)
      if (user === null) return { kind: 'not_found' }
      const row = sql('SELECT * FROM wallets WHERE user_id = ?').get(userId) as WalletRow
      const wallet = toWallet(row)
      const open = sql(
        `SELECT 1 FROM holds INDEXED BY holds_open WHERE state = 'open' AND user_id = ? LIMIT 1`,
      ).get(userId)
      if (open || wallet.heldMicro > 0) return { kind: 'busy', wallet }
      const lapse = forfeit(wallet)
      if (lapse.amountMicro !== 0 && options.forfeit === null)
        return { kind: 'has_balance', wallet }
      const forfeited =
        lapse.amountMicro === 0 || options.forfeit === null
          ? null
          : appendEntry(
              context,
              row,
              {
                ...options.forfeit,
                type: 'forfeit',
                amountMicro: lapse.amountMicro,
                balanceAfterMicro: lapse.after.balanceMicro,
                requestId: null,
                ref: null,
              },
              by,
            )
      const revokedKeys = sql(
        `UPDATE keys SET revoked_at_ms = ?, revoked_reason = 'its user was deleted'
         WHERE user_id = ? AND revoked_at_ms IS NULL`,
      ).run(by.nowMs, userId).changes
      sql(
        `UPDATE users SET deleted_at_ms = ?, name = ?, email = NULL, state = 'suspended' WHERE id = ?`,
      ).run(by.nowMs, `${user.name}#${userId.slice(-TAIL_LENGTH)}`, userId)
      const after = { revokedKeys, forfeitedMicro: forfeited?.amountMicro ?? 0 }
      audit(by, { action: 'user.delete', target: user.name, before: user, after })
      return { kind: 'deleted', user, revokedKeys, forfeited }
    },
  }
}

function toUser(row: UserRow): User {
  return {
    id: row.id,
    name: row.name,
    email: row.email,
    state: row.state,
    lowBalanceMicro: row.low_balance_micro,
    note: row.note,
    createdAtMs: row.created_at_ms,
  }
}
