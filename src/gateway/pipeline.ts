import { availableMicro as availableMicroOf } from '../billing/ledger.ts'
import { markupFor } from '../billing/price-changes.ts'
import { GatewayError } from '../core/errors.ts'
import type { Slot } from '../pool/pool.ts'
import type { WantedAccount } from './candidates.ts'
import { ClientPresence } from './client-presence.ts'
import type { ClientSide } from './client-side.ts'
import { EarlyPings } from './early-pings.ts'
import type { Call, Exchange } from './exchange.ts'
import { beginExchange } from './exchange.ts'
import type { CallOff, Departing, Forwarded, Forwarding } from './forward.ts'
import { CalledOff, forward, seekerOf, takeAccount, takeElsewhere } from './forward.ts'
import type { Gateway } from './gateway.ts'
import { holdCredit, meterOf, needOf } from './hold.ts'
import { holdAnew } from './hold-anew.ts'
import { admitModels, inspectBody, namedModel } from './inspect-body.ts'
import { joinRun } from './join.ts'
import { cannotBegin } from './no-money.ts'
import { isStreamed, type ReadyRequest } from './ready-request.ts'
import { closeAfterFailure } from './refusals.ts'
import { type AnotherTry, type RelayContext, startRelay } from './relay.ts'
import { withRepairs } from './repair.ts'
import { earlyHead, relayedHead } from './reply-head.ts'
import { resendRule } from './resend.ts'
import { nextRoundOf } from './rounds.ts'
import { type Route, routeOf } from './route.ts'
import { asksForFast, continuesThread } from './scalars.ts'
import type { Seeker } from './seek.ts'
import { mayBeThin } from './thin-offer.ts'
import { readyRequest } from './translation.ts'
import { giveWholeAnswer } from './whole-answer.ts'

/**
 * The life of one paid request, in order. Its seven steps: identify (done by the caller of this function),
 * inspect, admit, hold, forward, relay, settle. Throws `GatewayError` while nothing has been sent to the
 * client, early pings included; resolves when the client has its answer and the money is settled.
 */
export async function runInference(
  gateway: Gateway,
  call: Call,
  body: Buffer,
  client: ClientSide,
): Promise<void> {
  let exchange: Exchange | null = null
  let model = ''
  let early: EarlyPings | null = null
  const presence = new ClientPresence(gateway, call)
  try {
    // 2. inspect: one scan of the bytes; what was checked is what is forwarded.
    const facts = inspectBody(body)
    model = namedModel(facts)
    const ready = readyRequest(gateway, call, body, facts)

    // 3. admit: is the model known, served and allowed for this key? Or is it a retry of what still runs?
    const { prices: pricesOf } = gateway
    const models = admitModels(gateway, call, ready.request)
    early = earlyPingsOf(gateway, call, ready, client)
    if (await joinRun(gateway, call, ready, { side: client, early })) return
    await client.requireSlot()
    const markup = markupFor(pricesOf, models.row, {
      keyMarkup: call.live.key.markup,
      serverMarkup: gateway.policy.markup,
      atMs: call.arrivedAtMs,
    })
    exchange = beginExchange(call, ready, { models, pricesOf, markup })
    presence.of(exchange)

    // 4. hold: an account's slot, then what it may cost, durably, before anything leaves.
    let departing: Departing | null = await hold(gateway, exchange, presence.callOff, early)
    early?.allow()

    // 5. to 7.; once more for an answer that broke off before its client got anything of it.
    while (departing !== null)
      departing = await serve(gateway, exchange, departing, { client, presence, early })
  } catch (thrown) {
    // What is recorded now is what the client is told: as a status, or in the stream that has begun.
    early?.end()
    const isStopped = thrown instanceof CalledOff && presence.isStopped
    const error = isStopped ? new GatewayError('draining', { retryAfterMs: 3_000 }) : thrown
    await closeAfterFailure(gateway, call, { exchange, model }, error)
    if (error instanceof CalledOff) return
    if (!call.response.headersSent) throw error
    client.endStream(error)
  } finally {
    early?.end()
    presence.end()
  }
}

