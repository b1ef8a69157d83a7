import { idTimeMs } from '../../core/ids.ts'
import { invariant } from '../../core/invariant.ts'
import {
  type DisconnectPolicy,
  type Key,
  keyState,
  type SpendPeriod,
  type User,
} from '../../core/model.ts'
import { matchesModel } from '../../core/model-glob.ts'
import type {
  By,
  Found,
  KeyCredential,
  KeyLimits,
  KeyStore,
  KeySummary,
  NewKey,
  Window,
} from '../store.ts'
import { type Context, isIdPrefix, nearestNames, prefixEnd, snapshot } from './context.ts'
import { keyActivity } from './key-activity.ts'
import { keySpending } from './key-spending.ts'
import { type Cell, detailAt } from './usage-rows.ts'

interface KeyRow {
  readonly id: string
  readonly user_id: string
  readonly user_name: string
  readonly user_state: User['state']
  readonly name: string
  readonly digest: Uint8Array
  readonly last4: string
  readonly rpm_limit: number | null
  readonly concurrency_limit: number | null
  readonly models: string
  readonly account_tags: string | null
  readonly spend_limit_micro: number | null
  readonly spend_limit_period: SpendPeriod | null
  readonly burn_limit_micro: number | null
  readonly markup_n: number | null
  readonly markup_d: number | null
  readonly on_disconnect: string | null
  readonly note: string | null
  readonly expires_at_ms: number | null
  readonly created_at_ms: number
  readonly created_by: string
  readonly revoked_at_ms: number | null
  readonly revoked_reason: string | null
  readonly last_used_at_ms: number | null
  readonly last_ip: string | null
  readonly window_until_ms: number | null
  readonly window_spent_micro: number | null
  readonly window_held_micro: number | null
}

const SELECT = `
  SELECT k.*, u.name AS user_name, u.state AS user_state, a.last_used_at_ms, a.last_ip,
    s.until_ms AS window_until_ms, s.spent_micro AS window_spent_micro,
    s.held_micro AS window_held_micro
  FROM keys k JOIN users u ON u.id = k.user_id LEFT JOIN key_activity a ON a.key_id = k.id
    LEFT JOIN key_spending s ON s.key_id = k.id AND s.since_ms <= @now AND s.until_ms > @now`

