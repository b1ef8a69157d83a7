import { countPart } from '../core/account-state.ts'
import { GatewayError } from '../core/errors.ts'
import type { Call } from './exchange.ts'
import type { CallOff } from './forward.ts'
import { CalledOff, forward, seekerOf, takeAccount } from './forward.ts'
import type { Gateway, RunningExchange } from './gateway.ts'
import { admitModels, readCount } from './inspect-body.ts'
import { withRealModel } from './real-model.ts'
import { answerHead } from './reply-head.ts'
import { plainRoute } from './route.ts'
import { stateBond } from './state-bond.ts'

/** Forwards a client's own count: bound and rerouted like any request, paid by nobody. */
export async function forwardCount(
  gateway: Gateway,
  call: Call,
  body: Buffer,
  keyHeaders: readonly string[],
): Promise<void> {
  const request = withRealModel(gateway, call, readCount(call, body))
  const { row } = admitModels(gateway, call, request)
  const want = {
    requestId: call.requestId,
    keyId: call.live.key.id,
    model: row.id,
    modelClass: countPart(row.modelClass),
    listMicro: 0,
    tags: call.live.key.accountTags,
  }
  const route = { ...plainRoute(), state: await stateBond(gateway, call, request) }
  const seeker = seekerOf(gateway, want, route, call)
  const callOff: CallOff = { abort: () => {}, aborted: false, noMore: false }
  const end = () => {
    callOff.aborted = true
    callOff.abort()
  }
  let isStopped = false
  const running: RunningExchange = {
    cut() {
      isStopped = true
      callOff.noMore = true
      end()
    },
    tick() {},
  }
  gateway.running.add(running)
  call.response.on('close', end)
  try {
    const first = await takeAccount(gateway, seeker, callOff, async () => {})
    const forwarded = await forward(
      gateway,
      {
        ...want,
        isCount: true,
        target: call.target,
        rawHeaders: call.rawHeaders,
        body: request.body,
        stream: false,
        resend: 'free',
        clientTimeoutMs: call.clientTimeoutMs,
        arrivedMs: call.arrivedMs,
        attempts: [],
        promptListMicro: () => 0,
        onAttempt: () => {},
      },
      { seeker, first },
      callOff,
    )
    if (forwarded.kind === 'stream' || call.response.destroyed) return
    const { status, headers, body: answer } = forwarded.answer
    const head = answerHead(call, headers, forwarded.account.account.id, keyHeaders)
    head.push('content-length', String(answer.length))
    call.response.writeHead(status, head)
    call.response.end(answer)
  } catch (error) {
    if (!(error instanceof CalledOff)) throw error
    if (isStopped) throw new GatewayError('draining', { retryAfterMs: 3_000 })
  } finally {
    gateway.running.delete(running)
    call.response.off('close', end)
  }
}
