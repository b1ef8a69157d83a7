import { type CcgateCommand, type Declaration, group } from '../command.ts'
import { KEY_INPUT, PAGE } from './options.ts'

const CAPS = [
  ['--day-cap <amount>', 'at most so many dollars of our list cost a day; none'],
  ['--month-cap <amount>', 'the same for a month; none'],
] as const

const PLACE = [
  ['--tpm <n>', 'tokens per minute, input that no cache had and output: 400k; none'],
  ['--tag <word>', 'a label, repeat or comma; keys can be confined to some; none', 'list'],
  ['--cache-scope <name>', 'accounts of one name share a prompt cache (one workspace); none'],
  ['--hours <spans>', 'when it may be used: "mon-fri 08:00-18:00, sat 10:00-14:00"; none = always'],
  ['--proxy <url>', 'the way to upstream: http, https or socks5://host:port; none'],
  ['--proxy-file <file>', 'the same with user:password@, from a file that others cannot read; -'],
] as const

/** `ccgate accounts …`: the pool of upstream accounts. */
export function addAccounts(
  accounts: CcgateCommand,
  add: (parent: CcgateCommand, declaration: Declaration) => void,
): void {
  add(accounts, {
    usage: 'add <name>',
    summary: 'add an upstream account; its key is tested first, for free',
    examples: [
      'ccgate accounts add main',
      'pass show anthropic | ccgate accounts add main --key-stdin',
      'ccgate accounts add spare --key-env ANTHROPIC_API_KEY --priority 2 --rpm 50',
      'ccgate accounts add eu --tag eu --hours "mon-fri 08:00-18:00" --proxy socks5://10.0.0.7:1080',
    ],
    options: [
      ...KEY_INPUT,
      ['--base-url <url>', 'where its API is (upstream.base_url of the config)'],
      ['--allow-private', 'permit http and loopback or private addresses in --base-url'],
      ['--priority <n>', 'lower is used first (1)'],
      ['--weight <n>', 'share of new conversations among equal priorities, speed counting too (1)'],
      ['--rpm <n>', 'requests per minute; none = unlimited'],
      ['--concurrency <n>', 'requests at the same time; none = unlimited'],
      ['--models <glob>', 'models it may serve, repeat or comma', 'list'],
      ...PLACE,
      ...CAPS,
      ['--no-test', 'store the key without trying it'],
      ['--disabled', 'add it, but do not use it yet'],
      ['--note <text>', 'for yourself'],
      ['--if-not-exists', 'exit 0 when the account is there already'],
    ],
    see: ['accounts test', 'accounts list'],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/accounts-add.ts')).addAccount(context, call),
  })
  add(accounts, {
    usage: 'list',
    summary: 'all accounts and how they are',
    examples: ['ccgate accounts list', 'ccgate accounts list --state cooling'],
    options: [
      [
        '--state <state>',
        'healthy, cooling, limited, invalid, no-credit, blocked, disabled, full or closed',
      ],
      ...PAGE,
    ],
    see: ['accounts show', 'accounts cooldown'],
    run: async (context, call) =>
      (await import('../commands/accounts.ts')).listAccounts(context, call),
  })
  add(accounts, {
    usage: 'show <account>',
    summary: 'one account: state, limits, what happened to it',
    examples: ['ccgate accounts show main', 'ccgate accounts show main --events 50'],
    options: [['--events <n>', 'how many events (10)']],
    see: ['accounts test'],
    run: async (context, call) =>
      (await import('../commands/accounts-show.ts')).showAccount(context, call),
  })
  add(accounts, {
    usage: 'test [account...]',
    summary: 'try accounts with a free request; exit 8 when one fails',
    examples: ['ccgate accounts test main', 'ccgate accounts test --all'],
    options: [
      ['--all', 'every account'],
      ['--model <model>', 'model to ask about (claude-haiku-4-5-20251001)'],
      ['--timeout <duration>', 'how long to wait for each (20s)'],
    ],
    see: ['accounts rotate'],
    run: async (context, call) =>
      (await import('../commands/accounts-test.ts')).testAccounts(context, call),
  })
  add(accounts, {
    usage: 'update <account>',
    summary: 'change order, limits, hours and the like of an account',
    examples: [
      'ccgate accounts update spare --priority 2 --weight 3',
      'ccgate accounts update main --day-cap 50 --month-cap 1000',
      'ccgate accounts update main --tag eu,fast --hours none --proxy-file proxy.url',
    ],
    options: [
      ['--priority <n>', 'lower is used first'],
      ['--weight <n>', 'share of new conversations among equal priorities, speed counting too'],
      ['--rpm <n>', 'requests per minute; none = unlimited'],
      ['--concurrency <n>', 'requests at the same time; none = unlimited'],
      ['--models <glob>', 'models it may serve, repeat or comma; all = *', 'list'],
      ...PLACE,
      ...CAPS,
      ['--note <text>', 'for yourself; none'],
    ],
    see: ['accounts rotate', 'accounts show'],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/accounts-update.ts')).updateAccount(context, call),
  })
  add(accounts, {
    usage: 'enable <account...>',
    summary: 'use accounts again',
    examples: ['ccgate accounts enable spare'],
    options: [['--reason <text>', 'kept in the audit log']],
    see: ['accounts disable'],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/accounts.ts')).enableAccounts(context, call),
  })
  add(accounts, {
    usage: 'disable <account...>',
    summary: 'stop using accounts; running requests finish',
    examples: ['ccgate accounts disable spare --reason "billing check"'],
    options: [
      ['--reason <text>', 'shown in lists'],
      ['--drain', 'wait until their requests have finished'],
    ],
    see: ['accounts enable'],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/accounts.ts')).disableAccounts(context, call),
  })
  add(accounts, {
    usage: 'rotate <account>',
    summary: 'replace the key of an account; the new one is tested first',
    examples: ['ccgate accounts rotate main', 'ccgate accounts rotate main --key-stdin < new.key'],
    options: [...KEY_INPUT, ['--no-test', 'store the key without trying it']],
    see: ['accounts test'],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/accounts-add.ts')).rotateAccount(context, call),
  })
  add(accounts, {
    usage: 'remove <account>',
    summary: 'erase an account and its key; its history stays',
    examples: ['ccgate accounts remove old-key'],
    options: [
      ['--drain', 'first wait until its requests have finished'],
      ['--confirm <name>', 'for scripts, when it is the last healthy account'],
      ['--if-exists', 'exit 0 when there is no such account'],
    ],
    see: ['accounts disable'],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/accounts.ts')).removeAccount(context, call),
  })
  const cooldown = group(accounts, 'cooldown', 'see, end or begin the rest of an account')
  add(cooldown, {
    usage: 'list',
    summary: 'accounts that rest',
    examples: ['ccgate accounts cooldown'],
    isDefault: true,
    run: async (context, call) =>
      (await import('../commands/cooldown.ts')).listCooldowns(context, call),
  })
  add(cooldown, {
    usage: 'clear [account...]',
    summary: 'end a rest now',
    examples: ['ccgate accounts cooldown clear spare', 'ccgate accounts cooldown clear --all'],
    options: [['--all', 'every account that rests']],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/cooldown.ts')).clearCooldowns(context, call),
  })
  add(cooldown, {
    usage: 'set <account>',
    summary: 'let an account rest',
    examples: ['ccgate accounts cooldown set spare --for 10m'],
    options: [['--for <duration>', 'how long: 10m']],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/cooldown.ts')).setCooldown(context, call),
  })
}
