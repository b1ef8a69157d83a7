import { formatUsdExact } from '../../core/money.ts'
import { safeText } from '../../core/text.ts'
import type { Store, UsageRow } from '../../store/store.ts'
import type { Context } from '../context.ts'

/** What the demo asks for. */
export const DEMO_MODEL = 'claude-sonnet-4-6'

/** How the first request went. */
export interface FirstRequest {
  readonly requestId: string
  readonly isOk: boolean
}

/** Sends one streamed request through the gateway, shows it live, then its receipt. */
export async function firstRequest(
  context: Context,
  at: { readonly url: string; readonly key: string; readonly store: Store },
): Promise<FirstRequest> {
  const { print } = context
  if (!print.json) print.out(`First request: ${DEMO_MODEL}, streaming`)
  const startedMs = performance.now()
  const response = await fetch(`${at.url}/v1/messages`, {
    method: 'POST',
    headers: {
      'x-api-key': at.key,
      'anthropic-version': '2023-06-01',
      'content-type': 'application/json',
    },
    body: JSON.stringify({
      model: DEMO_MODEL,
      max_tokens: 256,
      stream: true,
      messages: [{ role: 'user', content: 'Tell me a haiku.' }],
    }),
  })
  const requestId = response.headers.get('x-cc-request-id') ?? ''
  let firstTokenMs: number | null = null
  if (response.ok) firstTokenMs = await showStream(context, response, startedMs)
  const tookMs = performance.now() - startedMs
  const usage = await at.store.getUsage(requestId)
  const row = usage?.kind === 'usage' ? usage : null
  const isOk = response.ok && row?.status === 'complete'
  if (print.json) {
    print.document({
      object: 'demo_request',
      request_id: requestId,
      status: response.status,
      ttft_ms: firstTokenMs === null ? null : Math.round(firstTokenMs),
      cost_micro: row?.costMicro ?? null,
    })
  } else {
    print.out()
    if (isOk && row !== null) showReceipt(context, row, { tookMs, firstTokenMs })
    else print.out(`  ${response.status} ${await reasonOf(response)}   id ${requestId}`)
  }
  return { requestId, isOk }
}

async function showStream(
  context: Context,
  response: Response,
  startedMs: number,
): Promise<number | null> {
  const { print, terminal } = context
  const decoder = new TextDecoder()
  let firstTokenMs: number | null = null
  let pending = ''
  if (!print.json) terminal.stdout.write('  ▍ ')
  for await (const chunk of response.body ?? []) {
    pending += decoder.decode(chunk, { stream: true })
    const events = pending.split('\n\n')
    pending = events.pop() ?? ''
    for (const event of events) {
      const text = textOf(event)
      if (text === '') continue
      firstTokenMs ??= performance.now() - startedMs
      if (!print.json) terminal.stdout.write(safeText(text.replaceAll('\n', ' / ')))
    }
  }
  if (!print.json) terminal.stdout.write('\n')
  return firstTokenMs
}

function textOf(event: string): string {
  const data = /^data: (.*)$/m.exec(event)?.[1]
  if (data === undefined) return ''
  const parsed = JSON.parse(data) as { delta?: { text?: string } } // the sandbox's own event
  return parsed.delta?.text ?? ''
}

function showReceipt(
  context: Context,
  row: UsageRow,
  times: { readonly tookMs: number; readonly firstTokenMs: number | null },
): void {
  const { print } = context
  const seconds = (ms: number) => `${(ms / 1_000).toFixed(2)} s`
  const first = times.firstTokenMs === null ? '' : ` · first token ${seconds(times.firstTokenMs)}`
  print.out(
    `  ${row.httpStatus} OK in ${seconds(times.tookMs)}${first} · account ${row.accountName ?? '–'} · reroutes ${Math.max(0, row.attempts.length - 1)}`,
  )
  const balance =
    row.balanceAfterMicro === null ? '' : ` · balance ${formatUsdExact(row.balanceAfterMicro)}`
  print.out(
    `  ${row.tokens.input} in + ${row.tokens.output} out = ${formatUsdExact(row.costMicro)}${balance} · id ${row.requestId}`,
  )
}

async function reasonOf(response: Response): Promise<string> {
  try {
    const body = (await response.json()) as { error?: { message?: string } } // our own error shape
    return body.error?.message ?? ''
  } catch {
    return 'the answer broke off'
  }
}
