import { noticeLines } from '../core/account-notices.ts'
import { whyNoneServes } from '../core/account-state.ts'
import { lowBalances } from '../core/runs-out.ts'
import type { AccountView, Snapshot, Warning } from './facts.ts'

/** What a person should look at, the most urgent first. */
export function warningsOf(
  snapshot: Snapshot,
  accounts: readonly AccountView[],
  nowMs: number,
): Warning[] {
  const warnings: Warning[] = []
  const why = whyNoneServes(accounts.map(({ state }) => state))
  if (why !== null) {
    const text = `${why}: requests are refused or wait`
    warnings.push({ tone: 'bad', text, command: 'ccgate accounts list' })
  }
  const { timeZone = 'UTC' } = snapshot
  const notices = snapshot.accounts.flatMap((account) => noticeLines(account, timeZone))
  const noticeMicro = snapshot.lowBalanceMicro
  const low = lowBalances(snapshot.users.values(), { nowMs, noticeMicro })
  return [...warnings, ...[...notices, ...low].map(toWarning)]
}

function toWarning({ message, command }: { message: string; command: string }): Warning {
  return { tone: 'warn', text: message, command }
}
