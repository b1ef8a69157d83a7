import { safeText } from '../core/text.ts'

/** What a cell can hold; null is empty. */
export type Cell = string | number | boolean | null

/** A line of RFC 4180, its end included. */
export function csvLine(cells: readonly Cell[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`
}

/**
 * A cell that no spreadsheet runs: text that could begin a formula gets an apostrophe in front, and what
 * could steer a terminal is replaced. Numbers and booleans stay what they are.
 */
function csvCell(cell: Cell): string {
  if (cell === null) return ''
  if (typeof cell !== 'string') return String(cell)
  const text = safeText(cell)
  // Some programs skip spaces before they look; a tab or line break has become one.
  const isFormula = /^[\t\r\n]/.test(cell) || /^\s*[=+\-@]/.test(text)
  const harmless = isFormula ? `'${text}` : text
  return /[",]|^\s|\s$/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless
}
