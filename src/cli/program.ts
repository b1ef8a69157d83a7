import { CcgateCommand, type Declaration, declare, group, type Run } from './command.ts'
import { commandAt, formatHelp } from './help.ts'
import { ccgateVersion } from './version.ts'

const LIMITS = [
  ['--rpm <n>', 'requests per minute; none = unlimited, default = from the config'],
  ['--concurrency <n>', 'requests at the same time; none = unlimited, default = from the config'],
  ['--models <glob>', 'models it may use, repeat or comma: claude-haiku-*; all = *', 'list'],
  ['--expires <time>', '30d, 2027-01-31 or never'],
  ['--note <text>', 'for yourself'],
] as const

const KEY_INPUT = [
  ['--key-stdin', 'read the key from stdin'],
  ['--key-file <file>', 'read the key from a file that others cannot read'],
  ['--key-env <name>', 'read the key from this environment variable'],
] as const

const PAGE = [
  ['--limit <n>', 'rows at most (50)'],
  ['--after <id>', 'continue after this row'],
  ['--all', 'all rows'],
] as const

const WINDOW = [
  ['--since <time>', 'from then on: 7d, today, 2026-11-22'],
  ['--until <time>', 'before then'],
] as const

/** The whole tree of commands, declared once. Code of a command is imported when it is chosen. */
export function buildProgram(
  invoke: (command: CcgateCommand, run: Run) => Promise<void>,
  write: { readonly out: (text: string) => void; readonly err: (text: string) => void },
): CcgateCommand {
  const program = new CcgateCommand('ccgate')
  program
    .exitOverride()
    .helpCommand(false)
    .configureHelp({
      formatHelp: (command, helper) => formatHelp(command as CcgateCommand, helper),
    })
    .configureOutput({ writeOut: write.out, writeErr: write.err })
    .helpOption('-h, --help', 'help for a command')
    .version(`ccgate ${ccgateVersion()}`, '--version', 'the version')
    .option('-c, --config <file>', 'config file (CCGATE_CONFIG)')
    .option('--db <file>', 'database file (CCGATE_DB)')
    .option('--json', 'output for machines (CCGATE_JSON=1)')
    .option('-q, --quiet', 'only the essential value')
    .option('-v, --verbose', 'debug messages on stderr')
    .option('--color <when>', 'auto, always or never')
    .option('--no-color', 'no colour (NO_COLOR)')
    .option('--no-input', 'never ask (CCGATE_NO_INPUT=1)')
    .option('-y, --yes', 'answer yes to confirmations')
    .option('--utc', 'times in UTC (CCGATE_TZ=UTC)')

  const add = (parent: CcgateCommand, declaration: Declaration) =>
    declare(parent, declaration, invoke)

  addBasics(program, add)
  addUsers(group(program, 'users', 'people who own keys and credit'), add)
  addKeys(group(program, 'keys', 'API keys (cc_user_…)'), add)
  addAccounts(group(program, 'accounts', 'upstream Anthropic accounts (the pool)'), add)
  addCredit(group(program, 'credit', 'prepaid balances and the ledger'), add)
  addUsage(group(program, 'usage', 'requests and their cost'), add)
  addModels(group(program, 'models', 'prices and which models are served'), add)
  addConfig(group(program, 'config', 'check, print and explain the settings'), add)
  addDatabase(group(program, 'db', 'the database file'), add)
  return program
}

type Add = (parent: CcgateCommand, declaration: Declaration) => void

