import { CcgateCommand, type Declaration, declare, group, type Run } from './command.ts'
import { commandAt, formatHelp } from './help.ts'
import { addAccounts } from './tree/accounts.ts'
import { addCredit } from './tree/credit.ts'
import { addKeys } from './tree/keys.ts'
import { addModels } from './tree/models.ts'
import { KEY_INPUT } from './tree/options.ts'
import { addUsage } from './tree/usage.ts'
import { addUsers } from './tree/users.ts'
import { ccgateVersion } from './version.ts'

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
    usage: 'simulate',
    summary: 'what a pool would cost: a made-up day through the real choice of accounts',
    examples: [
      'ccgate simulate',
      'ccgate simulate --weights 3,1,1,1 --concurrency 10',
      'ccgate simulate --mine --conversations 500 --outage 0s',
    ],
    options: [
      ['--accounts <n>', 'how many accounts (4)'],
      ['--weights <list>', 'one for all, or one for each: 3,1,1,1', 'list'],
      ['--concurrency <list>', 'requests at a time, likewise, or none (10)', 'list'],
      ['--rpm <list>', 'requests per minute, likewise (none)', 'list'],
      ['--mine', 'the enabled accounts of the database instead, with their limits'],
      ['--conversations <n>', 'conversations of the day (300)'],
      ['--prompt <list>', 'tokens of first prompts (2000,20000)', 'list'],
      ['--model <id>', 'whom all ask (claude-opus-5-5)'],
      ['--overloaded <percent>', 'answers that are a 529 (1)'],
      ['--outage <duration>', 'how long the busiest account fails (2h), 0s: never'],
      ['--seed <n>', 'another day (1); the same seed plays the same day'],
    ],
    see: ['accounts update', 'usage summary'],
    run: async (context, call) => (await import('./commands/simulate.ts')).simulate(context, call),
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
      ['--screen <name>', 'overview or accounts; not with --once and --plain'],
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
