import { safeText } from '../../core/text.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../errors.ts'
import { formatBytes, formatCount } from '../format.ts'
import type { Invocation } from '../invocation.ts'

/** The money check and SQLite's own; read-only, exit 9 when something is wrong. */
export async function checkDatabase(context: Context, call: Invocation): Promise<number> {
  const { print } = context
  const store = await context.store('read')
  const report = await store.checkLedger(context.nowMs)
  const ledgerOnly = call.flag('ledger') && !call.flag('full')
  const checks = [
    ...(ledgerOnly
      ? []
      : [
          {
            id: 'quick_check',
            ok: report.quickCheck === 'ok',
            message: `quick check ${report.quickCheck}`,
          },
          {
            id: 'foreign_keys',
            ok: report.foreignKeyViolations === 0,
            message:
              report.foreignKeyViolations === 0
                ? 'foreign keys ok'
                : `${report.foreignKeyViolations} rows point nowhere`,
          },
        ]),
    ...(report.violations.length === 0
      ? [
          {
            id: 'ledger',
            ok: true,
            message: `ledger = balances for ${formatCount(report.wallets)} ${report.wallets === 1 ? 'user' : 'users'}`,
          },
        ]
      : report.violations.map((message) => ({ id: 'ledger', ok: false, message }))),
    {
      id: 'stale_holds',
      ok: report.staleHolds === 0,
      message: `${formatCount(report.staleHolds)} stale holds`,
    },
  ]
  const ok = checks.every((check) => check.ok)
  if (print.json) {
    print.document({
      object: 'report',
      ok,
      checks: checks.map((check) => ({
        id: check.id,
        result: check.ok ? 'ok' : 'fail',
        message: check.message,
        command: null,
      })),
      wallets: report.wallets,
      open_holds: report.openHolds,
      settled_holds: report.settledHolds,
      bytes: report.bytes,
      free_ratio: report.freeRatio,
    })
  } else if (!print.quiet) {
    const size = `${formatBytes(report.bytes)}, ${Math.round(report.freeRatio * 100)}% free pages`
    if (ok) print.out(`${checks.map((check) => check.message).join(' · ')} · ${size}`)
    else
      for (const check of checks)
        print.out(
          `${check.ok ? print.style('ok', 'ok  ') : print.style('bad', 'fail')}  ${safeText(check.message)}`,
        )
  }
  return ok ? EXIT.ok : EXIT.problems
}
