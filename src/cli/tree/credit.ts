import type { CcgateCommand, Declaration } from '../command.ts'
import { PAGE, WINDOW } from './options.ts'

/** `ccgate credit …`: balances and the ledger. */
export function addCredit(
  credit: CcgateCommand,
  add: (parent: CcgateCommand, declaration: Declaration) => void,
): void {
  add(credit, {
    usage: 'grant <user> <amount>',
    summary: 'add credit to a user',
    examples: [
      'ccgate credit grant alice 25',
      'ccgate credit grant alice 25 --note "bank transfer 118" --ref bank-118',
    ],
    options: [
      ['--note <text>', 'kept in the ledger'],
      ['--ref <text>', 'makes it safe to repeat: the same reference grants once'],
    ],
    see: ['credit history', 'credit adjust'],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/credit.ts')).grantCredit(context, call),
  })
  add(credit, {
    usage: 'refund <request-id> [amount]',
    summary: 'give back what a request cost, or a part of it',
    examples: [
      'ccgate credit refund ccr_01jdq9jx7m2e8v4c6h0t5w3b9k --note "cut answer"',
      'ccgate credit refund ccr_01jdq9jx7m2e8v4c6h0t5w3b9k 0.01 --ref ticket-77',
    ],
    options: [
      ['--note <text>', 'why; kept in the ledger'],
      ['--ref <text>', 'makes it safe to repeat'],
    ],
    see: ['usage show', 'credit adjust'],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/credit-refund.ts')).refundCredit(context, call),
  })
  add(credit, {
    usage: 'adjust <user> <amount>',
    summary: 'correct a balance, up or down',
    examples: ['ccgate credit adjust bob -4.50 --note "double grant 2026-11-20"'],
    options: [
      ['--note <text>', 'why; required'],
      ['--ref <text>', 'makes it safe to repeat'],
      ['--allow-negative', 'may take more than is available'],
    ],
    see: ['credit history'],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/credit.ts')).adjustCredit(context, call),
  })
  add(credit, {
    usage: 'show [user]',
    summary: 'balances',
    examples: ['ccgate credit show', 'ccgate credit show alice -q'],
    see: ['credit history'],
    run: async (context, call) =>
      (await import('../commands/credit-show.ts')).showCredit(context, call),
  })
  add(credit, {
    usage: 'history <user>',
    summary: 'the ledger of a user, newest first',
    examples: ['ccgate credit history alice --since 7d', 'ccgate credit history alice --group day'],
    options: [
      ...WINDOW,
      ['--type <type>', 'grant, charge, adjust, refund or forfeit'],
      ['--group <by>', 'day: sums per day'],
      ['--tz <zone>', 'time zone of times and days, instead of the configured one: Europe/Berlin'],
      ...PAGE,
    ],
    see: ['usage list'],
    run: async (context, call) =>
      (await import('../commands/credit-history.ts')).creditHistory(context, call),
  })
  add(credit, {
    usage: 'reconcile',
    summary: 'compare balances with the ledger; exit 9 when they disagree',
    examples: ['ccgate credit reconcile', 'ccgate credit reconcile --user alice --fix'],
    options: [
      ['--user <user>', 'only this user'],
      ['--fix', 'set balances to what the ledger and the open holds say'],
    ],
    see: ['db check', 'credit history'],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/credit-reconcile.ts')).reconcileCredit(context, call),
  })
}
