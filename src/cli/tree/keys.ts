import type { CcgateCommand, Declaration } from '../command.ts'
import { PAGE } from './options.ts'

const LIMITS = [
  ['--rpm <n>', 'requests per minute; none = unlimited, default = from the config'],
  ['--concurrency <n>', 'requests at the same time; none = unlimited, default = from the config'],
  ['--spend-limit <limit>', '200/month, 20/day or 500/total, in dollars; none, default'],
  ['--burn-limit <amount>', 'dollars per minute; at that it rests until a minute has less; none'],
  ['--markup <factor>', '1.2 or +20%, instead of that of model and server; default'],
  [
    '--on-disconnect <policy>',
    'client gone: cancel, finish, 30s, 2000tokens, 30s,2000tokens; default',
  ],
  ['--models <glob>', 'models it may use, repeat or comma: claude-haiku-*; all = *', 'list'],
  ['--account-tag <word>', 'only accounts with one of these tags serve it; any', 'list'],
  ['--expires <time>', '30d, 2027-01-31 or never'],
  ['--note <text>', 'for yourself'],
] as const

/** `ccgate keys …`: API keys and their limits. */
export function addKeys(
  keys: CcgateCommand,
  add: (parent: CcgateCommand, declaration: Declaration) => void,
): void {
  add(keys, {
    usage: 'create <user/name>',
    summary: 'make an API key and print its secret, once',
    examples: [
      'ccgate keys create alice/laptop --create-user --credit 25',
      'ccgate keys create ci/build --rpm 120 --spend-limit 200/month --models "claude-haiku-*" --expires 90d',
      'ccgate keys create alice/laptop --env >> .env',
    ],
    options: [
      ['--create-user', 'make the user when missing'],
      ['--credit <amount>', 'also grant this credit, in dollars'],
      ...LIMITS,
      ['--env', 'print it as ANTHROPIC_API_KEY and ANTHROPIC_BASE_URL'],
      ['--if-not-exists', 'exit 0 when the key is there already (its secret is not shown again)'],
    ],
    see: ['keys list', 'keys revoke'],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/keys-create.ts')).createKey(context, call),
  })
  add(keys, {
    usage: 'list',
    summary: 'keys with their limits and spending',
    examples: [
      'ccgate keys list --user alice',
      'ccgate keys list --status active --unused-since 30d',
    ],
    options: [
      ['--user <user>', 'only of this user'],
      ['--status <state>', 'active, revoked, expired or all'],
      ['--model <model>', 'only keys that may use it'],
      ['--unused-since <time>', 'not used since then: 30d'],
      ...PAGE,
    ],
    see: ['keys show'],
    run: async (context, call) => (await import('../commands/keys.ts')).listKeys(context, call),
  })
  add(keys, {
    usage: 'show <key>',
    summary: 'one key: limits, owner, last use',
    examples: ['ccgate keys show alice/laptop'],
    see: ['keys limit', 'usage list'],
    run: async (context, call) => (await import('../commands/keys.ts')).showKey(context, call),
  })
  add(keys, {
    usage: 'limit <key>',
    summary: 'change the limits of a key; without options show them',
    examples: [
      'ccgate keys limit alice/laptop --rpm 120',
      'ccgate keys limit alice/laptop --spend-limit 20/day --burn-limit 2',
      'ccgate keys limit alice/laptop --account-tag eu',
      'ccgate keys limit alice/laptop --rpm none --spend-limit none --models all',
    ],
    options: LIMITS,
    see: ['keys show'],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/keys-limit.ts')).limitKey(context, call),
  })
  add(keys, {
    usage: 'revoke <key...>',
    summary: 'stop keys for good',
    examples: ['ccgate keys revoke alice/laptop --reason "laptop stolen"'],
    options: [
      ['--reason <text>', 'kept with the key'],
      ['--if-exists', 'exit 0 when there is no such key'],
    ],
    see: ['keys create'],
    isChange: true,
    run: async (context, call) => (await import('../commands/keys.ts')).revokeKeys(context, call),
  })
}
