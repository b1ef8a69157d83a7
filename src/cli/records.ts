import { maskCredential, maskKey } from '../access/key.ts'
import type { AccountNotices } from '../core/account-notices.ts'
import {
  type AccountState,
  accountRestsOf,
  accountStateOf,
  type Now,
} from '../core/account-state.ts'
import { disconnectPolicyText } from '../core/disconnect-policy.ts'
import { markupText } from '../core/markup.ts'
import { type Account, type Key, keyState, type LedgerEntry, type User } from '../core/model.ts'
import type { AccountSummary, KeySummary, UserSummary } from '../store/store.ts'
import type { WatchedAccount } from '../tui/watched-accounts.ts'
import { isoTime } from './format.ts'
import { limitUseOf } from './money-limits.ts'

/** Records as `--json` shows them: snake_case, times in RFC 3339, money in micro-dollars, absent is null. */
export type Json = Readonly<Record<string, unknown>>

export function userJson(user: UserSummary): Json {
  return {
    object: 'user',
    id: user.id,
    name: user.name,
    email: user.email,
    state: user.state,
    balance_micro: user.balanceMicro,
    held_micro: user.heldMicro,
    low_balance_micro: user.lowBalanceMicro,
    keys: user.activeKeys,
    spent_30d_micro: user.spent30dMicro,
    note: user.note,
    created_at: isoTime(user.createdAtMs),
  }
}

export function keyJson(
  key: Key,
  facts: {
    readonly userState: User['state']
    readonly nowMs: number
    /** Of the config: its days and months begin spend limits anew. */
    readonly timeZone: string
    /** null: it was not kept. */
    readonly secret?: string | null
    readonly activity?: KeySummary
  },
): Json {
  const { activity } = facts
  const use = limitUseOf({ spendLimit: key.spendLimit, limitUse: activity?.limitUse }, facts)
  return {
    object: 'key',
    id: key.id,
    user: key.userName,
    user_id: key.userId,
    name: key.name,
    key_masked: maskKey(key.last4),
    ...(facts.secret === undefined ? {} : { secret: facts.secret }),
    state: keyState(key, facts.userState, facts.nowMs),
    rpm_limit: key.rpmLimit,
    concurrency_limit: key.concurrencyLimit,
    spend_limit:
      key.spendLimit === null
        ? null
        : {
            amount_micro: key.spendLimit.amountMicro,
            period: key.spendLimit.period,
            used_micro: use?.spentMicro ?? 0,
            held_micro: use?.heldMicro ?? 0,
            resets_at: isoTime(use?.resetsAtMs ?? null),
          },
    burn_limit_micro: key.burnLimitMicro,
    markup: key.markup === null ? null : Number(markupText(key.markup)),
    on_disconnect: key.onDisconnect === null ? null : disconnectPolicyText(key.onDisconnect),
    models: key.models,
    account_tags: key.accountTags,
    expires_at: isoTime(key.expiresAtMs),
    created_at: isoTime(key.createdAtMs),
    created_by: key.createdBy,
    last_used_at: isoTime(activity?.lastUsedAtMs ?? null),
    last_ip: activity?.lastIp ?? null,
    spent_24h_micro: activity?.spent24hMicro ?? 0,
    spent_month_micro: activity?.spentMonthMicro ?? 0,
    revoked_at: isoTime(key.revokedAtMs),
    revoked_reason: key.revokedReason,
    note: key.note,
  }
}

/** A summary from an account that just came into being: it has done nothing yet. */
export function idleSummary(account: Account): AccountSummary {
  return {
    ...account,
    health: [],
    headroom: null,
    inFlight: 0,
    requests1m: 0,
    requests5m: 0,
    errors5m: 0,
    isTpmUsedUp: false,
    requestsToday: 0,
    spendTodayMicro: 0,
    lastUsedAtMs: null,
  }
}