/** Null where nobody wants them, or the answer is no stream. */
function earlyPingsOf(
  { policy, clock }: Gateway,
  call: Call,
  ready: ReadyRequest,
  { ownHeaders }: ClientSide,
): EarlyPings | null {
  if (policy.earlyPingMs === null || !isStreamed(ready)) return null
  const head = () => earlyHead(call, [...ownHeaders(), ...(ready.format?.headers ?? [])])
  return new EarlyPings({ call, clock, everyMs: policy.earlyPingMs, head })
}

/** What an answer is given to. */
interface Receiver {
  readonly client: ClientSide
  readonly presence: ClientPresence
  readonly early: EarlyPings | null
}

/** Forwards, relays and settles; answers where to go with another try, where the client has got nothing. */
async function serve(
  gateway: Gateway,
  exchange: Exchange,
  departing: Departing,
  receiver: Receiver,
): Promise<Departing | null> {
  const { client, presence, early } = receiver
  const { callOff } = presence

  // 5. forward: one account after another, while nothing has reached the client.
  const forwarding = forwardingOf(gateway, exchange)
  const { forwarded, body: sent } = await withRepairs(
    exchange,
    await forward(gateway, forwarding, departing, callOff),
    async (body, { account }) => {
      const first = gateway.pool.take(account.id, forwarding)
      if (first === null) return null
      return forward(gateway, { ...forwarding, body }, { ...departing, first }, callOff)
    },
  )
  exchange.accountId = forwarded.account.account.id

  // 6. relay and 7. settle: the last byte waits for the settlement.
  if (forwarded.kind === 'stream') {
    const mayGoElsewhere = departing.broke === undefined && !isStreamed(exchange)
    const elsewhere = () => takeElsewhere(gateway, forwarding, departing.seeker)
    const another = await relay(gateway, exchange, forwarded, {
      ...receiver,
      sent,
      elsewhere: mayGoElsewhere ? elsewhere : null,
    })
    if (another === null) return null
    presence.takeBack()
    await holdAnew(gateway, exchange, another)
    return { ...departing, ...another }
  }
  presence.ignore()
  early?.end()
  const { run } = presence
  await giveWholeAnswer(gateway, exchange, forwarded, { run, ownHeaders: client.ownHeaders })
  return null
}

/** Takes an account's slot and opens the hold. */
async function hold(
  gateway: Gateway,
  exchange: Exchange,
  callOff: CallOff,
  early: EarlyPings | null,
): Promise<{ readonly seeker: Seeker; readonly first: Slot }> {
  const { call, request, price, trail } = exchange
  const route = await routeOf(gateway, call, request, { row: price, trail })
  const meter = await meterOf(gateway, exchange)
  exchange.meter = meter
  const seeker = seekerOf(gateway, wantOf(exchange), route, call)
  for (;;) {
    const first = await takeAccountOrSayWhatIsMissing(gateway, exchange, seeker, {
      callOff,
      inLine: () => early?.allow(),
    })
    early?.forbid()
    const account = first.live
    reserve(gateway, exchange, account.account.id)
    let held: 'held' | 'elsewhere' = 'elsewhere'
    try {
      held = await holdCredit(gateway, exchange, exchange.meter ?? meter, { account, route })
    } finally {
      if (held !== 'held') {
        first.cancel()
        gateway.caps.release(call.requestId)
      }
    }
    if (held === 'held') return { seeker, first }
    // Nothing went to this account, and where it can be paid for is chosen anew, once.
    trail.pop()
  }
}

/** Credit is asked before accounts: who could not pay anyway gets 402, not 503, and does not wait for it. */
async function takeAccountOrSayWhatIsMissing(
  gateway: Gateway,
  exchange: Exchange,
  seeker: Seeker,
  { callOff, inLine }: { readonly callOff: CallOff; readonly inLine: () => void },
): Promise<Slot> {
  const requireCredit = () => requireSomeCredit(gateway, exchange, seeker.route)
  const beforeWaiting = () => requireCredit().then(inLine)
  try {
    return await takeAccount(gateway, seeker, callOff, beforeWaiting)
  } catch (error) {
    if (!(error instanceof CalledOff)) await requireCredit()
    throw error
  }
}

