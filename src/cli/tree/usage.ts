import type { CcgateCommand, Declaration } from '../command.ts'
import { PAGE, WINDOW } from './options.ts'

const WHOSE = [
  ['--user <user>', 'only of this user'],
  ['--key <key>', 'only with this key'],
  ['--account <account>', 'only answered by this account'],
  [
    '--model <model>',
    'only this model, a pattern (claude-haiku-*), or what an alias of yours means',
  ],
] as const

const FILTERS = [
  ...WHOSE,
  ['--status <status>', 'as 429 or 2xx'],
  ['--stream', 'only streamed'],
  ['--min-cost <amount>', 'at least this cost, in dollars'],
  ['--rerouted', 'only those that needed more than one account'],
] as const

/** `ccgate usage …`: requests and what they cost. */
export function addUsage(
  usage: CcgateCommand,
  add: (parent: CcgateCommand, declaration: Declaration) => void,
): void {
  add(usage, {
    usage: 'show <request-id>',
    summary: 'the receipt of a request: tokens, prices, hold, accounts tried',
    examples: [
      'ccgate usage show ccr_01jdq9jx7m2e8v4c6h0t5w3b9k',
      'ccgate usage show req_011CSabc --json',
    ],
    options: [['--raw', 'the stored record']],
    see: ['usage list'],
    run: async (context, call) => (await import('../commands/usage.ts')).showUsage(context, call),
  })
  add(usage, {
    usage: 'list',
    summary: 'requests, newest first',
    examples: [
      'ccgate usage list --limit 20 --user alice',
      'ccgate usage list --status 429 --since today',
    ],
    options: [...WINDOW, ...FILTERS, ...PAGE],
    see: ['usage show', 'usage tail'],
    run: async (context, call) =>
      (await import('../commands/usage-list.ts')).listUsage(context, call),
  })
  add(usage, {
    usage: 'tail',
    summary: 'requests as they end; Ctrl-C stops; exit 7 when the gateway does not run',
    examples: ['ccgate usage tail', 'ccgate usage tail --status 429 --user alice --lines 5'],
    options: [...WINDOW, ...FILTERS, ['--lines <n>', 'how many earlier ones come first (20)']],
    see: ['usage list', 'monitor'],
    run: async (context, call) =>
      (await import('../commands/usage-tail.ts')).tailUsage(context, call),
  })
  add(usage, {
    usage: 'summary',
    summary: 'sums by time, user, key, model, account or status',
    examples: [
      'ccgate usage summary',
      'ccgate usage summary --by day --since 7d --chart',
      'ccgate usage summary --by user,model --since 2026-11-01 --top 10',
    ],
    options: [
      [
        '--by <what>',
        'day (the default), hour, month, user, key, model, account or status; one or two',
        'list',
      ],
      ['--since <time>', 'from then on, as 2026-11-01; 7d = the last seven (30d; by hour 24h)'],
      ['--until <time>', 'before then'],
      ['--tz <zone>', 'time zone of hours, days and months: Europe/Berlin'],
      ...WHOSE,
      ['--chart', 'a bar per row'],
      ['--top <n>', 'only the dearest; the rest becomes one row'],
    ],
    see: ['usage export', 'usage list'],
    run: async (context, call) =>
      (await import('../commands/usage-summary.ts')).summarizeUsage(context, call),
  })
  add(usage, {
    usage: 'export',
    summary: 'requests, or sums by day, as CSV or JSON',
    examples: [
      'ccgate usage export --since 2026-11-01 --until 2026-12-01 -o nov.csv',
      'ccgate usage export --format ndjson --user alice | head -1',
      'ccgate usage export --detail day --since 30d -o days.csv.gz',
    ],
    options: [
      ['--format <format>', 'csv, json or ndjson; else as the file is called, else csv'],
      ['-o, --output <file>', 'where to; - is stdout (the default)'],
      ['--detail <what>', 'request (the default): one row each; day: sums by day and key'],
      ...WINDOW,
      ...FILTERS,
      ['--tz <zone>', 'time zone of the days of --detail day'],
      ['--gzip', 'compressed, as a file whose name ends with .gz always is'],
      ['--force', 'replace the file when it is there'],
    ],
    see: ['usage summary'],
    run: async (context, call) =>
      (await import('../commands/usage-export.ts')).exportUsage(context, call),
  })
}