/** `caps` and `credential_used_elsewhere` are there where the account was looked at with its notices. */
export function accountJson(account: WatchedAccount, now: Now): Json {
  const state = accountStateOf(account, now)
  const { headroom, notices } = account
  return {
    object: 'account',
    id: account.id,
    name: account.name,
    provider: account.provider,
    state: state.exact,
    state_reason: state.reason,
    state_model_class: state.modelClass,
    cooldown_until: isoTime(state.untilMs),
    cooldown_step: state.step,
    rests: accountRestsOf(account, now.nowMs).map(restJson),
    key_masked: maskCredential(account.credentialLast4),
    key_fingerprint: account.credentialFingerprint,
    base_url: account.baseUrl,
    allow_private: account.allowPrivate,
    priority: account.priority,
    weight: account.weight,
    rpm_limit: account.rpmLimit,
    rpm_now: account.requests1m,
    concurrency_limit: account.concurrencyLimit,
    tpm_limit: account.tpmLimit,
    tags: account.tags,
    cache_scope: account.cacheScope,
    hours: account.hours,
    proxy: account.proxy,
    day_cap_micro: account.dayCapMicro,
    month_cap_micro: account.monthCapMicro,
    ...(notices === undefined ? {} : noticesJson(notices)),
    in_flight: account.inFlight,
    models: account.models,
    upstream_limits:
      headroom === null
        ? null
        : {
            requests_limit: headroom.requestsLimit,
            requests_remaining: headroom.requestsRemaining,
            input_tokens_limit: headroom.inputTokensLimit,
            input_tokens_remaining: headroom.inputTokensRemaining,
            output_tokens_limit: headroom.outputTokensLimit,
            output_tokens_remaining: headroom.outputTokensRemaining,
            reset_at: isoTime(headroom.resetAtMs),
          },
    requests_today: account.requestsToday,
    requests_5m: account.requests5m,
    errors_5m: account.errors5m,
    spend_today_micro: account.spendTodayMicro,
    last_used_at: isoTime(account.lastUsedAtMs),
    created_at: isoTime(account.createdAtMs),
    disabled_at: isoTime(account.disabledAtMs),
    disabled_by: account.disabledBy,
    disabled_reason: account.disabledReason,
    note: account.note,
  }
}

/** One rest with its evidence; `state` is exact, `until` null where only a success, a probe or a person ends it. */
function restJson(rest: AccountState): Json {
  return {
    model_class: rest.modelClass,
    state: rest.exact,
    reason: rest.reason,
    http_status: rest.httpStatus,
    upstream_request_id: rest.upstreamRequestId,
    since: isoTime(rest.sinceMs),
    until: isoTime(rest.untilMs),
    step: rest.step,
  }
}

function noticesJson({ caps, foreignUse }: AccountNotices): Json {
  return {
    caps: caps.map((use) => ({
      period: use.period,
      cap_micro: use.capMicro,
      used_list_cost_micro: use.usedMicro,
      reached: use.isReached,
      resets_at: isoTime(use.resetsAtMs),
    })),
    credential_used_elsewhere:
      foreignUse === null ? null : { at: isoTime(foreignUse.atMs), message: foreignUse.message },
  }
}

export function entryJson(entry: LedgerEntry, userName: string): Json {
  return {
    object: 'ledger_entry',
    id: entry.id,
    user: userName,
    type: entry.type,
    amount_micro: entry.amountMicro,
    balance_after_micro: entry.balanceAfterMicro,
    request_id: entry.requestId,
    ref: entry.ref,
    note: entry.note,
    actor: entry.actor,
    created_at: isoTime(entry.createdAtMs),
  }
}

/** A list document. */
export function listJson(
  data: readonly unknown[],
  page: { hasMore: boolean; nextAfter: string | null } = { hasMore: false, nextAfter: null },
): Json {
  return { object: 'list', data, has_more: page.hasMore, next_after: page.nextAfter }
}
