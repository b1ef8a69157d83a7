import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from 'node:net'
import { type AccountOptions, createAccounts, type SandboxAccount } from './accounts.ts'
import type { Asked } from './asked.ts'
import { createPromptCache } from './cache.ts'
import { plainError } from './errors.ts'
import { createFaultBoard, type FaultLimits, type Scenario } from './fault-board.ts'
import { type Fault, parseFault } from './faults.ts'
import { createLimits, type RateLimits } from './limits.ts'
import { deliver } from './prepared.ts'
import { createRandom, randomId } from './random.ts'
import {
  type BilledRequest,
  type BilledTotals,
  type Counters,
  createBills,
  createRing,
  type RecordedRequest,
} from './record.ts'
import { breakOff, sendReply } from './reply.ts'
import { prepareAnswer } from './routes.ts'
import type { Script } from './script.ts'
import { refusedKeyReply } from './spoiled.ts'
import { createThreads } from './threads.ts'
import { createTimers } from './timers.ts'
import type { World } from './world.ts'

/** How to start a simulated upstream; everything has a default. */
export interface SandboxOptions {
  readonly host?: string
  /** 0: any free port. */
  readonly port?: number
  readonly scenario?: Scenario
  /** Silence before each answer, drawn from this range. */
  readonly latencyMs?: readonly [least: number, most: number]
  /** Tokens per second of streams; default as fast as possible. */
  readonly tokenRate?: number
  /** The same seed and the same requests give the same answers. */
  readonly seed?: number
  readonly script?: Script
  /** Known from the start, by default `demo-a` and `demo-b`; other sandbox keys work as well. */
  readonly accounts?: readonly AccountOptions[]
  /** Default 3.7; a range is drawn from per conversation. */
  readonly bytesPerToken?: number | readonly [least: number, most: number]
  /** Per minute, organisation and model class; the default is too high to be met. */
  readonly limits?: Partial<RateLimits>
  /** True: unknown fields of a body pass, as if upstream had learned them. */
  readonly acceptsUnknownFields?: boolean
  /** The clock of cache, threads and limits, ms since the epoch; default the real one. */
  readonly nowMs?: () => number
  /** How many requests `requests` remembers (and at most 64 MiB of bodies). */
  readonly recordLimit?: number
}

/** A running simulated upstream. */
export interface Sandbox {
  readonly url: string
  readonly port: number
  /** Every account known so far. */
  readonly accounts: readonly SandboxAccount[]
  /** The latest requests, oldest first. */
  readonly requests: readonly RecordedRequest[]
  readonly counters: Readonly<Counters>
  /** An account by name or key; throws when there is none. */
  account(nameOrKey: string): SandboxAccount
  setScenario(scenario: Scenario): void
  /**
   * Spoils the answers of one account or of all (`*`): a fault or its text form (`status=529`).
   * null takes back what was set for the same account, model and path.
   */
  setFault(account: string, fault: Fault | string | null, limits?: FaultLimits): void
  clearFaults(): void
  /** From now on the account's key is a 401, until `restore`. */
  revoke(account: string): void
  restore(account: string): void
  /** True: connections are refused (ECONNREFUSED) and open ones reset; false: back to normal. */
  refuse(isRefusing: boolean): Promise<void>
  /** What upstream would bill, request by request; of all accounts when none is named. */
  billed(account?: string): readonly BilledRequest[]
  /** Sums of what upstream would bill, however many requests there were. */
  totals(account?: string): BilledTotals
  /** Forgets requests and bills; keeps faults, caches and limits. */
  forget(): void
  /** Ends all sockets and timers. */
  close(): Promise<void>
}

const MAX_BODY_BYTES = 32 * 1024 * 1024
const RECORDED_BYTES = 64 * 1024 * 1024
const LISTED_BILLS = 100_000
const NO_LIMITS: RateLimits = {
  requests: 1_000_000,
  inputTokens: 1_000_000_000,
  outputTokens: 1_000_000_000,
}

