import Sqlite from 'better-sqlite3'
import { Keyring, type LiveKey } from '../../src/access/keyring.ts'
import { Learned } from '../../src/billing/learned.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import { defaultConfig } from '../../src/config/config.ts'
import { GatewayError } from '../../src/core/errors.ts'
import { createIdMaker } from '../../src/core/ids.ts'
import { anthropic } from '../../src/dialects/anthropic/index.ts'
import type { Gateway } from '../../src/gateway/gateway.ts'
import { runInference } from '../../src/gateway/pipeline.ts'
import { RecordingSpace } from '../../src/gateway/recording.ts'
import { createRouting } from '../../src/gateway/routing.ts'
import { Runs } from '../../src/gateway/runs.ts'
import { ThinHolds } from '../../src/gateway/thin-holds.ts'
import { createLog } from '../../src/observe/log.ts'
import { AccountCaps } from '../../src/pool/account-caps.ts'
import { Pool } from '../../src/pool/pool.ts'
import { wireError } from '../../src/server/reply.ts'
import { createLocalStore } from '../../src/store/sqlite/local-store.ts'
import { migrate } from '../../src/store/sqlite/migrations.ts'
import { type Store, StoreError } from '../../src/store/store.ts'
import { SimulatedClient } from './client.ts'
import { Disk } from './disk.ts'
import { SimulatedUpstream } from './upstream.ts'
import type { VirtualTime } from './virtual-time.ts'

/** What one request was, for the audit of its end. */
export interface Sent {
  readonly requestId: string
  readonly userId: string
  readonly client: SimulatedClient
  readonly stream: boolean
  /** The process that took it has died before its end. */
  isOrphan: boolean
  isOver: boolean
  /** What the gateway threw instead of an answer. */
  error: unknown
}

/** The whole gateway in one thread: real code from the pipeline to SQLite, everything around it simulated. */
export class SimulatedWorld {
  readonly upstream: SimulatedUpstream
  /** The file: it outlives every process. */
  readonly store: Store
  readonly sent: Sent[] = []
  readonly userIds: string[] = []
  readonly keyIds: string[] = []
  gateway!: Gateway
  disk!: Disk
  /** Money invariants that broke inside the gateway. */
  readonly broken: string[] = []
  readonly #time: VirtualTime
  readonly #random: () => number
  readonly #db: Sqlite.Database
  readonly #makeId: ReturnType<typeof createIdMaker>
  readonly #keyring = new Keyring()