/** API keys; their digests are what the daemon knows of the secrets. */
export function keyOperations(context: Context) {
  const { db, sql, nowMs, audit } = context
  const spending = keySpending(db)
  const { spentBy } = keyActivity(context)

  function rows(where: string, params: Record<string, unknown>): readonly KeyRow[] {
    // The live key of a name comes before its revoked namesakes, then the newest.
    return sql(`${SELECT} WHERE ${where} ORDER BY k.revoked_at_ms IS NOT NULL, k.id DESC`).all({
      now: nowMs(),
      ...params,
    }) as KeyRow[]
  }

  function keyById(keyId: string): Key | null {
    const [row] = rows('k.id = @keyId', { keyId })
    return row ? toKey(row) : null
  }

  function summarize(found: readonly KeyRow[], now: number): readonly KeySummary[] {
    if (found.length === 0) return []
    const spent = spentBy(found.length === 1 ? found[0].id : null, now)
    return found.map((row) => {
      const recent = spent.get(row.id)
      const lastId = recent?.last_request_id ?? null
      const recentMs = lastId === null ? null : idTimeMs(lastId)
      const isNewer = recentMs !== null && recentMs > (row.last_used_at_ms ?? 0)
      return {
        ...toKey(row),
        userState: row.user_state,
        lastUsedAtMs: isNewer ? recentMs : row.last_used_at_ms,
        lastIp: isNewer && lastId !== null ? clientIpOf(lastId) : row.last_ip,
        spent24hMicro: recent?.day_micro ?? 0,
        spentMonthMicro: recent?.month_micro ?? 0,
        limitUse: limitUseOf(row),
      }
    })
  }

  function clientIpOf(requestId: string): string | null {
    const row = sql(
      `SELECT details ->> ${detailAt('clientIp')} AS client_ip FROM usage WHERE request_id = ?`,
    ).get(requestId)
    return (row as { client_ip: string | null }).client_ip
  }

  return {
    createKey(key: NewKey, by: By): Awaited<ReturnType<KeyStore['createKey']>> {
      const owner = sql('SELECT 1 FROM users WHERE id = ? AND deleted_at_ms IS NULL').get(
        key.userId,
      )
      if (!owner) return { kind: 'no_user' }
      const [existing] = rows(
        'k.user_id = @userId AND k.name = @name AND k.revoked_at_ms IS NULL',
        {
          userId: key.userId,
          name: key.name,
        },
      )
      if (existing) return { kind: 'exists', key: toKey(existing) }
      sql(
        `INSERT INTO keys (id, user_id, name, digest, last4, ${LIMIT_COLUMNS.join(', ')}, created_at_ms,
           created_by) VALUES (?, ?, ?, ?, ?, ${LIMIT_COLUMNS.map(() => '?').join(', ')}, ?, ?)`,
      ).run(
        key.id,
        key.userId,
        key.name,
        key.digest,
        key.last4,
        ...limitCells(key),
        by.nowMs,
        by.actor,
      )
      const [created] = rows('k.id = @id', { id: key.id })
      const result = toKey(created)
      audit(by, { action: 'key.create', target: targetOf(result), after: result })
      return { kind: 'created', key: result }
    },

    findKey(ref: string): Found<KeySummary> {
      return snapshot(db, () => {
        const [userName, keyName] = splitOnce(ref)
        const exact = rows('k.id = @ref OR (u.name = @userName AND k.name = @keyName)', {
          ref,
          userName,
          keyName,
        })
        if (exact.length > 0) {
          return { kind: 'found', value: summarize(exact.slice(0, 1), nowMs())[0] }
        }
        if (isIdPrefix('key', ref)) {
          const some = rows('k.id >= @ref AND k.id < @end', { ref, end: prefixEnd(ref) })
          if (some.length === 1) return { kind: 'found', value: summarize(some, nowMs())[0] }
          if (some.length > 1) return { kind: 'ambiguous', candidates: some.map((row) => row.id) }
        }
        const names = rows('TRUE', {}).map((row) => `${row.user_name}/${row.name}`)
        return { kind: 'not_found', nearest: nearestNames(ref, [...new Set(names)]) }
      })
    },

    listKeys(filter: Parameters<KeyStore['listKeys']>[0]): readonly KeySummary[] {
      const state = filter.state ?? 'all'
      return snapshot(db, () => {
        const found = rows('(@userId IS NULL OR k.user_id = @userId)', {
          userId: filter.userId ?? null,
          now: filter.nowMs,
        })
          .filter(
            (row) =>
              state === 'all' || keyState(toKey(row), row.user_state, filter.nowMs) === state,
          )
          .filter(
            (row) => filter.model === undefined || matchesModel(toKey(row).models, filter.model),
          )
        return summarize(found, filter.nowMs)
          .filter(
            (key) =>
              filter.unusedSinceMs === undefined || (key.lastUsedAtMs ?? 0) < filter.unusedSinceMs,
          )
          .toSorted((a, b) => (a.id < b.id ? 1 : -1))
      })
    },

    limitKey(
      keyId: string,
      change: KeyLimits,
      window: Window | null,
      by: By,
    ): Awaited<ReturnType<KeyStore['limitKey']>> {
      const before = keyById(keyId)
      if (!before) return { kind: 'not_found' }
      const after: Key = { ...before, ...definedOf(change) }
      if (JSON.stringify(after) === JSON.stringify(before))
        return { kind: 'unchanged', before, after }
      sql(
        `UPDATE keys SET ${LIMIT_COLUMNS.map((column) => `${column} = ?`).join(', ')} WHERE id = ?`,
      ).run(...limitCells(after), keyId)
      if (JSON.stringify(after.spendLimit) !== JSON.stringify(before.spendLimit)) {
        invariant(window || !after.spendLimit, 'a spend limit comes with its current window')
        spending.restart(keyId, after.spendLimit === null ? null : window)
      }
      audit(by, { action: 'key.limit', target: targetOf(after), ...differenceOf(before, after) })
      return { kind: 'changed', before, after }
    },

    revokeKey(
      keyId: string,
      reason: string | null,
      by: By,
    ): Awaited<ReturnType<KeyStore['revokeKey']>> {
      const before = keyById(keyId)
      if (!before) return { kind: 'not_found' }
      if (before.revokedAtMs !== null) return { kind: 'already_revoked', key: before }
      sql('UPDATE keys SET revoked_at_ms = ?, revoked_reason = ? WHERE id = ?').run(
        by.nowMs,
        reason,
        keyId,
      )
      const key: Key = { ...before, revokedAtMs: by.nowMs, revokedReason: reason }
      audit(by, { action: 'key.revoke', target: targetOf(key), ...differenceOf(before, key) })
      return { kind: 'revoked', key }
    },

    loadKeys(): readonly KeyCredential[] {
      return rows('TRUE', {}).map((row) => ({
        key: toKey(row),
        digest: row.digest,
        userState: row.user_state,
      }))
    },
  }
}