function addBasics(program: CcgateCommand, add: Add): void {
  add(program, {
    usage: 'init',
    summary: 'create config, database and master key',
    examples: ['ccgate init', 'ccgate init --dir ./ccgate --public-url https://api.example.com'],
    options: [
      ['--dir <folder>', 'put everything into this folder'],
      ['--public-url <url>', 'the address your users type'],
      ['--listen <address>', 'where the gateway listens: 127.0.0.1:8787'],
      ['--support-email <email>', 'whom users should ask'],
      ['--account <name>', 'also add an upstream account of this name'],
      ...KEY_INPUT,
      ['--base-url <url>', 'of that account'],
      ['--allow-private', 'permit http and private addresses in --base-url'],
      ['--no-test', 'do not try that account'],
      ['--force', 'write a new config file over the old one'],
    ],
    see: ['accounts add', 'keys create', 'serve'],
    run: async (context, call) => (await import('./commands/init.ts')).init(context, call),
  })
  add(program, {
    usage: 'serve',
    summary: 'run the gateway',
    examples: ['ccgate serve', 'ccgate serve --listen 0.0.0.0:8787 --log-format json'],
    options: [
      ['--listen <address>', 'where to listen: 127.0.0.1:8787'],
      ['--public-url <url>', 'the address your users type'],
      ['--log-format <format>', 'auto, text or json'],
      ['--log-level <level>', 'debug, info, warn or error'],
      ['--pid-file <file>', 'write the process id there'],
      ['--check', 'start, test itself and stop'],
    ],
    see: ['init', 'status', 'monitor'],
    run: async (context, call) => (await import('./commands/serve.ts')).serve(context, call),
  })
  add(program, {
    usage: 'demo',
    summary: 'try everything now: simulated upstream, no key, no internet',
    examples: ['ccgate demo', 'ccgate demo --once', 'ccgate demo --scenario flaky --traffic 120'],
    options: [
      ['--port <n>', 'port of the gateway (8787, or the next free one)'],
      ['--once', 'end after the first request'],
      ['--traffic <rpm>', 'keep so many requests per minute running'],
      ['--scenario <name>', 'ok, busy, flaky, down, slow or broke'],
      ['--monitor', 'show the monitor'],
      ['--keep <folder>', 'keep the data there'],
      ['--for <duration>', 'end after this time'],
    ],
    see: ['sandbox', 'init'],
    run: async (context, call) => (await import('./commands/demo.ts')).demo(context, call),
  })
  add(program, {
    usage: 'sandbox',
    summary: 'run the simulated upstream alone',
    examples: ['ccgate sandbox --port 9000', 'ccgate sandbox --scenario flaky --seed 7'],
    options: [
      ['--port <n>', 'where to listen'],
      ['--scenario <name>', 'ok, busy, flaky, down, slow or broke'],
      ['--latency <range>', 'time to the first token: 20ms..900ms'],
      ['--token-rate <n>', 'tokens per second'],
      ['--seed <n>', 'repeat the same answers'],
      ['--script <file>', 'answers and faults in order'],
    ],
    see: ['demo'],
    run: async (context, call) => (await import('./commands/sandbox.ts')).sandbox(context, call),
  })
  add(program, {
    usage: 'monitor',
    summary: 'live terminal dashboard',
    examples: [
      'ccgate monitor',
      'ccgate monitor --once',
      'ccgate monitor --screen accounts --read-only',
    ],
    options: [
      ['--refresh <duration>', 'how often to look (1s)'],
      ['--screen <name>', 'overview or accounts'],
      ['--read-only', 'change nothing'],
      ['--once', 'print one picture and end'],
      ['--plain', 'plain text, no full screen'],
    ],
    see: ['status'],
    run: async (context, call) => (await import('./commands/monitor.ts')).monitor(context, call),
  })
  add(program, {
    usage: 'status',
    summary: 'one-screen summary; exit 7 when the gateway does not run',
    examples: ['ccgate status', 'ccgate status -q && echo up', 'ccgate status --watch 5s'],
    options: [
      ['--watch [duration]', 'print again that often (2s)'],
      ['--strict', 'exit 9 when something needs attention'],
    ],
    see: ['monitor', 'accounts list'],
    run: async (context, call) => (await import('./commands/status.ts')).status(context, call),
  })
  add(program, {
    usage: 'version',
    summary: 'what runs here',
    examples: ['ccgate version --all'],
    options: [['--all', 'also Node, SQLite, schema and price table']],
    run: async (context, call) => (await import('./commands/version.ts')).version(context, call),
  })
  add(program, {
    usage: 'help [command...]',
    summary: 'help for a command',
    examples: ['ccgate help keys create'],
    run: async (_context, call) => commandAt(program, call.args).outputHelp(),
  })
}

function addUsers(users: CcgateCommand, add: Add): void {
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
    run: async (context, call) => (await import('./commands/users.ts')).createUser(context, call),
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
    run: async (context, call) => (await import('./commands/users.ts')).listUsers(context, call),
  })
  add(users, {
    usage: 'show <user>',
    summary: 'one user: balance, keys, spending',
    examples: ['ccgate users show alice'],
    see: ['keys list', 'credit history'],
    run: async (context, call) => (await import('./commands/users.ts')).showUser(context, call),
  })
}

