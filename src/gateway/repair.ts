import type { LiveAccount } from '../pool/pool.ts'
import { readError } from '../providers/anthropic/classify.ts'
import type { Exchange } from './exchange.ts'
import type { Forwarded } from './forward.ts'

/** Sends another body to the account that refused the first; null: it is not there any more. */
export type Resend = (body: Uint8Array, account: LiveAccount) => Promise<Forwarded | null>

/**
 * What came of a request whose translation upstream refused, once more with what its format can change about
 * it; and the body that was answered. A refusal costs nothing, so the hold stays as it is; each change is tried
 * once.
 */
export async function withRepairs(
  { request, format }: Pick<Exchange, 'request' | 'format'>,
  forwarded: Forwarded,
  resend: Resend,
): Promise<{ readonly forwarded: Forwarded; readonly body: Uint8Array }> {
  if (format === null) return { forwarded, body: request.body }
  const { bodies } = format.translator
  const done = new Set<string>()
  let body = request.body
  let end = forwarded
  while (end.kind === 'answer' && end.answer.status === 400) {
    const { message } = readError(end.answer.body.toString('utf8'))
    const repair = bodies.repair(Buffer.from(body).toString('utf8'), 400, message)
    if (repair === null || done.has(repair.kind)) break
    done.add(repair.kind)
    const mended = Buffer.from(repair.body)
    const again = await resend(mended, end.account)
    if (again === null) break
    body = mended
    end = again
  }
  return { forwarded: end, body }
}
