import { firstTokenOf, modelText, statusText, wasKilled } from '../core/outcome.ts'
import type { UsageRow } from '../store/store.ts'
import type { LatestView, ProblemView, Snapshot } from './facts.ts'
import { isError, isRerouted, tokensIn } from './traffic.ts'

/** One failed or rerouted request. */
export function problemOf(row: UsageRow): ProblemView {
  const key = `${row.userName}/${row.keyName}`
  if (isRerouted(row)) {
    const first = row.attempts[0]
    const from = row.accountNames[first.accountId] ?? '?'
    const last = row.attempts[row.attempts.length - 1]
    const recovered = !isError(row)
    const status = String(first.httpStatus ?? first.outcome)
    const to = row.accountNames[last.accountId] ?? '?'
    const what = `${from} → ${to}  ${recovered ? 'ok' : row.httpStatus}`
    return { atMs: row.createdAtMs, status, what, errorCode: null, recovered }
  }
  const status = row.httpStatus >= 400 ? String(row.httpStatus) : 'cut'
  const account = row.accountName === null ? '' : `${row.accountName} `
  return {
    atMs: row.createdAtMs,
    status,
    what: `${account}${key}`,
    errorCode: errorText(row),
    recovered: false,
  }
}

/** The newest requests, those still running included, newest first. */
export function latestOf({ traffic, holds, accounts, users }: Snapshot): LatestView[] {
  const accountNames = new Map(accounts.map((account) => [account.id, account.name]))
  const keyNames = new Map<string, string>()
  for (const minute of traffic.minutes.values()) {
    for (const [id, key] of minute.keys) keyNames.set(id, key.label)
  }
  const running = holds.map((hold): LatestView => {
    const tokens = hold.progress?.tokens
    return {
      requestId: hold.requestId,
      atMs: hold.openedAtMs,
      status: hold.phase === 'started' ? '200~' : '…',
      isError: false,
      key: keyNames.get(hold.keyId) ?? users.get(hold.userId)?.name ?? '?',
      model: hold.model,
      account: hold.accountId === null ? null : (accountNames.get(hold.accountId) ?? '?'),
      tokensIn: tokens === undefined ? null : tokensIn({ tokens }),
      tokensOut: tokens?.output ?? null,
      cacheRead: (tokens?.cacheRead ?? 0) > 0,
      firstTokenMs: null,
      costMicro: null,
      reroutedFrom: null,
      errorCode: null,
    }
  })
  const closed = traffic.latest.map((row): LatestView => {
    const from = isRerouted(row) ? (row.accountNames[row.attempts[0].accountId] ?? '?') : null
    return {
      requestId: row.requestId,
      atMs: row.createdAtMs,
      status: `${statusText(row)}${from === null ? '' : '↻'}`,
      isError: isError(row),
      key: `${row.userName}/${row.keyName}`,
      model: modelText(row),
      account: row.accountName,
      tokensIn: row.status === 'rejected' ? null : tokensIn(row),
      tokensOut: row.status === 'rejected' ? null : row.tokens.output,
      cacheRead: row.tokens.cacheRead > 0,
      firstTokenMs: firstTokenOf(row),
      costMicro: row.costMicro,
      reroutedFrom: from,
      errorCode: errorText(row),
    }
  })
  return [...running, ...closed].sort((a, b) => b.atMs - a.atMs)
}

/** A request that its gateway left open has the code of a bug, and was none. */
function errorText(row: UsageRow): string | null {
  return wasKilled(row) ? 'gateway died' : row.errorCode
}