function toKey(row: KeyRow): Key {
  return {
    id: row.id,
    userId: row.user_id,
    userName: row.user_name,
    name: row.name,
    last4: row.last4,
    rpmLimit: row.rpm_limit,
    concurrencyLimit: row.concurrency_limit,
    models: JSON.parse(row.models) as string[],
    accountTags: row.account_tags === null ? null : (JSON.parse(row.account_tags) as string[]),
    spendLimit:
      row.spend_limit_micro === null || row.spend_limit_period === null
        ? null
        : { amountMicro: row.spend_limit_micro, period: row.spend_limit_period },
    burnLimitMicro: row.burn_limit_micro,
    markup: row.markup_n === null || row.markup_d === null ? null : [row.markup_n, row.markup_d],
    onDisconnect:
      row.on_disconnect === null ? null : (JSON.parse(row.on_disconnect) as DisconnectPolicy),
    note: row.note,
    expiresAtMs: row.expires_at_ms,
    createdAtMs: row.created_at_ms,
    createdBy: row.created_by,
    revokedAtMs: row.revoked_at_ms,
    revokedReason: row.revoked_reason,
  }
}

/** What `limitKey` changes, in the order of `limitCells`. */
const LIMIT_COLUMNS = [
  'rpm_limit',
  'concurrency_limit',
  'models',
  'account_tags',
  'spend_limit_micro',
  'spend_limit_period',
  'burn_limit_micro',
  'markup_n',
  'markup_d',
  'on_disconnect',
  'note',
  'expires_at_ms',
] as const

function limitCells(key: Required<KeyLimits>): readonly Cell[] {
  return [
    key.rpmLimit,
    key.concurrencyLimit,
    JSON.stringify(key.models),
    key.accountTags === null ? null : JSON.stringify(key.accountTags),
    key.spendLimit?.amountMicro ?? null,
    key.spendLimit?.period ?? null,
    key.burnLimitMicro,
    key.markup?.[0] ?? null,
    key.markup?.[1] ?? null,
    key.onDisconnect === null ? null : JSON.stringify(key.onDisconnect),
    key.note,
    key.expiresAtMs,
  ]
}

/** Where the current window has not begun, nothing was asked for in it yet. */
function limitUseOf(row: KeyRow): KeySummary['limitUse'] {
  if (row.spend_limit_period === null) return null
  return {
    spentMicro: row.window_spent_micro ?? 0,
    heldMicro: row.window_held_micro ?? 0,
    resetsAtMs: row.spend_limit_period === 'total' ? null : row.window_until_ms,
  }
}

function targetOf(key: Key): string {
  return `${key.userName}/${key.name}`
}

function splitOnce(ref: string): readonly [string, string] {
  const slash = ref.indexOf('/')
  return slash < 0 ? ['', ''] : [ref.slice(0, slash), ref.slice(slash + 1)]
}

function definedOf(change: KeyLimits): KeyLimits {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
}

/** The fields that differ, for the audit log. */
export function differenceOf<T extends object>(before: T, after: T) {
  const changed = (Object.keys(after) as (keyof T)[]).filter(
    (name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]),
  )
  const pick = (from: T) => Object.fromEntries(changed.map((name) => [name, from[name]]))
  return { before: pick(before), after: pick(after) }
}
