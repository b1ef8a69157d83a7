import type { CcgateCommand, Declaration } from '../command.ts'
import { PAGE } from './options.ts'

/** `ccgate users …`: people who own keys and credit. */
export function addUsers(
  users: CcgateCommand,
  add: (parent: CcgateCommand, declaration: Declaration) => void,
): void {
  add(users, {
    usage: 'create <name>',
    summary: 'add a user',
    examples: ['ccgate users create alice --email alice@example.com --credit 25'],
    options: [
      ['--email <email>', 'address of the user'],
      ['--credit <amount>', 'first credit in dollars'],
      ['--note <text>', 'for yourself'],
      ['--if-not-exists', 'exit 0 when the user is there already'],
    ],
    see: ['keys create', 'credit grant'],
    isChange: true,
    run: async (context, call) => (await import('../commands/users.ts')).createUser(context, call),
  })
  add(users, {
    usage: 'list',
    summary: 'all users with their balances',
    examples: ['ccgate users list', 'ccgate users list --search example.com'],
    options: [
      ['--search <text>', 'part of the name or e-mail'],
      ['--status <state>', 'active or suspended'],
      ...PAGE,
    ],
    see: ['credit show'],
    run: async (context, call) => (await import('../commands/users.ts')).listUsers(context, call),
  })
  add(users, {
    usage: 'show <user>',
    summary: 'one user: balance, keys, spending',
    examples: ['ccgate users show alice'],
    see: ['keys list', 'credit history'],
    run: async (context, call) => (await import('../commands/users.ts')).showUser(context, call),
  })
  add(users, {
    usage: 'update <user>',
    summary: 'change name, e-mail, note or when people are warned of a low balance',
    examples: [
      'ccgate users update alice --email alice@example.com',
      'ccgate users update ci-bot --low-balance 20',
    ],
    options: [
      ['--name <name>', 'a new name'],
      ['--email <email>', 'address of the user; none'],
      ['--low-balance <amount>', 'warn below it; none = never, default = from the config'],
      ['--note <text>', 'for yourself; none'],
    ],
    see: ['users show', 'credit show'],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/users-change.ts')).updateUser(context, call),
  })
  add(users, {
    usage: 'suspend <user>',
    summary: 'let none of their keys work, until you resume them',
    examples: ['ccgate users suspend bob --reason "unpaid"'],
    options: [['--reason <text>', 'kept in the audit log']],
    see: ['users resume', 'keys revoke'],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/users-change.ts')).suspendUser(context, call),
  })
  add(users, {
    usage: 'resume <user>',
    summary: 'let the keys of a suspended user work again',
    examples: ['ccgate users resume bob'],
    options: [['--reason <text>', 'kept in the audit log']],
    see: ['users suspend'],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/users-change.ts')).resumeUser(context, call),
  })
  add(users, {
    usage: 'delete <user>',
    summary: 'revoke all their keys and hide them; their history stays',
    examples: ['ccgate users delete bob', 'ccgate users delete bob --forfeit --confirm bob'],
    options: [
      ['--forfeit', 'what is left of the balance lapses, or the debt does'],
      ['--note <text>', 'kept with the entry that says so'],
      ['--confirm <name>', 'for scripts: the name once more'],
    ],
    see: ['users suspend', 'credit adjust'],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/users-change.ts')).deleteUser(context, call),
  })
}
