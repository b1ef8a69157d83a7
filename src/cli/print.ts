import { styleText } from 'node:util'
import { cutText, keepWhole, safeText, textWidth, wrapText } from '../core/text.ts'
import type { CliError } from './errors.ts'
import type { Output, Terminal } from './terminal.ts'

/** Roles of colour; a word or glyph always says the same. */
const STYLES = {
  ok: 'green',
  warn: 'yellow',
  bad: 'red',
  dim: 'gray',
  accent: 'cyan',
  heading: 'bold',
} as const

export type Role = keyof typeof STYLES

/** One column of a list. Cells are made safe for the terminal here. */
export interface Column<T> {
  readonly header: string
  readonly cell: (row: T) => string
  readonly align?: 'left' | 'right'
  readonly role?: (row: T) => Role | null
  /** Columns with a higher number leave first when the terminal is narrow; 0 stays. */
  readonly dropOrder?: number
  /** May be cut in the middle when nothing is left to drop. */
  readonly mayCut?: boolean
  /** Columns kept free in a list that grows, whose later rows are not known yet. */
  readonly roomFor?: number
}

export interface PrintOptions {
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
  readonly color: 'auto' | 'always' | 'never'
  /** Documents say that nothing was written. */
  readonly dryRun: boolean
}

/** Writes results to stdout and everything else to stderr, in the form that was asked for. */
export interface Printer extends PrintOptions {
  /** A line of the result, for people; trusted text (cells of outside text: `safeText`). */
  out(line?: string): void
  /** As `out`, broken between words (of commands: not at all) where the terminal is narrow; further lines begin with `indent` blanks. */
  wrapped(line: string, indent: number): void
  /** Several lines of the result. */
  outAll(lines: readonly string[]): void
  /** The whole result for machines: one document. */
  document(value: unknown): void
  /** One of many results for machines: an object on a line. */
  record(value: unknown): void
  /** A remark for people on stderr; silent with `--quiet` and `--json`. */
  note(line: string): void
  /** A warning on stderr; also with `--quiet`. */
  warn(line: string): void
  debug(line: string): void
  table<T>(columns: readonly Column<T>[], rows: readonly T[]): void
  /** The header and the first rows of a list that grows; the answer prints one more row. */
  growingTable<T>(columns: readonly Column<T>[], rows: readonly T[]): (row: T) => void
  style(role: Role, text: string): string
  error(error: CliError): void
}

/** A printer on the terminal's streams. */
export function createPrinter(terminal: Terminal, options: PrintOptions): Printer {
  const { stdout, stderr } = terminal
  const { env } = terminal.place
  const outColor = wantsColor(stdout, options.color, env)
  const errColor = wantsColor(stderr, options.color, env)
  const paint = (colored: boolean, role: Role, text: string) =>
    colored ? styleText(STYLES[role], text, { validateStream: false }) : text
  const outLine = (line: string) => stdout.write(`${line}\n`)
  const errLine = (line: string) => stderr.write(`${line}\n`)
  const outWidth = () => columnsOf(stdout)
  const errText = (line: string) => {
    for (const part of wrapText(keepWhole(line), columnsOf(stderr))) errLine(part)
  }
  const outPaint = (role: Role, text: string) => paint(outColor, role, text)

  return {
    ...options,
    out: (line = '') => outLine(line),
    wrapped(line, indent) {
      for (const part of wrapText(keepWhole(line), outWidth(), indent)) outLine(part)
    },
    outAll(lines) {
      for (const line of lines) outLine(line)
    },
    document(value) {
      const shown = options.dryRun ? rehearsed(value) : value
      outLine(safeJson(stdout.isTTY ? JSON.stringify(shown, null, 2) : JSON.stringify(shown)))
    },
    record: (value) => outLine(safeJson(JSON.stringify(value))),
    note(line) {
      if (!options.quiet && !options.json) errText(line)
    },
    warn: (line) => errText(`${paint(errColor, 'warn', '!')} ${line}`),
    debug(line) {
      if (options.verbose) errLine(paint(errColor, 'dim', line))
    },
    table(columns, rows) {
      const layout = layOut(columns, rows, outWidth(), outPaint)
      outLine(layout.header)
      for (const row of rows) outLine(layout.line(row))
    },
    growingTable(columns, rows) {
      const layout = layOut(columns, rows, outWidth(), outPaint, (column) => column.roomFor ?? 0)
      outLine(layout.header)
      for (const row of rows) outLine(layout.line(row))
      return (row) => outLine(layout.line(row))
    },
    style: (role, text) => paint(outColor, role, text),
    error(error) {
      if (options.json) {
        const { code, message, hint, exitCode, problems } = error
        const details = problems === null ? {} : { problems }
        errLine(
          JSON.stringify({
            error: { code, message, hint, exit_code: exitCode, docs: `errors#${code}`, ...details },
          }),
        )
        return
      }
      errText(`${paint(errColor, 'bad', 'ccgate:')} ${safeText(error.message)}`)
      // Hints may hold several lines of our own making (lists of candidates).
      for (const line of error.hint.split('\n')) if (line !== '') errText(safeText(line))
    },
  }
}