/** Starts a simulated upstream; resolves when it listens, rejects when the port is taken. */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const host = options.host ?? '127.0.0.1'
  const seed = options.seed ?? 1
  const random = createRandom(seed)
  const ids = createRandom(seed ^ 0x5bd1e995)
  const nowMs = options.nowMs ?? Date.now
  const accounts = createAccounts(options.accounts ?? [{ name: 'demo-a' }, { name: 'demo-b' }])
  const requests = createRing<RecordedRequest>(options.recordLimit ?? 1_000, RECORDED_BYTES)
  const bills = createBills(LISTED_BILLS)
  const faults = createFaultBoard(options.script ?? [], options.scenario ?? 'ok', random)
  const timers = createTimers()
  const counters: Counters = {
    requests: 0,
    messages: 0,
    countTokens: 0,
    models: 0,
    refusedKeys: 0,
    faults: 0,
    inFlight: 0,
    peakInFlight: 0,
    connections: 0,
    droppedThinking: 0,
    byStatus: {},
  }
  const world: World = {
    accounts,
    faults,
    cache: createPromptCache(nowMs),
    limits: createLimits({ ...NO_LIMITS, ...options.limits }, nowMs),
    threads: createThreads(nowMs),
    bills,
    counters,
    timers,
    tokenizer: { bytesPerToken: options.bytesPerToken ?? 3.7, seed },
    seed,
    latencyMs: options.latencyMs ?? [0, 0],
    tokenRate: options.tokenRate ?? null,
    acceptsUnknownFields: options.acceptsUnknownFields ?? false,
    random: ids,
    nowMs,
  }

  function onRequest(request: IncomingMessage, response: ServerResponse): void {
    const requestId = `req_011C${randomId(ids, 20)}`
    const key = keyOf(request)
    const account = key === null ? null : accounts.byKey(key)
    count(response)
    const early = account ? faults.chooseAtConnect(account.name) : null
    if (early) {
      record(request, requestId, account, Buffer.alloc(0))
      breakOff(response, early, false)
      return
    }
    readBody(request, (body) => {
      record(request, requestId, account, body ?? Buffer.alloc(0))
      if (!account || accounts.isRevoked(account)) {
        counters.refusedKeys++
        const message = key === null ? 'x-api-key header is required' : 'invalid x-api-key'
        const reply = refusedKeyReply(requestId, plainError(401, message))
        sendReply(response, reply, {}, timers, () => {})
      } else if (body === null) {
        const reply = refusedKeyReply(requestId, plainError(413))
        sendReply(response, reply, {}, timers, () => {})
      } else {
        serve(askedOf(request, { body, requestId, account }), response)
      }
    })
  }

  /** A mistake of ours must not end the process that tests and demo share with the sandbox. */
  function serve(asked: Asked, response: ServerResponse): void {
    try {
      deliver(world, response, prepareAnswer(world, asked))
    } catch (error) {
      const text = `sandbox: ${error instanceof Error ? error.stack : error}`
      if (response.headersSent) response.destroy()
      else
        sendReply(
          response,
          refusedKeyReply(asked.requestId, plainError(500, text)),
          {},
          timers,
          () => {},
        )
    }
  }

  function count(response: ServerResponse): void {
    counters.requests++
    counters.inFlight++
    counters.peakInFlight = Math.max(counters.peakInFlight, counters.inFlight)
    response.on('close', () => {
      counters.inFlight--
      if (!response.headersSent) return
      const { statusCode } = response
      counters.byStatus[statusCode] = (counters.byStatus[statusCode] ?? 0) + 1
    })
  }

  function record(
    request: IncomingMessage,
    requestId: string,
    account: SandboxAccount | null,
    body: Buffer,
  ): void {
    const { method = '', url = '', rawHeaders } = request
    const item: RecordedRequest = {
      method,
      path: url,
      // Made on demand: few requests of a load test are ever looked at.
      get headers() {
        return joinHeaders(rawHeaders)
      },
      rawHeaders,
      body,
      account: account?.name ?? null,
      atMs: nowMs(),
      requestId,
    }
    requests.add(item, body.length)
  }

  const server = createServer(
    { requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 60_000, maxHeaderSize: 65_536 },
    onRequest,
  )
  const sockets = new Set<Socket>()

  // A listener of our own, so that it can stop listening while connections live on.
  function createListener(): Server {
    return createTcpServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      counters.connections++
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      server.emit('connection', socket)
    })
  }

  let listener = await listen(createListener(), options.port ?? 0, host)
  const { port } = listener.address() as AddressInfo // a TCP server that listens has one
  let isRefusing = false

  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    get accounts() {
      return accounts.all()
    },
    get requests() {
      return requests.all()
    },
    counters,
    account: (nameOrKey) => accounts.named(nameOrKey),
    setScenario: (scenario) => faults.setScenario(scenario),
    setFault(account, fault, limits) {
      const name = account === '*' ? '*' : accounts.named(account).name
      faults.set(name, typeof fault === 'string' ? parseFault(fault) : fault, limits)
    },
    clearFaults: () => faults.clear(),
    revoke: (account) => accounts.setRevoked(accounts.named(account), true),
    restore: (account) => accounts.setRevoked(accounts.named(account), false),
    async refuse(wanted) {
      if (wanted === isRefusing) return
      isRefusing = wanted
      if (wanted) {
        const closed = closeListener(listener)
        for (const socket of sockets) socket.resetAndDestroy()
        await closed
      } else {
        listener = await listen(createListener(), port, host)
      }
    },
    billed: (account) =>
      bills.list(account === undefined ? undefined : accounts.named(account).name),
    totals: (account) =>
      bills.totals(account === undefined ? undefined : accounts.named(account).name),
    forget() {
      requests.clear()
      bills.clear()
    },
    async close() {
      timers.stopAll()
      const closed = closeListener(listener)
      for (const socket of sockets) socket.destroy()
      server.close()
      await closed
    },
  }
}

