import { cutText, fitText, safeText, textWidth } from '../core/text.ts'

/** What a piece of text is for; `theme.ts` says how that looks. */
export type Tone = 'ok' | 'warn' | 'bad' | 'dim' | 'accent' | 'bold' | 'inverse'

/** A piece of one line. */
export interface Span {
  readonly text: string
  readonly tone?: Tone
  /** A drawing that says nothing to a screen reader: its figures stand beside it as text. */
  readonly chart?: true
}

/** One line of the screen; `look` overrides the tones of its spans. */
export interface Line {
  readonly spans: readonly Span[]
  readonly look?: 'selected' | 'dimmed'
}

export type Part = string | Span

export const BLANK: Line = { spans: [] }

/** A line of these parts. */
export function line(...parts: readonly Part[]): Line {
  return { spans: parts.map(spanOf) }
}

/** Text with a tone. */
export function span(text: string, tone?: Tone): Span {
  return tone === undefined ? { text } : { text, tone }
}

/** A chart: `chart(sparkline(…))`. */
export function chart(text: string, tone?: Tone): Span {
  return { ...span(text, tone), chart: true }
}

function spanOf(part: Part): Span {
  return typeof part === 'string' ? { text: part } : part
}

/** Exactly `width` columns: cut with `…` or padded. Text from outside is made safe. */
export function cell(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  if (width <= 0) return ''
  return fitText(safeText(text), width, align)
}

/** The plain text of a line. */
export function textOf({ spans }: Line): string {
  return spans.map(({ text }) => text).join('')
}

/** The line cut to `width` columns. */
export function fitLine(full: Line, width: number): Line {
  let left = width
  const spans: Span[] = []
  for (const each of full.spans) {
    if (left <= 0) break
    const taken = cutText(each.text, left)
    left -= textWidth(taken)
    spans.push({ ...each, text: taken })
  }
  return { ...full, spans }
}

/** Left and right part of one line, `width` columns in all; the left part gives way. */
export function spread(left: readonly Part[], right: readonly Part[], width: number): Line {
  const rightLine = line(...right)
  const room = Math.max(0, width - textWidth(textOf(rightLine)))
  const leftLine = fitLine(line(...left), room)
  const gap = ' '.repeat(Math.max(0, room - textWidth(textOf(leftLine))))
  return fitLine({ spans: [...leftLine.spans, { text: gap }, ...rightLine.spans] }, width)
}

/** Two lines side by side; the right one begins at column `at`. */
export function beside(left: Line, right: Line, at: number): Line {
  const fitted = fitLine(left, at)
  const gap = ' '.repeat(Math.max(0, at - textWidth(textOf(fitted))))
  return { spans: [...fitted.spans, { text: gap }, ...right.spans] }
}

/** A horizontal rule. */
export function rule(width: number): Line {
  return line(span('─'.repeat(width), 'dim'))
}

/** A column of a table: `gap` blank columns before it. */
export interface Column {
  readonly title: string
  readonly width: number
  readonly gap: number
  readonly align?: 'left' | 'right'
}

/** The heading of a table, after `indent` blank columns. */
export function tableHead(columns: readonly Column[], indent: number): Line {
  const titles = columns.map(
    ({ title, width, gap, align }) => ' '.repeat(gap) + cell(title, width, align),
  )
  return line(span(' '.repeat(indent) + titles.join(''), 'dim'))
}

/** One row of a table; `lead` fills the indent. */
export function tableRow(columns: readonly Column[], lead: string, cells: readonly Part[]): Line {
  const spans: Span[] = [{ text: lead }]
  columns.forEach(({ width, gap, align }, i) => {
    const part = spanOf(cells[i] ?? '')
    spans.push({ text: ' '.repeat(gap) }, { ...part, text: cell(part.text, width, align) })
  })
  return { spans }
}

/** Groups of lines that fit into `height` lines, with the selected group among them. */
export function visibleGroups(
  groups: readonly (readonly Line[])[],
  height: number,
  selected: number,
): { readonly lines: readonly Line[]; readonly first: number; readonly count: number } {
  const size = (from: number, to: number) =>
    groups.slice(from, to).reduce((sum, group) => sum + group.length, 0)
  let first = 0
  while (first < selected && size(first, selected + 1) > height) first += 1
  let end = first
  while (end < groups.length && size(first, end + 1) <= height) end += 1
  return { lines: groups.slice(first, end).flat(), first, count: end - first }
}