/** The columns of a terminal; a file or a pipe has no end of them. */
export function columnsOf(stream: Output): number {
  return stream.isTTY ? (stream.columns ?? 80) : Number.POSITIVE_INFINITY
}

/** Whether a stream gets colour: the option, then FORCE_COLOR, NO_COLOR, TERM and whether it is a terminal. */
export function wantsColor(
  stream: Output,
  option: PrintOptions['color'],
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  if (option !== 'auto') return option === 'always'
  const forced = env.FORCE_COLOR ?? env.CLICOLOR_FORCE
  if (forced !== undefined && forced !== '' && forced !== '0') return true
  if (env.NO_COLOR) return false
  return stream.isTTY === true && env.TERM !== 'dumb'
}

/** JSON already escapes C0; this escapes what else could steer a terminal. The document means the same. */
export function safeJson(json: string): string {
  return json.replace(
    /[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** The document of a rehearsal: what it tells of is in force nowhere. */
function rehearsed(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  const inForce = 'in_force' in value ? { in_force: null } : {}
  return { ...value, ...inForce, dry_run: true }
}

/** A column that may be cut comes back only if so much of it can be read. */
const LEAST_CUT = 10

/** Chooses columns and their widths by these rows. */
function layOut<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
  width: number,
  paint: (role: Role, text: string) => string,
  room: (column: Column<T>) => number = () => 0,
): { readonly header: string; readonly line: (row: T) => string } {
  const cellsOf = (row: T) => columns.map((column) => safeText(column.cell(row)))
  const widths = columns.map((column) => Math.max(textWidth(column.header), room(column)))
  for (const row of rows) {
    for (const [i, text] of cellsOf(row).entries()) widths[i] = Math.max(widths[i], textWidth(text))
  }
  const shown = columns.map((_, i) => i)
  const total = () => shown.reduce((sum, i) => sum + widths[i], 0) + 2 * (shown.length - 1)
  while (total() > width && shown.length > 1) {
    const order = (i: number) => columns[i].dropOrder ?? 0
    const victim = shown.reduce((worst, i) => (order(i) >= order(worst) ? i : worst), shown[0])
    if (order(victim) === 0) break
    shown.splice(shown.indexOf(victim), 1)
  }
  // What left for a wide column may still have room without it, the most important first.
  const gone = columns.map((_, i) => i).filter((i) => !shown.includes(i))
  for (const i of gone.toSorted(
    (a, b) => (columns[a].dropOrder ?? 0) - (columns[b].dropOrder ?? 0),
  )) {
    const room = width - total() - 2
    if (room < (columns[i].mayCut ? Math.min(widths[i], LEAST_CUT) : widths[i])) continue
    widths[i] = Math.min(widths[i], room)
    shown.push(i)
  }
  shown.sort((a, b) => a - b)
  for (const i of shown) {
    if (total() <= width) break
    if (columns[i].mayCut) widths[i] = Math.max(8, widths[i] - (total() - width))
  }

  function line(texts: readonly string[], role: (i: number) => Role | null): string {
    let text = ''
    let gap = ''
    for (const i of shown) {
      // A growing list may meet longer texts than it made room for: figures are never cut.
      const isCut = columns[i].mayCut && width !== Number.POSITIVE_INFINITY
      const cut = isCut ? cutText(texts[i], widths[i], 'middle') : texts[i]
      const fill = ' '.repeat(Math.max(0, widths[i] - textWidth(cut)))
      const painted = role(i) === null ? cut : paint(role(i) ?? 'dim', cut)
      text += columns[i].align === 'right' ? gap + fill + painted : gap + painted
      gap = columns[i].align === 'right' ? '  ' : `${fill}  `
    }
    return text
  }

  const headers = columns.map((column) => column.header)
  return {
    header: cutLine(
      line(headers, () => 'heading'),
      width,
    ),
    line: (row) =>
      cutLine(
        line(cellsOf(row), (i) => columns[i].role?.(row) ?? null),
        width,
      ),
  }
}

/** The last resort on a very narrow terminal; escape sequences only ever surround whole cells. */
function cutLine(text: string, width: number): string {
  return text.includes('\x1b') ? text : cutText(text, width).trimEnd()
}