function addKeys(keys: CcgateCommand, add: Add): void {
  add(keys, {
    usage: 'create <user/name>',
    summary: 'make an API key and print its secret, once',
    examples: [
      'ccgate keys create alice/laptop --create-user --credit 25',
      'ccgate keys create ci/build --rpm 120 --models "claude-haiku-*" --expires 90d',
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
    run: async (context, call) =>
      (await import('./commands/keys-create.ts')).createKey(context, call),
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
    run: async (context, call) => (await import('./commands/keys.ts')).listKeys(context, call),
  })
  add(keys, {
    usage: 'show <key>',
    summary: 'one key: limits, owner, last use',
    examples: ['ccgate keys show alice/laptop'],
    see: ['keys limit', 'usage list'],
    run: async (context, call) => (await import('./commands/keys.ts')).showKey(context, call),
  })
  add(keys, {
    usage: 'limit <key>',
    summary: 'change the limits of a key; without options show them',
    examples: [
      'ccgate keys limit alice/laptop --rpm 120',
      'ccgate keys limit alice/laptop --rpm none --models all',
    ],
    options: LIMITS,
    see: ['keys show'],
    run: async (context, call) => (await import('./commands/keys.ts')).limitKey(context, call),
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
    run: async (context, call) => (await import('./commands/keys.ts')).revokeKeys(context, call),
  })
}

function addAccounts(accounts: CcgateCommand, add: Add): void {
  add(accounts, {
    usage: 'add <name>',
    summary: 'add an upstream account; its key is tested first, for free',
    examples: [
      'ccgate accounts add main',
      'pass show anthropic | ccgate accounts add main --key-stdin',
      'ccgate accounts add spare --key-env ANTHROPIC_API_KEY --priority 2 --rpm 50',
    ],
    options: [
      ...KEY_INPUT,
      ['--base-url <url>', 'where its API is (upstream.base_url of the config)'],
      ['--allow-private', 'permit http and loopback or private addresses in --base-url'],
      ['--priority <n>', 'lower is used first (1)'],
      ['--weight <n>', 'share among equal priorities (1)'],
      ['--rpm <n>', 'requests per minute; none = unlimited'],
      ['--concurrency <n>', 'requests at the same time; none = unlimited'],
      ['--models <glob>', 'models it may serve, repeat or comma', 'list'],
      ['--no-test', 'store the key without trying it'],
      ['--disabled', 'add it, but do not use it yet'],
      ['--note <text>', 'for yourself'],
      ['--if-not-exists', 'exit 0 when the account is there already'],
    ],
    see: ['accounts test', 'accounts list'],
    run: async (context, call) =>
      (await import('./commands/accounts-add.ts')).addAccount(context, call),
  })
  add(accounts, {
    usage: 'list',
    summary: 'all accounts and how they are',
    examples: ['ccgate accounts list', 'ccgate accounts list --state cooling'],
    options: [
      [
        '--state <state>',
        'healthy, cooling, limited, invalid, no-credit, blocked, disabled or full',
      ],
      ...PAGE,
    ],
    see: ['accounts show', 'accounts cooldown'],
    run: async (context, call) =>
      (await import('./commands/accounts.ts')).listAccounts(context, call),
  })
  add(accounts, {
    usage: 'show <account>',
    summary: 'one account: state, limits, what happened to it',
    examples: ['ccgate accounts show main', 'ccgate accounts show main --events 50'],
    options: [['--events <n>', 'how many events (10)']],
    see: ['accounts test'],
    run: async (context, call) =>
      (await import('./commands/accounts.ts')).showAccount(context, call),
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
      (await import('./commands/accounts-test.ts')).testAccounts(context, call),
  })
  add(accounts, {
    usage: 'enable <account...>',
    summary: 'use accounts again',
    examples: ['ccgate accounts enable spare'],
    options: [['--reason <text>', 'kept in the audit log']],
    see: ['accounts disable'],
    run: async (context, call) =>
      (await import('./commands/accounts.ts')).enableAccounts(context, call),
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
    run: async (context, call) =>
      (await import('./commands/accounts.ts')).disableAccounts(context, call),
  })
  add(accounts, {
    usage: 'rotate <account>',
    summary: 'replace the key of an account; the new one is tested first',
    examples: ['ccgate accounts rotate main', 'ccgate accounts rotate main --key-stdin < new.key'],
    options: [...KEY_INPUT, ['--no-test', 'store the key without trying it']],
    see: ['accounts test'],
    run: async (context, call) =>
      (await import('./commands/accounts-add.ts')).rotateAccount(context, call),
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
    run: async (context, call) =>
      (await import('./commands/accounts.ts')).removeAccount(context, call),
  })
  const cooldown = group(accounts, 'cooldown', 'see, end or begin the rest of an account')
  add(cooldown, {
    usage: 'list',
    summary: 'accounts that rest',
    examples: ['ccgate accounts cooldown'],
    isDefault: true,
    run: async (context, call) =>
      (await import('./commands/cooldown.ts')).listCooldowns(context, call),
  })
  add(cooldown, {
    usage: 'clear [account...]',
    summary: 'end a rest now',
    examples: ['ccgate accounts cooldown clear spare', 'ccgate accounts cooldown clear --all'],
    options: [['--all', 'every account that rests']],
    run: async (context, call) =>
      (await import('./commands/cooldown.ts')).clearCooldowns(context, call),
  })
  add(cooldown, {
    usage: 'set <account>',
    summary: 'let an account rest',
    examples: ['ccgate accounts cooldown set spare --for 10m'],
    options: [['--for <duration>', 'how long: 10m']],
    run: async (context, call) =>
      (await import('./commands/cooldown.ts')).setCooldown(context, call),
  })
}

function addCredit(credit: CcgateCommand, add: Add): void {
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
    run: async (context, call) => (await import('./commands/credit.ts')).grantCredit(context, call),
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
      (await import('./commands/credit.ts')).adjustCredit(context, call),
  })
  add(credit, {
    usage: 'show [user]',
    summary: 'balances',
    examples: ['ccgate credit show', 'ccgate credit show alice -q'],
    see: ['credit history'],
    run: async (context, call) =>
      (await import('./commands/credit-show.ts')).showCredit(context, call),
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
      (await import('./commands/credit-show.ts')).creditHistory(context, call),
  })
}