function listen(listener: Server, port: number, host: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    listener.once('error', reject)
    listener.listen({ port, host, backlog: 1024 }, () => {
      listener.off('error', reject)
      resolve(listener)
    })
  })
}

function closeListener(listener: Server): Promise<void> {
  return new Promise((resolve) => {
    if (listener.listening) listener.close(() => resolve())
    else resolve()
  })
}

/** The credential of a request; with both headers the API key wins. */
function keyOf(request: IncomingMessage): string | null {
  const key = request.headers['x-api-key']
  if (typeof key === 'string') return key
  const match = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')
  return match ? match[1] : null
}

function askedOf(
  request: IncomingMessage,
  rest: Pick<Asked, 'body' | 'requestId' | 'account'>,
): Asked {
  const url = request.url ?? '/'
  const mark = url.indexOf('?')
  return {
    method: request.method ?? 'GET',
    path: mark < 0 ? url : url.slice(0, mark),
    query: new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1)),
    headers: request.headers,
    ...rest,
  }
}

/** The whole body, or null when it is larger than upstream takes (the rest is read and dropped). */
function readBody(request: IncomingMessage, done: (body: Buffer | null) => void): void {
  const chunks: Buffer[] = []
  let length = 0
  request.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length <= MAX_BODY_BYTES) chunks.push(chunk)
    else chunks.length = 0
  })
  request.on('end', () => {
    if (length > MAX_BODY_BYTES) done(null)
    else done(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks))
  })
  // A caller that leaves in the middle of its request: 'close' of the response cleans up.
  request.on('error', () => {})
}

function joinHeaders(rawHeaders: readonly string[]): { readonly [name: string]: string } {
  const headers: { [name: string]: string } = {}
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i].toLowerCase()
    headers[name] = name in headers ? `${headers[name]}, ${rawHeaders[i + 1]}` : rawHeaders[i + 1]
  }
  return headers
}
