import { formatUsdExact } from '../../core/money.ts'
import { safeText } from '../../core/text.ts'
import type { Store } from '../../store/store.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../errors.ts'
import { formatCount } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import { findUserEvenDeleted } from '../user-ref.ts'

/** Whose balances are looked at. */
interface Subject {
  readonly id: string
  readonly name: string
}

/** Also deleted users, by their ids: their wallets must add up like all others. */
async function everybody(
  store: Pick<Store, 'listUsers' | 'listWalletIds'>,
): Promise<readonly Subject[]> {
  const names = new Map((await store.listUsers({})).map(({ id, name }) => [id, name]))
  return (await store.listWalletIds()).map((id) => ({ id, name: names.get(id) ?? id }))
}

/** Compares balances with the ledger; exit 9 when they disagree, also when `--fix` could not mend it. */
export async function reconcileCredit(context: Context, call: Invocation): Promise<number> {
  const { print } = context
  const isFix = call.flag('fix')
  const ref = call.text('user')
  const store = await context.store(isFix ? 'write' : 'read')
  const only = ref === null ? null : await findUserEvenDeleted(context, ref)
  let found = await check(context, only)
  const fixed: Fixed[] = []
  if (isFix && found.violations.length > 0) {
    const users = only === null ? await everybody(store) : [only]
    await context.ask.confirm(
      `Set ${only === null ? 'the wallets that disagree' : `the wallet of ${only.name}`} to what the ledger and the open holds say, and count spend limits again?`,
    )
    for (const user of users) fixed.push(...(await fix(context, user)))
    found = await check(context, only)
  }
  const ok = found.violations.length === 0
  if (print.json) {
    print.document({
      object: 'report',
      ok,
      checks: [
        ...(ok ? [{ id: 'ledger', result: 'ok', message: found.summary, command: null }] : []),
        ...found.violations.map((message) => ({
          id: 'ledger',
          result: 'fail',
          message,
          command: null,
        })),
      ],
      fixed: fixed.map(({ user, before, after, limits }) => ({
        user: user.name,
        before: { balance_micro: before.balanceMicro, held_micro: before.heldMicro },
        after: { balance_micro: after.balanceMicro, held_micro: after.heldMicro },
        limits,
      })),
      changed: fixed.length > 0,
    })
  } else if (!print.quiet) {
    for (const { user, before, after, limits } of fixed) {
      const counted = limits === 0 ? '' : ', spend limits counted again'
      print.out(
        `Fixed ${user.name}: balance ${formatUsdExact(before.balanceMicro)} → ${formatUsdExact(after.balanceMicro)}, held ${formatUsdExact(before.heldMicro)} → ${formatUsdExact(after.heldMicro)}${counted}.`,
      )
    }
    if (ok) print.out(found.summary)
    for (const message of found.violations) {
      print.out(`${print.style('bad', 'fail')}  ${safeText(message)}`)
    }
    if (!ok && !isFix) {
      print.note('Look closer: ccgate db check   Mend what can be mended: add --fix')
    }
  }
  return ok ? EXIT.ok : EXIT.problems
}

interface Found {
  readonly violations: readonly string[]
  /** What is right, when all is. */
  readonly summary: string
}

async function check(context: Context, only: Subject | null): Promise<Found> {
  const store = await context.store('read')
  if (only === null) {
    const { violations, wallets } = await store.checkLedger(context.nowMs)
    const users = wallets === 1 ? '1 user' : `${formatCount(wallets)} users`
    const deleted = wallets - (await store.listUsers({})).length
    const gone = deleted <= 0 ? '' : ` (${formatCount(deleted)} deleted)`
    return { violations, summary: `ledger = balances for ${users}${gone}` }
  }
  const report = await store.checkWallet(only.id, context.nowMs)
  if (report === null) return { violations: [`${only.name} has no wallet.`], summary: '' }
  const entries = report.entries === 1 ? '1 entry' : `${formatCount(report.entries)} entries`
  return {
    violations: report.violations,
    summary: `${only.name}: balance ${formatUsdExact(report.balanceMicro)} = ${entries} of the ledger · held ${formatUsdExact(report.heldMicro)} = open holds`,
  }
}

type Fixed = {
  readonly user: Subject
  readonly before: { readonly balanceMicro: number; readonly heldMicro: number }
  readonly after: { readonly balanceMicro: number; readonly heldMicro: number }
  readonly limits: number
}

async function fix(context: Context, user: Subject): Promise<readonly Fixed[]> {
  const result = await (await context.store()).repairWallet(user.id, context.by())
  switch (result.kind) {
    case 'repaired':
      return [{ user, before: result.before, after: result.after, limits: result.limits }]
    case 'broken_ledger':
      context.print.warn(
        `The entries of ${user.name} do not follow from each other: there is no balance to set. Keep the file and go back to a backup.`,
      )
      return []
    default:
      return []
  }
}
