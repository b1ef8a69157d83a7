import type { AccountEvent, HeadroomRow, HealthRow } from '../../core/model.ts'
import type { Micro } from '../../core/money.ts'
import type {
  AccountChange,
  AccountCredential,
  AccountStore,
  AccountUpdate,
  By,
  Found,
  NewAccount,
  NoticeQuery,
  SealedCredential,
  Window,
} from '../store.ts'
import { ROLLUP_MS } from '../store.ts'
import { accountActivity } from './account-activity.ts'
import {
  type AccountRow,
  type EventRow,
  type HealthRecord,
  toAccount,
  toEvent,
  toHealth,
} from './account-rows.ts'
import { type Context, isIdPrefix, nearestNames, prefixEnd, snapshot } from './context.ts'
import { differenceOf } from './keys.ts'

/** Notices are sought among so many events: older ones are nobody's news. */
const NEWEST_EVENTS = 10_000

/** Upstream accounts: the operator's part (rows of `accounts`) and what the daemon knows of them. */
export function accountOperations(context: Context) {
  const { db, sql, nowMs, audit } = context
  const activity = accountActivity(context)

  function rows(where: string, params: Record<string, unknown>): readonly AccountRow[] {
    return sql(
      `SELECT * FROM accounts WHERE removed_at_ms IS NULL AND (${where}) ORDER BY priority, name`,
    ).all(params) as AccountRow[]
  }

  /** Changes one account and writes its audit row; `change` null means that there is nothing to do. */
  function change(
    accountId: string,
    by: By,
    action: string,
    change: (row: AccountRow) => Partial<AccountRow> | null,
  ): AccountChange {
    const [row] = rows('id = @accountId', { accountId })
    if (!row) return { kind: 'not_found' }
    const before = toAccount(row)
    const changes = change(row)
    if (!changes) return { kind: 'unchanged', before, after: before }
    const columns = Object.keys(changes)
    sql(
      `UPDATE accounts SET ${columns.map((column) => `${column} = @${column}`).join(', ')} WHERE id = @id`,
    ).run({ ...changes, id: accountId })
    const after = toAccount({ ...row, ...changes })
    audit(by, { action, target: row.name, ...differenceOf(before, after) })
    return { kind: 'changed', before, after }
  }

  return {
    addAccount(account: NewAccount, by: By): Awaited<ReturnType<AccountStore['addAccount']>> {
      const [existing] = rows('name = @name', { name: account.name })
      if (existing) return { kind: 'exists', account: toAccount(existing) }
      sql(
        `INSERT INTO accounts (id, name, provider, base_url, allow_private, sealed, credential_last4,
           credential_fingerprint, credential_version, priority, weight, rpm_limit, concurrency_limit,
           models, tpm_limit, tags, cache_scope, hours, proxy, proxy_sealed, day_cap_micro,
           month_cap_micro, note, created_at_ms, disabled_at_ms, disabled_by)
         VALUES (@id, @name, @provider, @baseUrl, @allowPrivate, @sealed, @last4, @fingerprint, 1,
           @priority, @weight, @rpmLimit, @concurrencyLimit, @models, @tpmLimit, @tags, @cacheScope, @hours, @proxy, @proxySealed, @dayCapMicro,
           @monthCapMicro, @note, @createdAtMs, @disabledAtMs, @disabledBy)`,
      ).run({
        id: account.id,
        name: account.name,
        provider: account.provider,
        baseUrl: account.baseUrl,
        allowPrivate: account.allowPrivate ? 1 : 0,
        sealed: account.credential.sealed,
        last4: account.credential.last4,
        fingerprint: account.credential.fingerprint,
        priority: account.priority,
        weight: account.weight,
        rpmLimit: account.rpmLimit,
        concurrencyLimit: account.concurrencyLimit,
        models: JSON.stringify(account.models),
        tpmLimit: account.tpmLimit,
        tags: JSON.stringify(account.tags),
        cacheScope: account.cacheScope,
        hours: account.hours,
        proxy: account.proxy?.text ?? null,
        proxySealed: account.proxy?.sealed ?? null,
        dayCapMicro: account.dayCapMicro,
        monthCapMicro: account.monthCapMicro,
        note: account.note,
        createdAtMs: by.nowMs,
        disabledAtMs: account.disabled ? by.nowMs : null,
        disabledBy: account.disabled ? by.actor : null,
      })
      const [created] = rows('id = @id', { id: account.id })
      const added = toAccount(created)
      audit(by, { action: 'account.add', target: added.name, after: added })
      return { kind: 'added', account: added }
    },

    findAccount(ref: string): Found<ReturnType<typeof activity.summarize>[number]> {
      return snapshot(db, () => {
        const exact = rows('id = @ref OR name = @ref', { ref })
        const some =
          exact.length === 0 && isIdPrefix('account', ref)
            ? rows('id >= @ref AND id < @end', { ref, end: prefixEnd(ref) })
            : exact
        if (some.length === 1) return { kind: 'found', value: activity.summarize(some, nowMs())[0] }
        if (some.length > 1) return { kind: 'ambiguous', candidates: some.map((row) => row.id) }
        const names = rows('TRUE', {}).map((row) => row.name)
        return { kind: 'not_found', nearest: nearestNames(ref, names) }
      })
    },

    listAccounts(now: number) {
      return snapshot(db, () => activity.summarize(rows('TRUE', {}), now))
    },

    setAccountDisabled(
      accountId: string,
      disabled: { reason: string | null } | null,
      by: By,
    ): AccountChange {
      const action = disabled ? 'account.disable' : 'account.enable'
      return change(accountId, by, action, (row) => {
        const isDisabled = row.disabled_at_ms !== null
        if (
          isDisabled === (disabled !== null) &&
          row.disabled_reason === (disabled?.reason ?? null)
        )
          return null
        return {
          disabled_at_ms: disabled ? by.nowMs : null,
          disabled_by: disabled ? by.actor : null,
          disabled_reason: disabled?.reason ?? null,
        }
      })
    },

    rotateCredential(accountId: string, credential: SealedCredential, by: By): AccountChange {
      return change(accountId, by, 'account.rotate', (row) => ({
        sealed: credential.sealed,
        credential_last4: credential.last4,
        credential_fingerprint: credential.fingerprint,
        credential_version: row.credential_version + 1,
      }))
    },

    updateAccount(accountId: string, update: AccountUpdate, by: By): AccountChange {
      return change(accountId, by, 'account.update', (row) => {
        const wanted = columnsOf(update)
        const isSame = Object.entries(wanted).every(
          ([column, value]) => row[column as keyof AccountRow] === value,
        )
        return isSame ? null : wanted
      })
    },

    removeAccount(accountId: string, by: By): AccountChange {
      return change(accountId, by, 'account.remove', () => ({
        sealed: null,
        proxy_sealed: null,
        removed_at_ms: by.nowMs,
      }))
    },

    clearCooldown(accountId: string, by: By): AccountChange {
      return change(accountId, by, 'account.cooldown_clear', () => ({
        cooldown_cleared_at_ms: by.nowMs,
        cooldown_until_ms: null,
      }))
    },

    setCooldown(accountId: string, untilMs: number, by: By): AccountChange {
      return change(accountId, by, 'account.cooldown_set', (row) =>
        row.cooldown_until_ms === untilMs ? null : { cooldown_until_ms: untilMs },
      )
    },

    loadAccounts(): readonly AccountCredential[] {
      return rows('TRUE', {}).map((row) => ({
        account: toAccount(row),
        // A check of the table: only removed accounts have no credential.
        sealed: row.sealed as Uint8Array,
        sealedProxy: row.proxy_sealed,
      }))
    },

    loadHealth(): readonly HealthRow[] {
      const found = sql(
        `SELECT h.* FROM account_health h JOIN accounts a ON a.id = h.account_id
         WHERE a.removed_at_ms IS NULL`,
      ).all() as HealthRecord[]
      return found.map(toHealth)
    },

    saveHealth(changed: readonly HealthRow[], events: readonly AccountEvent[]): void {
      for (const row of changed) {
        if (row.state === 'healthy') {
          sql('DELETE FROM account_health WHERE account_id = ? AND model_class = ?').run(
            row.accountId,
            row.modelClass,
          )
        } else {
          sql(
            `INSERT OR REPLACE INTO account_health VALUES (@accountId, @modelClass, @state, @reason,
               @httpStatus, @upstreamRequestId, @sinceMs, @untilMs, @step, @credentialVersion)`,
          ).run({ ...row })
        }
      }
      for (const event of events) {
        sql(
          `INSERT INTO account_events (account_id, at_ms, kind, message, request_id)
           VALUES (@accountId, @atMs, @kind, @message, @requestId)`,
        ).run({ ...event })
      }
    },

    saveHeadroom(changed: readonly HeadroomRow[]): void {
      for (const row of changed) {
        sql(
          `INSERT OR REPLACE INTO account_headroom VALUES (@accountId, @requestsLimit, @requestsRemaining,
             @inputTokensLimit, @inputTokensRemaining, @outputTokensLimit, @outputTokensRemaining,
             @resetAtMs, @organizationId, @workspaceId, @updatedAtMs)`,
        ).run({ ...row })
      }
    },

    listCosts(windows: readonly Window[]): readonly (readonly (readonly [string, Micro])[])[] {
      // Quarters of an hour: days and months of every time zone begin with one.
      return snapshot(db, () =>
        windows.map(
          ({ sinceMs, untilMs }) =>
            sql(
              `SELECT account_id, sum(list_cost_micro) FROM usage_rollups
               WHERE quarter >= ? AND quarter < ? AND account_id <> '' GROUP BY account_id`,
            )
              .raw()
              .all(Math.floor(sinceMs / ROLLUP_MS), Math.ceil(untilMs / ROLLUP_MS)) as (readonly [
              string,
              Micro,
            ])[],
        ),
      )
    },

    lastAccountEvents({ kind, sinceMs, settledBy }: NoticeQuery): readonly AccountEvent[] {
      // Events are numbered in their order: of the newest ones only, so that this stays cheap in a large table.
      const found = sql(
        `SELECT e.* FROM account_events e JOIN accounts a ON a.id = e.account_id
         WHERE e.seq IN (
             SELECT max(seq) FROM account_events
             WHERE seq > (SELECT max(seq) FROM account_events) - ${NEWEST_EVENTS}
               AND kind = @kind AND at_ms >= @sinceMs
             GROUP BY account_id)
           AND a.removed_at_ms IS NULL
           AND NOT EXISTS (
             SELECT 1 FROM audit
             WHERE action = @settledBy AND target = a.name AND at_ms >= e.at_ms)
         ORDER BY e.seq DESC`,
      ).all({ kind, sinceMs, settledBy }) as EventRow[]
      return found.map(toEvent)
    },

    listAccountEvents(accountId: string, limit: number): readonly AccountEvent[] {
      const found = sql(
        'SELECT * FROM account_events WHERE account_id = ? ORDER BY seq DESC LIMIT ?',
      ).all(accountId, limit) as EventRow[]
      return found.map(toEvent)
    },
  }
}

/** The columns of an update, without those that it leaves as they are. */
function columnsOf(update: AccountUpdate): Partial<AccountRow> {
  const columns: Partial<AccountRow> = {
    priority: update.priority,
    weight: update.weight,
    rpm_limit: update.rpmLimit,
    concurrency_limit: update.concurrencyLimit,
    tpm_limit: update.tpmLimit,
    models: update.models && JSON.stringify(update.models),
    tags: update.tags && JSON.stringify(update.tags),
    cache_scope: update.cacheScope,
    hours: update.hours,
    proxy: update.proxy === null ? null : update.proxy?.text,
    proxy_sealed: update.proxy === null ? null : update.proxy?.sealed,
    day_cap_micro: update.dayCapMicro,
    month_cap_micro: update.monthCapMicro,
    note: update.note,
  }
  return Object.fromEntries(Object.entries(columns).filter(([, value]) => value !== undefined))
}