  constructor(time: VirtualTime, random: () => number) {
    this.#time = time
    this.#random = random
    this.upstream = new SimulatedUpstream(time, random)
    this.#db = new Sqlite(':memory:')
    migrate(this.#db)
    this.#db.pragma('foreign_keys = ON')
    this.store = createLocalStore(this.#db, () => time.nowMs())
    this.#makeId = createIdMaker(
      (count) => Uint8Array.from({ length: count }, () => Math.floor(random() * 256)),
      () => time.nowMs(),
    )
  }

  get by() {
    return { actor: 'test', nowMs: this.#time.nowMs() }
  }

  id(kind: 'user' | 'key' | 'account' | 'entry'): string {
    return this.#makeId(kind)
  }

  async open(): Promise<void> {
    for (const name of ['alice', 'bob']) {
      const userId = this.id('user')
      await this.store.createUser({ id: userId, name, email: null, note: null }, this.by)
      this.userIds.push(userId)
      for (const key of ['one', 'two']) this.keyIds.push(await this.#createKey(userId, key))
    }
    for (const name of ['main', 'spare', 'third']) {
      await this.store.addAccount(
        {
          id: this.id('account'),
          name,
          provider: 'anthropic',
          baseUrl: 'https://upstream.example',
          allowPrivate: false,
          credential: { sealed: new Uint8Array([1]), last4: 'last', fingerprint: '000000' },
          priority: 1,
          weight: 1,
          rpmLimit: null,
          concurrencyLimit: null,
          models: ['*'],
          tpmLimit: null,
          tags: [],
          cacheScope: null,
          hours: null,
          proxy: null,
          dayCapMicro: null,
          monthCapMicro: null,
          note: null,
          disabled: false,
        },
        this.by,
      )
    }
    await this.start()
  }

  /** A process begins: recovery first, as the daemon does it. */
  async start(): Promise<void> {
    const bootId = this.#makeId('boot')
    const boots = await this.store.listBoots()
    await this.store.addBoot({
      id: bootId,
      pid: 1,
      pidStartedAt: null,
      pidSpace: null,
      version: 'test',
      listen: 'nowhere',
      publicUrl: 'http://test',
      demo: false,
      startedAtMs: this.#time.nowMs(),
      heartbeatAtMs: this.#time.nowMs(),
      state: 'serving',
    })
    await this.store.recoverHolds(
      boots.map((boot) => boot.id),
      this.#time.nowMs(),
    )
    this.disk = new Disk(this.#time, this.#random)
    this.gateway = this.#gatewayOf(bootId)
    await this.reload()
    const { gateway } = this
    // What the daemon's clockwork does for running exchanges.
    this.#time.after(
      5_000,
      () => {
        for (const exchange of [...gateway.running]) exchange.tick(this.#time.monotonicMs)
      },
      5_000,
    )
  }

  /** The process dies: timers, sockets and memory are gone, the file stays. */
  async crash(): Promise<void> {
    this.disk.kill()
    for (const sent of this.sent) {
      if (sent.isOver) continue
      sent.isOrphan = true
      sent.isOver = true
    }
    this.#time.forgetAll()
    await this.start()
  }

  /** Keys and accounts as the store has them now. */
  async reload(): Promise<void> {
    this.#keyring.reload(await this.store.loadKeys())
    const accounts = await this.store.loadAccounts()
    this.gateway.pool.reload(
      accounts.map(({ account }) => ({ account, credential: 'secret', proxy: null })),
      [],
    )
  }

  /** Sends one request; it runs on while time passes. */
  async send(keyIndex: number, body: Record<string, unknown>): Promise<void> {
    const live = await this.#liveKey(this.keyIds[keyIndex] as string) // the index is one of the keys
    const client = new SimulatedClient()
    const bytes = Buffer.from(JSON.stringify(body))
    const requestId = this.#makeId('request')
    const sent: Sent = {
      requestId,
      userId: live.key.userId,
      client,
      stream: body.stream === true,
      isOrphan: false,
      isOver: false,
      error: null,
    }
    this.sent.push(sent)
    const call = {
      requestId,
      live,
      dialect: anthropic,
      target: '/v1/messages',
      rawHeaders: ['content-type', 'application/json'],
      response: client.response,
      clientIp: null,
      clientAgent: null,
      arrivedAtMs: this.#time.nowMs(),
      arrivedMs: this.#time.monotonicMs,
      clientTimeoutMs: null,
      isRetry: this.#random() < 0.1,
    }
    runInference(this.gateway, call, bytes, {
      ownHeaders: () => [],
      requireSlot: async () => {},
      describe: (error) => wireError(error, requestId, this.gateway.contact, 'stream'),
      replyError: () => {},
      endStream: (error) => {
        if (!(error instanceof GatewayError || error instanceof StoreError))
          this.broken.push(`${requestId}: ${String(error)}`)
        client.end('event: error\ndata: {"type":"error"}\n\n')
      },
    }).then(
      () => {
        sent.isOver = true
      },
      (error: unknown) => {
        sent.isOver = true
        sent.error = error
        const isTold = error instanceof GatewayError || error instanceof StoreError
        if (!isTold) this.broken.push(`${requestId}: ${String(error)}`)
        // The server answers an error of its own.
        if (!client.headersSent) client.writeHead(isTold ? 503 : 500).end()
      },
    )
  }

  close(): void {
    this.#db.close()
  }

  async #liveKey(keyId: string): Promise<LiveKey> {
    const credential = (await this.store.loadKeys()).find(({ key }) => key.id === keyId)
    const live = this.#keyring.find(Buffer.from(credential?.digest ?? []))
    if (live === null) throw new RangeError(`no key ${keyId}`)
    return live
  }

  async #createKey(userId: string, name: string): Promise<string> {
    const id = this.id('key')
    await this.store.createKey(
      {
        id,
        userId,
        name,
        digest: Buffer.from(id),
        last4: 'last',
        rpmLimit: null,
        concurrencyLimit: null,
        models: ['*'],
        spendLimit: null,
        accountTags: null,
        burnLimitMicro: null,
        markup: null,
        onDisconnect: null,
        note: null,
        expiresAtMs: null,
      },
      this.by,
    )
    return id
  }

  #gatewayOf(bootId: string): Gateway {
    const clock = { nowMs: () => this.#time.nowMs(), monotonicMs: () => this.#time.monotonicMs }
    const config = defaultConfig()
    const pool = new Pool({ clock, random: this.#random, policy: config.cooldown })
    const { queue, retry } = config
    const hashSecret = new Uint8Array(16)
    return {
      store: this.disk.over(this.store),
      pool,
      routing: createRouting({ hashSecret, random: this.#random, pool, queue, retry, clock }),
      thinHolds: new ThinHolds(),
      caps: new AccountCaps({ timeZone: 'UTC', nowMs: clock.nowMs() }),
      connections: this.upstream.connections,
      prices: BUILT_IN_PRICES,
      learned: new Learned(),
      clock,
      log: createLog({ level: 'error', format: 'json', write: () => {} }),
      policy: {
        defaults: { anthropicVersion: '2023-06-01' },
        maxAttempts: 3,
        ...config.upstream.timeouts,
        earlyPingMs: this.#random() < 0.5 ? 5_000 : null,
        hold: 'progressive',
        holdStepTokens: 4_096,
        markup: [1, 1],
        onDisconnect: { kind: 'cancel' },
        timeZone: 'UTC',
        translation: { settings: config.openAi, modelMap: {} },
        access: 'off',
      },
      bootId,
      contact: { publicUrl: 'http://test', supportEmail: 'a@example.com' },
      running: new Set(),
      late: new Set(),
      metrics: null,
      runs: new Runs(),
      recordings: new RecordingSpace(),
      refusals: { second: 0, seen: new Set() },
      stopAdmission: (cause) => this.broken.push(`admission stopped: ${cause.message}`),
    }
  }
}
