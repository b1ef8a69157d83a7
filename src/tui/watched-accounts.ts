import {
  type AccountNotices,
  capUsesOf,
  capWindows,
  NOTICE_KINDS,
} from '../core/account-notices.ts'
import { contradictionsOf, contradictionText } from '../core/cache-scopes.ts'
import type { AccountEvent } from '../core/model.ts'
import type { AccountSummary, Store } from '../store/store.ts'

/** An account with what people should know of it; without notices nobody has looked. */
export type WatchedAccount = AccountSummary & { readonly notices?: AccountNotices }

/** For so long after it was seen people are told that a credential is used elsewhere. */
const FOREIGN_USE_TOLD_MS = 24 * 3_600_000

type Reader = Pick<Store, 'listAccounts' | 'listCosts' | 'lastAccountEvents'>

/** Every account as `listAccounts` has it, with its notices; `timeZone` is that of the config. */
export async function watchedAccounts(
  store: Reader,
  when: { readonly nowMs: number; readonly timeZone: string },
): Promise<readonly WatchedAccount[]> {
  return withNotices(store, await store.listAccounts(when.nowMs), when)
}

/** These accounts with their notices. */
export async function withNotices<T extends AccountSummary>(
  store: Pick<Reader, 'listCosts' | 'lastAccountEvents'>,
  accounts: readonly T[],
  { nowMs, timeZone }: { readonly nowMs: number; readonly timeZone: string },
): Promise<readonly (T & { readonly notices: AccountNotices })[]> {
  const foreign = await store.lastAccountEvents({
    kind: NOTICE_KINDS.foreignUse,
    sinceMs: nowMs - FOREIGN_USE_TOLD_MS,
    settledBy: 'account.rotate',
  })
  const windows = capWindows(nowMs, timeZone)
  const isCapped = accounts.some((one) => (one.dayCapMicro ?? one.monthCapMicro) !== null)
  const turnedAway = isCapped
    ? await store.lastAccountEvents({
        kind: NOTICE_KINDS.cap,
        sinceMs: Math.min(...windows.map(({ sinceMs }) => sinceMs)),
        settledBy: 'account.update',
      })
    : []
  const costs = isCapped ? (await store.listCosts(windows)).map((list) => new Map(list)) : []
  const of = (events: readonly AccountEvent[], id: string) =>
    events.find(({ accountId }) => accountId === id) ?? null
  const apart = contradictionsOf(
    accounts.map(({ id, cacheScope, headroom }) => ({
      id,
      cacheScope,
      told: headroom?.workspaceId ?? null,
    })),
  )
  return accounts.map((account) => {
    const { id } = account
    const contradiction = apart.find((one) => one.id === id)
    const cacheScope = contradiction === undefined ? null : contradictionText(contradiction)
    const caps = capUsesOf(account, {
      windows,
      costsMicro: windows.map((_, index) => costs[index]?.get(id) ?? 0),
      turnedAway: of(turnedAway, id),
    })
    return { ...account, notices: { caps, foreignUse: of(foreign, id), cacheScope } }
  })
}