/** Throws `insufficient_credit` where the wallet, as it is now, would not allow the hold. */
async function requireSomeCredit(
  gateway: Gateway,
  exchange: Exchange,
  route: Route,
): Promise<void> {
  const { meter, call } = exchange
  if (meter === null || !meter.bound.inputKnown) return
  const wallet = await gateway.store.getWallet(call.live.key.userId)
  const availableMicro = wallet === null ? 0 : availableMicroOf(wallet)
  if (availableMicro >= meter.openMicro) return
  if (mayBeThin(gateway, exchange, route, availableMicro)) return
  // Only a count could tell, and for that an account has to be there: till then money is not what is missing.
  const mayBeCounted = !meter.isCounted && !continuesThread(exchange.request.facts)
  if (mayBeCounted && meter.mayFit(availableMicro)) return
  const noRoom = { kind: 'insufficient_credit', availableMicro } as const
  throw cannotBegin(gateway, exchange, needOf(meter, availableMicro), noRoom)
}

function wantOf({ call, request, price, meter }: Exchange): WantedAccount {
  return {
    requestId: call.requestId,
    keyId: call.live.key.id,
    model: price.id,
    modelClass: price.modelClass,
    listMicro: meter?.openListMicro ?? 0,
    isFast: asksForFast(request.facts),
    tags: call.live.key.accountTags,
  }
}

/** The account may be charged for it: what is held counts against that account's cap. */
function reserve({ caps }: Gateway, { call, meter }: Exchange, accountId: string): void {
  const listMicro = meter?.heldListMicro ?? 0
  caps.reserve(call.requestId, { accountId, listMicro, atMs: call.arrivedAtMs })
}

function forwardingOf(gateway: Gateway, exchange: Exchange): Forwarding {
  const { call, request, up } = exchange
  return {
    ...wantOf(exchange),
    ...up,
    isCount: false,
    body: request.body,
    stream: request.stream,
    resend: resendRule(request.facts),
    clientTimeoutMs: call.clientTimeoutMs,
    arrivedMs: call.arrivedMs,
    attempts: exchange.attempts,
    promptListMicro: () => exchange.meter?.promptListMicro() ?? 0,
    onAttempt(accountId) {
      reserve(gateway, exchange, accountId)
      if (exchange.leftMs === null) exchange.leftMs = gateway.clock.monotonicMs()
      else gateway.store.noteProgress({ requestId: call.requestId, accountId, progress: null })
      exchange.accountId = accountId
    },
  }
}

async function relay(
  gateway: Gateway,
  exchange: Exchange,
  forwarded: Extract<Forwarded, { kind: 'stream' }>,
  {
    client,
    presence,
    early,
    sent,
    elsewhere,
  }: Receiver & { readonly sent: Uint8Array; readonly elsewhere: RelayContext['elsewhere'] },
): Promise<AnotherTry | null> {
  const { call } = exchange
  exchange.upstreamRequestId = forwarded.stream.upstreamRequestId
  const running = startRelay({
    gateway,
    exchange,
    forwarded,
    run: presence.run,
    describe: client.describe,
    elsewhere,
    nextRound: nextRoundOf(gateway, exchange, { body: sent, account: forwarded.account }),
    client: {
      response: call.response,
      writeHead(head) {
        exchange.firstByteMs = gateway.clock.monotonicMs()
        early?.end()
        if (call.response.headersSent) return
        const ours = [...client.ownHeaders(), ...(exchange.format?.headers ?? [])]
        call.response.writeHead(head.status, relayedHead(call, head, ours))
      },
      replyError: client.replyError,
    },
  })
  presence.hand(running.adopt)
  return running.done
}
