import { request } from 'undici'
import { formatUsdExact } from '../../core/money.ts'
import { safeText } from '../../core/text.ts'
import type { Store, UsageRow } from '../../store/store.ts'
import type { Context } from '../context.ts'
import type { Printer } from '../print.ts'
import type { Output } from '../terminal.ts'

/** What the demo asks for. */
export const DEMO_MODEL = 'claude-sonnet-4-6'

/** How the first request went. */
export interface FirstRequest {
  readonly requestId: string
  readonly isOk: boolean
}

/** One object per line, also on a terminal: the demo says things as they happen. */
export function printLine(print: Pick<Printer, 'out'>, document: unknown): void {
  print.out(JSON.stringify(document))
}

/** Sends one streamed request through the gateway, shows it live, then its receipt. */
export async function firstRequest(
  context: Context,
  at: { readonly url: string; readonly key: string; readonly store: Store },
): Promise<FirstRequest> {
  const { print } = context
  const isTold = !print.json && !print.quiet
  if (isTold) print.out(`First request: ${DEMO_MODEL}, streaming`)
  const startedMs = performance.now()
  // Not `fetch`: it refuses ports that browsers fear, and somebody may have asked for one.
  const response = await request(`${at.url}/v1/messages`, {
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
  const requestId = String(response.headers['x-cc-request-id'] ?? '')
  const answered = response.statusCode === 200
  const firstTokenMs = answered
    ? await showStream(response.body, startedMs, isTold ? context.terminal.stdout : null)
    : null
  const reason = answered ? '' : await reasonOf(response.body)
  const tookMs = performance.now() - startedMs
  const usage = await at.store.getUsage(requestId)
  const row = usage?.kind === 'usage' ? usage : null
  const isOk = answered && row?.status === 'complete'
  if (print.json) {
    printLine(print, {
      object: 'demo_request',
      request_id: requestId,
      status: response.statusCode,
      ttft_ms: firstTokenMs === null ? null : Math.round(firstTokenMs),
      cost_micro: row?.costMicro ?? null,
    })
  } else if (isTold) {
    print.out()
    if (answered && row !== null) showReceipt(context, row, { tookMs, firstTokenMs })
    else {
      print.out(`  ${response.statusCode} in ${seconds(tookMs)} · id ${requestId}`)
      print.out(`  ${reason}`)
    }
  }
  return { requestId, isOk }
}

/** Writes the text as it arrives, on one line; answers when its first piece came. */
async function showStream(
  body: AsyncIterable<Uint8Array>,
  startedMs: number,
  stdout: Output | null,
): Promise<number | null> {
  const decoder = new TextDecoder()
  let firstTokenMs: number | null = null
  let pending = ''
  stdout?.write('  ▍ ')
  for await (const chunk of body) {
    pending += decoder.decode(chunk, { stream: true })
    const events = pending.split('\n\n')
    pending = events.pop() ?? ''
    for (const event of events) {
      const text = textOf(event)
      if (text === '') continue
      firstTokenMs ??= performance.now() - startedMs
      stdout?.write(safeText(text.replaceAll('\n', ' / ')))
    }
  }
  stdout?.write('\n')
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
  const first = times.firstTokenMs === null ? '' : ` · first token ${seconds(times.firstTokenMs)}`
  const how = row.status === 'complete' ? 'OK' : row.status
  print.out(
    `  ${row.httpStatus} ${how} in ${seconds(times.tookMs)}${first} · account ${row.accountName ?? '–'} · reroutes ${Math.max(0, row.attempts.length - 1)}`,
  )
  const balance =
    row.balanceAfterMicro === null ? '' : ` · balance ${formatUsdExact(row.balanceAfterMicro)}`
  print.out(
    `  ${row.tokens.input} in + ${row.tokens.output} out = ${formatUsdExact(row.costMicro)}${balance} · id ${row.requestId}`,
  )
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`
}

async function reasonOf(body: { text(): Promise<string> }): Promise<string> {
  try {
    const parsed = JSON.parse(await body.text()) as { error?: { message?: string } } // our own error shape
    return safeText(parsed.error?.message ?? '')
  } catch {
    return 'The answer broke off.'
  }
}
