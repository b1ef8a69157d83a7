import type { Context } from '../context.ts'
import type { Invocation } from '../invocation.ts'
import { notePage, pageRequest } from '../page.ts'
import { listJson } from '../records.ts'
import { usageColumns } from '../usage-columns.ts'
import { noMatchText, readUsageFilter } from '../usage-filter.ts'
import { usageJson } from '../usage-json.ts'

/** `ccgate usage list`: finished requests, newest first. */
export async function listUsage(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const request = pageRequest(call)
  const question = await readUsageFilter(context, call)
  const store = await context.store('read')
  const page = await store.listUsage({
    ...question,
    limit: request.limit,
    afterId: request.after ?? undefined,
  })
  const nextAfter = page.hasMore ? (page.rows.at(-1)?.requestId ?? null) : null
  if (print.json)
    return print.document(listJson(page.rows.map(usageJson), { hasMore: page.hasMore, nextAfter }))
  if (print.quiet) return print.outAll(page.rows.map((row) => row.requestId))
  if (page.rows.length === 0) return print.note(noMatchText(context, call, question))
  print.table(usageColumns(context.calendar()), page.rows)
  notePage(context, { shown: page.rows.length, total: page.total, nextAfter })
}
