import type { CcgateCommand, Declaration } from '../command.ts'

/** `ccgate models …`: prices, mark-ups, names, and which models are served. */
export function addModels(
  models: CcgateCommand,
  add: (parent: CcgateCommand, declaration: Declaration) => void,
): void {
  add(models, {
    usage: 'list',
    summary: 'all models, and which of them are served',
    examples: [
      'ccgate models list',
      'ccgate models list --prices --effective',
      'ccgate models list --all --json > prices.json',
    ],
    options: [
      ['--all', 'also retired ones'],
      ['--prices', 'dollars per million tokens'],
      ['--effective', 'prices with the mark-up, as they are billed'],
    ],
    see: ['models show', 'models set'],
    run: async (context, call) => (await import('../commands/models.ts')).listModels(context, call),
  })
  add(models, {
    usage: 'show <model>',
    summary: 'one model: prices, mark-up, names, sizes, dates',
    examples: ['ccgate models show claude-sonnet-4-6'],
    see: ['models list'],
    run: async (context, call) => (await import('../commands/models.ts')).showModel(context, call),
  })
  add(models, {
    usage: 'set <model>',
    summary: 'change prices, mark-up, names of a model, or whether it is served',
    examples: [
      'ccgate models set claude-opus-5-5 --markup 1.20',
      'ccgate models set claude-sonnet-4-6 --input 2.80 --output 14 --from 2030-01-01',
      'ccgate models set "claude-fable-*" --disable',
      'ccgate models set claude-haiku-5-5 --alias fast',
    ],
    options: [
      ['--input <price>', 'dollars per million tokens; default = as built in'],
      ['--output <price>', 'the same for output, thinking included'],
      ['--cache-read <price>', 'for tokens read from the prompt cache'],
      ['--cache-write-5m <price>', 'for tokens written to it for 5 minutes'],
      ['--cache-write-1h <price>', 'and for an hour'],
      ['--markup <factor>', '1.2 or +20%; default = the mark-up of the config'],
      ['--enable', 'serve it'],
      ['--disable', 'do not serve it; a glob is possible'],
      [
        '--alias <name>',
        'a name of your own for it, repeat or comma; none = take them all away',
        'list',
      ],
      ['--from <time>', 'from then on: 30d, 2030-01-01; without it at once'],
    ],
    see: ['models show', 'models sync'],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/models-set.ts')).setModel(context, call),
  })
  add(models, {
    usage: 'sync',
    summary: 'take prices from a file; all of it is checked before any of it counts',
    examples: [
      'ccgate models sync --from-file prices.json --dry-run',
      'ccgate models sync --from-file prices.json --prune --yes',
    ],
    options: [
      ['--from-file <file>', 'a list of models as models list --json prints it; - = stdin'],
      ['--prune', 'retire models that the file does not name'],
    ],
    see: ['models list', 'models set'],
    isChange: true,
    run: async (context, call) =>
      (await import('../commands/models-sync.ts')).syncModels(context, call),
  })
}
