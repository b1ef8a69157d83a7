// How rows of the account tables become the model's records.
import type { Account, AccountEvent, HeadroomRow, HealthRow } from '../../core/model.ts'

/** A row of `accounts`. */
export interface AccountRow {
  readonly id: string
  readonly name: string
  readonly provider: Account['provider']
  readonly base_url: string
  readonly allow_private: number
  readonly sealed: Uint8Array | null
  readonly credential_last4: string
  readonly credential_fingerprint: string
  readonly credential_version: number
  readonly priority: number
  readonly weight: number
  readonly rpm_limit: number | null
  readonly concurrency_limit: number | null
  readonly models: string
  readonly day_cap_micro: number | null
  readonly month_cap_micro: number | null
  readonly tpm_limit: number | null
  readonly tags: string
  readonly cache_scope: string | null
  readonly hours: string | null
  readonly proxy: string | null
  readonly proxy_sealed: Uint8Array | null
  readonly note: string | null
  readonly created_at_ms: number
  readonly disabled_at_ms: number | null
  readonly disabled_by: string | null
  readonly disabled_reason: string | null
  readonly cooldown_cleared_at_ms: number | null
  readonly cooldown_until_ms: number | null
  readonly removed_at_ms: number | null
}

/** A row of `account_health`. */
export interface HealthRecord {
  readonly account_id: string
  readonly model_class: string
  readonly state: HealthRow['state']
  readonly reason: string
  readonly http_status: number | null
  readonly upstream_request_id: string | null
  readonly since_ms: number
  readonly until_ms: number | null
  readonly step: number
  readonly credential_version: number
}

/** A row of `account_headroom`. */
export interface HeadroomRecord {
  readonly account_id: string
  readonly requests_limit: number | null
  readonly requests_remaining: number | null
  readonly input_tokens_limit: number | null
  readonly input_tokens_remaining: number | null
  readonly output_tokens_limit: number | null
  readonly output_tokens_remaining: number | null
  readonly reset_at_ms: number | null
  readonly organization_id: string | null
  readonly workspace_id: string | null
  readonly updated_at_ms: number
}

/** A row of `account_events`. */
export interface EventRow {
  readonly account_id: string
  readonly at_ms: number
  readonly kind: string
  readonly message: string
  readonly request_id: string | null
}

export function toAccount(row: AccountRow): Account {
  return {
    id: row.id,
    name: row.name,
    provider: row.provider,
    baseUrl: row.base_url,
    allowPrivate: row.allow_private === 1,
    credentialLast4: row.credential_last4,
    credentialFingerprint: row.credential_fingerprint,
    priority: row.priority,
    weight: row.weight,
    rpmLimit: row.rpm_limit,
    concurrencyLimit: row.concurrency_limit,
    tpmLimit: row.tpm_limit,
    models: JSON.parse(row.models) as string[],
    tags: JSON.parse(row.tags) as string[],
    cacheScope: row.cache_scope,
    hours: row.hours,
    proxy: row.proxy,
    dayCapMicro: row.day_cap_micro,
    monthCapMicro: row.month_cap_micro,
    note: row.note,
    createdAtMs: row.created_at_ms,
    disabledAtMs: row.disabled_at_ms,
    disabledBy: row.disabled_by,
    disabledReason: row.disabled_reason,
    cooldownClearedAtMs: row.cooldown_cleared_at_ms,
    cooldownUntilMs: row.cooldown_until_ms,
    credentialVersion: row.credential_version,
  }
}

export function toHealth(row: HealthRecord): HealthRow {
  return {
    accountId: row.account_id,
    modelClass: row.model_class,
    state: row.state,
    reason: row.reason,
    httpStatus: row.http_status,
    upstreamRequestId: row.upstream_request_id,
    sinceMs: row.since_ms,
    untilMs: row.until_ms,
    step: row.step,
    credentialVersion: row.credential_version,
  }
}

export function toHeadroom(row: HeadroomRecord): HeadroomRow {
  return {
    accountId: row.account_id,
    requestsLimit: row.requests_limit,
    requestsRemaining: row.requests_remaining,
    inputTokensLimit: row.input_tokens_limit,
    inputTokensRemaining: row.input_tokens_remaining,
    outputTokensLimit: row.output_tokens_limit,
    outputTokensRemaining: row.output_tokens_remaining,
    resetAtMs: row.reset_at_ms,
    organizationId: row.organization_id,
    workspaceId: row.workspace_id,
    updatedAtMs: row.updated_at_ms,
  }
}

export function toEvent(row: EventRow): AccountEvent {
  return {
    accountId: row.account_id,
    atMs: row.at_ms,
    kind: row.kind,
    message: row.message,
    requestId: row.request_id,
  }
}
