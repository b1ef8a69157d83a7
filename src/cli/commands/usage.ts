import type { DisconnectPolicy } from '../../core/model.ts'
import { formatUsdFull } from '../../core/money.ts'
import { safeText } from '../../core/text.ts'
import type { PendingUsage, UsageRow } from '../../store/store.ts'
import type { Context } from '../context.ts'
import { CliError, EXIT, usageError } from '../errors.ts'
import { formatAgo } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import { LABEL_WIDTH, labelled } from '../labelled.ts'
import { pendingJson, usageJson } from '../usage-json.ts'
import { usageLines } from '../usage-text.ts'

/** `ccgate usage show`: the receipt of one request. */
export async function showUsage(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const usage = await findUsage(context, call.arg(0))
  if (call.flag('raw')) return print.document(usage)
  if (usage.kind === 'pending') {
    const user = await ownerOf(context, usage)
    return print.json ? print.document(pendingJson(usage, user)) : showPending(context, usage, user)
  }
  if (print.json) return print.document(usageJson(usage))
  if (print.quiet) return print.out(String(usage.costMicro))
  await showFinished(context, usage)
}

/** By `ccr_…`, a unique prefix of it, or Anthropic's `req_…`. */
async function findUsage(context: Context, ref: string): Promise<UsageRow | PendingUsage> {
  const store = await context.store('read')
  if (ref.startsWith('req_')) {
    const row = await store.findUsageByUpstreamId(ref)
    if (row !== null) return row
  } else {
    const exact = await store.getUsage(ref)
    if (exact !== null) return exact
    if (/^ccr_[0-9a-z]{8,}$/.test(ref)) {
      const ids = await store.findUsageIds(ref)
      if (ids.length > 1) {
        throw usageError(
          `"${ref}" means more than one request.`,
          `Say which: ${ids.slice(0, 5).join(', ')}`,
          'ambiguous',
        )
      }
      const only = ids.length === 1 ? await store.getUsage(ids[0]) : null
      if (only !== null) return only
    }
  }
  throw new CliError({
    code: 'request_not_found',
    message: `There is no request "${ref}".`,
    hint: 'Ids look like ccr_… and are in the X-CC-Request-Id header. The latest: ccgate usage list',
    exitCode: EXIT.notFound,
  })
}

/** Whose request it is; null where the key is gone. */
async function ownerOf(context: Context, { hold }: PendingUsage): Promise<string | null> {
  const key = await (await context.store('read')).findKey(hold.keyId)
  return key.kind === 'found' ? key.value.userName : null
}

function showPending(context: Context, pending: PendingUsage, user: string | null): void {
  const { print, nowMs } = context
  const { hold } = pending
  const lines = [
    `${hold.requestId}    still running${hold.stream ? ' · streamed' : ''} · began ${formatAgo(hold.openedAtMs, nowMs)}`,
    ...labelled('Key', [
      `${user === null ? '' : `${user}/`}${pending.keyName}     Model  ${safeText(hold.model)}`,
    ]),
    ...labelled('Reserved', [formatUsdFull(hold.amountMicro)]),
  ]
  for (const line of lines) print.wrapped(line, LABEL_WIDTH)
}

/** Words of clients and upstream are safe by now; our own colours come last. */
async function showFinished(context: Context, row: UsageRow): Promise<void> {
  const { print } = context
  const calendar = context.calendar()
  const onDisconnect = await disconnectPolicyOf(context, row)
  const [first, ...rest] = usageLines(row, { calendar, nowMs: context.nowMs, onDisconnect })
  print.wrapped(print.style('heading', first), LABEL_WIDTH)
  for (const line of rest) print.wrapped(line, indentOf(line))
}

/** Where a line goes on: below its fact, and a little to the right of one that is itself indented. */
function indentOf(line: string): number {
  const deeper = line.slice(LABEL_WIDTH).search(/\S/)
  return LABEL_WIDTH + (deeper > 0 ? deeper + 2 : 0)
}

/** What is done today when a client of this key goes away. */
async function disconnectPolicyOf(context: Context, row: UsageRow): Promise<DisconnectPolicy> {
  const key = await (await context.store('read')).findKey(row.keyId)
  const own = key.kind === 'found' ? key.value.onDisconnect : null
  return own ?? (await context.config()).config.billing.onDisconnect
}
