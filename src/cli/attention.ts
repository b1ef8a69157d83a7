import { noticeLines } from '../core/account-notices.ts'
import { accountStateOf, type Now, whyNoneServes } from '../core/account-state.ts'
import type { Micro } from '../core/money.ts'
import { lowBalances } from '../core/runs-out.ts'
import type { UserSummary } from '../store/store.ts'
import type { WatchedAccount } from '../tui/watched-accounts.ts'

/** So many users are named; the rest are counted. */
const MOST_NAMED = 3

/** Something that a person should look at, and the command that helps. */
export interface Attention {
  readonly code: string
  readonly message: string
  readonly command: string
}

/** What is wrong with the pool; `timeZone` is that of the config. */
export function accountAttention(
  accounts: readonly WatchedAccount[],
  now: Now,
): readonly Attention[] {
  const found: Attention[] = []
  const why = whyNoneServes(accounts.map((account) => accountStateOf(account, now)))
  if (accounts.length === 0) {
    found.push({
      code: 'no_accounts',
      message: 'no upstream account yet',
      command: 'ccgate accounts add main',
    })
  } else if (why !== null) {
    found.push({ code: 'no_healthy_account', message: why, command: 'ccgate accounts list' })
  }
  for (const account of accounts) {
    const state = accountStateOf(account, now)
    if (state.word === 'invalid') {
      found.push({
        code: 'account_invalid',
        message: `${account.name}: ${state.reason}`,
        command: `ccgate accounts rotate ${account.name}`,
      })
    }
    if (state.word === 'no-credit' || (state.word === 'blocked' && state.modelClass === null)) {
      found.push({
        code: 'account_blocked',
        message: `${account.name}: ${state.reason}`,
        command: `ccgate accounts show ${account.name}`,
      })
    }
    found.push(...noticeLines(account, now.timeZone))
  }
  return found
}

/** Users with little left, as the monitor has them; a few by name. */
export function lowBalanceAttention(
  users: readonly UserSummary[],
  { nowMs, noticeMicro }: { readonly nowMs: number; readonly noticeMicro: Micro | null },
): readonly Attention[] {
  const low = lowBalances(users, { nowMs, noticeMicro })
  const named = low.slice(0, MOST_NAMED).map((one) => ({ code: 'low_balance', ...one }))
  if (low.length <= MOST_NAMED) return named
  const rest = low.length - MOST_NAMED
  return [
    ...named,
    {
      code: 'low_balance',
      message: `${rest} more ${rest === 1 ? 'user has' : 'users have'} little left`,
      command: 'ccgate credit show',
    },
  ]
}
