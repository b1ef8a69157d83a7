/** Options of commands that list a page. */
export const PAGE = [
  ['--limit <n>', 'rows at most (50)'],
  ['--after <id>', 'continue after this row'],
  ['--all', 'all rows'],
] as const

/** Options of commands that look at a span of time. */
export const WINDOW = [
  ['--since <time>', 'from then on: 7d, today, 2026-11-22'],
  ['--until <time>', 'before then'],
] as const

/** Ways to hand over the key of an account. */
export const KEY_INPUT = [
  ['--key-stdin', 'read the key from stdin'],
  ['--key-file <file>', 'read the key from a file that others cannot read'],
  ['--key-env <name>', 'read the key from this environment variable'],
] as const