function addUsage(usage: CcgateCommand, add: Add): void {
  add(usage, {
    usage: 'show <request-id>',
    summary: 'one request: tokens, cost, accounts tried',
    examples: [
      'ccgate usage show ccr_01jdq9jx7m2e8v4c6h0t5w3b9k',
      'ccgate usage show req_011CSabc --json',
    ],
    options: [['--raw', 'the stored record']],
    see: ['usage list'],
    run: async (context, call) => (await import('./commands/usage.ts')).showUsage(context, call),
  })
  add(usage, {
    usage: 'list',
    summary: 'requests, newest first',
    examples: [
      'ccgate usage list --limit 20 --user alice',
      'ccgate usage list --status 429 --since today',
    ],
    options: [
      ...WINDOW,
      ['--user <user>', 'only of this user'],
      ['--key <key>', 'only with this key'],
      ['--account <account>', 'only answered by this account'],
      ['--model <model>', 'only this model'],
      ['--status <status>', 'as 429 or 2xx'],
      ['--stream', 'only streamed'],
      ['--min-cost <amount>', 'at least this cost, in dollars'],
      ['--rerouted', 'only those that needed more than one account'],
      ...PAGE,
    ],
    see: ['usage show'],
    run: async (context, call) => (await import('./commands/usage.ts')).listUsage(context, call),
  })
}

function addModels(models: CcgateCommand, add: Add): void {
  add(models, {
    usage: 'list',
    summary: 'models that are served',
    examples: ['ccgate models list', 'ccgate models list --prices --all'],
    options: [
      ['--all', 'also retired ones'],
      ['--prices', 'dollars per million tokens'],
    ],
    see: ['models show'],
    run: async (context, call) => (await import('./commands/models.ts')).listModels(context, call),
  })
  add(models, {
    usage: 'show <model>',
    summary: 'one model: prices, sizes, dates',
    examples: ['ccgate models show claude-sonnet-4-6'],
    see: ['models list'],
    run: async (context, call) => (await import('./commands/models.ts')).showModel(context, call),
  })
}

function addConfig(config: CcgateCommand, add: Add): void {
  add(config, {
    usage: 'check',
    summary: 'find mistakes in the config; exit 9 when there are some',
    examples: ['ccgate config check', 'ccgate config check -c ./config.yaml'],
    see: ['config print'],
    run: async (context, call) => (await import('./commands/config.ts')).checkConfig(context, call),
  })
  add(config, {
    usage: 'print',
    summary: 'the settings in force',
    examples: ['ccgate config print', 'ccgate config print --changed'],
    options: [
      ['--origin', 'say where each value comes from'],
      ['--changed', 'only what is not the default, with its origin'],
      ['--effective', 'with all paths resolved'],
    ],
    see: ['config explain'],
    run: async (context, call) => (await import('./commands/config.ts')).printConfig(context, call),
  })
  add(config, {
    usage: 'path',
    summary: 'which files are used',
    examples: ['ccgate config path'],
    run: async (context, call) => (await import('./commands/config.ts')).configPath(context, call),
  })
  add(config, {
    usage: 'explain <key>',
    summary: 'what a setting means, its value and where that comes from',
    examples: ['ccgate config explain upstream.timeouts.connect'],
    see: ['config print'],
    run: async (context, call) =>
      (await import('./commands/config.ts')).explainConfig(context, call),
  })
  add(config, {
    usage: 'example',
    summary: 'a config file with every setting at its default',
    examples: ['ccgate config example > config.yaml'],
    run: async (context, call) =>
      (await import('./commands/config.ts')).exampleConfig(context, call),
  })
}

function addDatabase(db: CcgateCommand, add: Add): void {
  add(db, {
    usage: 'check',
    summary: 'check the file and the ledger; exit 9 when something is wrong',
    examples: ['ccgate db check'],
    options: [
      ['--full', 'everything (the default)'],
      ['--ledger', 'report the ledger only'],
    ],
    run: async (context, call) => (await import('./commands/db.ts')).checkDatabase(context, call),
  })
}
