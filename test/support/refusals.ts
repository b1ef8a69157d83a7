import assert from 'node:assert/strict'
import { ERRORS, type ErrorCode } from '../../src/core/errors.ts'
import type { RawAnswer } from './raw-client.ts'
import type { World } from './world.ts'

/** What Anthropic's envelope says. */
export interface ErrorBody {
  readonly type: string
  readonly error: {
    readonly type: string
    readonly message: string
    readonly details: Readonly<Record<string, unknown>> & { readonly error_code: string }
  }
  readonly request_id: string
}

/** An error of the gateway's own: status, envelope, ids and retry headers as the catalogue says. */
export function assertRefusal(answer: RawAnswer, code: ErrorCode): ErrorBody {
  const row = ERRORS[code]
  assert.equal(answer.status, row.status, `${code}: ${answer.body}`)
  assert.match(answer.headers.get('content-type') ?? '', /^application\/json/)
  const body: ErrorBody = JSON.parse(answer.body)
  assert.equal(body.error.details.error_code, code)
  assert.deepEqual([body.type, body.error.type], ['error', row.anthropic])
  assert.ok(body.error.message.length > 10 && !/\{\w+\}|undefined/.test(body.error.message))
  const id = answer.headers.get('x-cc-request-id')
  assert.match(id ?? '', /^ccr_[0-9a-z]{26}$/)
  assert.deepEqual([answer.headers.get('request-id'), body.request_id], [id, id])
  assert.equal(answer.headers.get('cache-control'), 'no-store')
  assertRetryHeaders(answer, row.retryable)
  const challenge = row.status === 401 ? 'Bearer realm="ccgate"' : undefined
  assert.equal(answer.headers.get('www-authenticate'), challenge)
  return body
}

function assertRetryHeaders(answer: RawAnswer, retryable: boolean): void {
  const after = answer.headers.get('retry-after')
  const afterMs = answer.headers.get('retry-after-ms')
  assert.equal(after === undefined, afterMs === undefined)
  if (after !== undefined && afterMs !== undefined) {
    assert.match(after, /^\d+$/)
    assert.ok(Number(after) >= 1 && Number(after) <= 60, after)
    assert.ok(Number(afterMs) > 0 && Number(afterMs) <= Number(after) * 1_000, afterMs)
  }
  if (!retryable)
    assert.deepEqual([answer.headers.get('x-should-retry'), after], ['false', undefined])
}

/**
 * From now until the returned function is called nothing may be held, nothing charged, and nothing may
 * reach upstream.
 */
export async function nothingFromNow(w: World): Promise<() => Promise<void>> {
  const before = { wallet: await w.wallet(), upstream: w.sandbox.counters.requests }
  return async () => {
    await w.settled()
    assert.deepEqual(
      { wallet: await w.wallet(), upstream: w.sandbox.counters.requests },
      { wallet: { ...before.wallet, heldMicro: 0 }, upstream: before.upstream },
    )
  }
}
