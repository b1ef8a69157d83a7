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
}
