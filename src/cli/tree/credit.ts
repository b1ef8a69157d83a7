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
    run: async (context, call) => (await import('../commands/credit.ts')).grantCredit(context, call),
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
      ['--group <by>', 'day'],
      ...PAGE,
    ],
    see: ['usage list'],
    run: async (context, call) =>
      (await import('../commands/credit-show.ts')).creditHistory(context, call),
  })
}
