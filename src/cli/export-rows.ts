import type { Micro } from '../core/money.ts'
import { refundedMicro } from '../core/usage-view.ts'
import type { UsageRow, UsageSummaryRow } from '../store/store.ts'
import { type Cell, csvLine } from './csv.ts'
import { isoTime } from './format.ts'
import { safeJson } from './print.ts'
import type { Json } from './records.ts'
import { totalsJson, usageJson } from './usage-json.ts'

/** How a kind of rows is written: as an object, or as the cells of named columns. */
export interface RowForm<T> {
  readonly columns: readonly (readonly [name: string, cell: (row: T) => Cell])[]
  readonly json: (row: T) => Json
}

/** One request. */
export const REQUEST_FORM: RowForm<UsageRow> = {
  json: usageJson,
  columns: [
    ['request_id', (row) => row.requestId],
    ['created_at', (row) => isoTime(row.createdAtMs)],
    ['status', (row) => row.status],
    ['http_status', (row) => row.httpStatus],
    ['error_code', (row) => row.errorCode],
    ['user', (row) => row.userName],
    ['key', (row) => row.keyName],
    ['key_id', (row) => row.keyId],
    ['dialect', (row) => row.dialect],
    ['stream', (row) => row.stream],
    ['requested_model', (row) => row.model],
    ['model', (row) => row.responseModel ?? row.model],
    ['account', (row) => row.accountName],
    ['account_id', (row) => row.accountId],
    ['upstream_request_id', (row) => row.upstreamRequestId],
    ['attempts', (row) => row.attempts.length],
    ['input_tokens', (row) => row.tokens.input],
    ['output_tokens', (row) => row.tokens.output],
    ['cache_read_input_tokens', (row) => row.tokens.cacheRead],
    ['cache_creation_5m', (row) => row.tokens.cacheWrite5m],
    ['cache_creation_1h', (row) => row.tokens.cacheWrite1h],
    ['web_search_requests', (row) => row.webSearchRequests],
    ['cost_micro', (row) => row.costMicro],
    ['cost_usd', (row) => decimalUsd(row.costMicro)],
    ['list_cost_micro', (row) => row.receipt?.listCostMicro ?? row.receipt?.costMicro ?? null],
    ['markup', (row) => row.receipt?.markup?.join('/') ?? null],
    ['price_version', (row) => row.receipt?.priceVersion ?? null],
    ['source', (row) => row.source],
    ['hold_micro', (row) => row.holdMicro],
    ['balance_after_micro', (row) => row.balanceAfterMicro],
    ['refunded_micro', (row) => refundedMicro(row.refunds)],
    ['on_disconnect', (row) => row.onDisconnect],
    ['joined_request_id', (row) => row.joinedRequestId],
    ['first_byte_ms', (row) => row.firstByteMs],
    ['duration_ms', (row) => row.durationMs],
    ['gateway_ms', (row) => row.gatewayUs / 1000],
    ['ip', (row) => row.clientIp],
    ['client', (row) => row.clientAgent],
  ],
}

/** What a key did on a day. */
export const DAY_FORM: RowForm<UsageSummaryRow> = {
  json: (row) => ({ object: 'usage_day', ...dayNames(row), ...totalsJson(row) }),
  columns: [
    ['day', (row) => dayNames(row).day],
    ['user', (row) => dayNames(row).user],
    ['key', (row) => dayNames(row).key],
    ['requests', (row) => row.requests],
    ['errors', (row) => row.errors],
    ['refused', (row) => row.refused],
    ['input_tokens', (row) => row.tokens.input],
    ['output_tokens', (row) => row.tokens.output],
    ['cache_read_input_tokens', (row) => row.tokens.cacheRead],
    ['cache_creation_5m', (row) => row.tokens.cacheWrite5m],
    ['cache_creation_1h', (row) => row.tokens.cacheWrite1h],
    ['cost_micro', (row) => row.costMicro],
    ['cost_usd', (row) => decimalUsd(row.costMicro)],
    ['list_cost_micro', (row) => row.listCostMicro],
    ['cache_read_saved_micro', (row) => row.cache.readSavedMicro],
    ['cache_write_extra_micro', (row) => row.cache.writeExtraMicro],
    ['routing_lost_micro', (row) => row.cache.lostMicro],
  ],
}

/** The group of a row by day and key. */
function dayNames({ group: [day, owner] }: UsageSummaryRow) {
  const at = owner.indexOf('/')
  return { day, user: owner.slice(0, at), key: owner.slice(at + 1) }
}

/** `12.044031`: dollars with all six decimals, for spreadsheets. */
function decimalUsd(micro: Micro): string {
  const text = String(micro).padStart(7, '0')
  return `${text.slice(0, -6)}.${text.slice(-6)}`
}

/** A document piece by piece: its head, each row, its tail. */
export interface RowWriter<T> {
  readonly head: string
  /** `index` counts from 0. */
  readonly row: (row: T, index: number) => string
  readonly tail: string
}

export type ExportFormat = 'csv' | 'json' | 'ndjson'

/** Rows in a format; JSON is the list document of every other command. */
export function rowWriter<T>(format: ExportFormat, form: RowForm<T>): RowWriter<T> {
  const json = (row: T) => safeJson(JSON.stringify(form.json(row)))
  switch (format) {
    case 'csv':
      return {
        head: csvLine(form.columns.map(([name]) => name)),
        row: (row) => csvLine(form.columns.map(([, cell]) => cell(row))),
        tail: '',
      }
    case 'json':
      return {
        head: '{"object":"list","data":[',
        row: (row, index) => `${index === 0 ? '\n' : ',\n'}${json(row)}`,
        tail: '\n],"has_more":false,"next_after":null}\n',
      }
    case 'ndjson':
      return { head: '', row: (row) => `${json(row)}\n`, tail: '' }
  }
}
