import { parseCount } from '../core/quantity.ts'
import type { Context } from './context.ts'
import { usageError } from './errors.ts'
import { formatCount } from './format.ts'
import type { Invocation } from './invocation.ts'

/** What `--limit`, `--after` and `--all` ask for. */
export interface PageRequest {
  readonly limit: number
  readonly after: string | null
}

/** More rows than any list of ours has. */
const ALL = 1_000_000_000

/** Reads the paging options; 50 rows unless said otherwise. */
export function pageRequest(call: Invocation): PageRequest {
  const limit = call.read('limit', parseCount) ?? 50
  if (limit < 1)
    throw usageError('--limit: 0 rows would be no list.', 'Example: --limit 50', 'bad_value')
  return { limit: call.flag('all') ? ALL : limit, after: call.text('after') }
}

/** Cuts one page out of a complete list; `after` is the id of the last row already seen. */
export function pageOf<T>(
  rows: readonly T[],
  request: PageRequest,
  idOf: (row: T) => string,
): { readonly rows: readonly T[]; readonly hasMore: boolean; readonly nextAfter: string | null } {
  const from = request.after === null ? 0 : rows.findIndex((row) => idOf(row) === request.after) + 1
  if (request.after !== null && from === 0) {
    throw usageError(
      `--after: no row ${request.after} in this list.`,
      'Use the id that the last page named.',
      'bad_value',
    )
  }
  const page = rows.slice(from, from + request.limit)
  const hasMore = from + page.length < rows.length
  return { rows: page, hasMore, nextAfter: hasMore ? idOf(page[page.length - 1]) : null }
}

/** Says on stderr that there is more, and how to get it. */
export function notePage(
  context: Context,
  page: { shown: number; total: number; nextAfter: string | null },
): void {
  if (page.nextAfter === null) return
  context.print.note(
    `${formatCount(page.shown)} of ${formatCount(page.total)} shown. Next page: --after ${page.nextAfter}`,
  )
}
