import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { FailureCounter } from '../access/failures.ts'
import { Keyring } from '../access/keyring.ts'
import { priceTableWith } from '../billing/price-changes.ts'
import type { PriceTable } from '../billing/price-table.ts'
import { BUILT_IN_PRICES } from '../billing/prices.ts'
import type { Config } from '../config/config.ts'
import { defaultConfig } from '../config/config.ts'
import type { Clock } from '../core/clock.ts'
import { createIdMaker } from '../core/ids.ts'
import type { Gateway } from '../gateway/gateway.ts'
import { RecordingSpace } from '../gateway/recording.ts'
import { createRouting } from '../gateway/routing.ts'
import { Runs } from '../gateway/runs.ts'
import { ThinHolds } from '../gateway/thin-holds.ts'
import type { Log } from '../observe/log.ts'
import { AccountCaps } from '../pool/account-caps.ts'
import type { LiveAccount } from '../pool/pool.ts'
import { Pool } from '../pool/pool.ts'
import { Connections } from '../providers/http.ts'
import { clientAddress } from '../server/client-address.ts'
import type { ServerContext } from '../server/context.ts'
import { createListener } from '../server/listen.ts'
import type { AccountCredential, PriceChange, Store } from '../store/store.ts'
import type { OpenInstall } from '../vault/install.ts'
import {
  createKeyDigest,
  credentialPlace,
  type Place,
  proxyPlace,
  routingSecret,
} from '../vault/vault.ts'
import { writeConfiguredPrices } from './configured-prices.ts'
import { restoreLearned, saveLearned } from './learned-figures.ts'
import { addressText, listenAt } from './listen-at.ts'
import { type MetricsEndpoint, serveMetrics } from './metrics-server.ts'
import { Prober } from './prober.ts'
import { ownProcess } from './process-id.ts'
import { checkLedger, Reaper, recoverOrphans } from './reaper.ts'
import { restoreAffinity, restoreHeadroom, saveAffinity } from './routing-memory.ts'
import { Watch } from './watch.ts'

/** What a daemon is made of; the CLI opens these and explains what cannot be opened. */
export interface DaemonParts {
  readonly config: Config
  readonly store: Store
  readonly install: OpenInstall
  readonly log: Log
  readonly version: string
  readonly demo?: boolean
}

/** A running daemon. */
export interface Daemon {
  /** Where it listens: `127.0.0.1:8787` or a socket's path. */
  readonly address: string
  /** For clients on this machine: `http://127.0.0.1:8787`. */
  readonly url: string
  /** Where metrics can be read, as `address`; null: nowhere. */
  readonly metricsAddress: string | null
  readonly counts: { readonly accounts: ReturnType<Pool['counts']>; readonly activeKeys: number }
  readonly inFlight: () => number
  /** The money invariant that broke: nothing is admitted until a person looked; null when all is well. */
  readonly stoppedBecause: () => Error | null
  /** Tells the daemon that the store is full or has room again. */
  readonly storageFull: (isFull: boolean) => void
  /** Stops admitting, waits for running exchanges up to `graceMs`, settles the rest, closes the store. */
  readonly stop: (graceMs: number) => Promise<void>
  /** Cuts running exchanges now; a stop under way then ends at once. */
  readonly cut: () => void
}

/** How long clients may take to read that their request was cut. */
const LAST_WORDS_MS = 1_000
/** A settlement that waits for the store gets one more try after the cut. */
const LAST_SETTLE_MS = 1_500
const STOP_POLL_MS = 20

const systemClock: Clock = { nowMs: () => Date.now(), monotonicMs: () => performance.now() }

/**
 * Starts everything in the one right order: boot row, recovery, ledger check, accounts and keys, and only
 * then the listener. Throws `VaultError` when a stored credential cannot be opened, `ListenError` when the
 * address cannot be had.
 */
export async function startDaemon(parts: DaemonParts): Promise<Daemon> {
  const { config, store, install, log } = parts
  const makeId = createIdMaker(pooledRandom(), () => Date.now())
  const bootId = makeId('boot')
  let stopped: 'draining' | 'storage_full' | 'store_unavailable' | null = null
  let stoppedBecause: Error | null = null
  let isFull = false

  const { timeZone } = config
  const caps = new AccountCaps({ timeZone, nowMs: Date.now() })
  const pool = new Pool({
    clock: systemClock,
    random: Math.random,
    policy: config.cooldown,
    timeZone,
  })
  const connections = new Connections({
    connectMs: config.upstream.timeouts.connectMs,
    keepAliveMs: config.upstream.pool.keepAliveMs,
    connectionsPerAccount: config.upstream.pool.connectionsPerAccount,
    proxy: config.upstream.proxy,
  })
  const routing = createRouting({
    hashSecret: routingSecret(install.pepper),
    random: Math.random,
    pool,
    queue: config.queue,
    retry: config.retry,
    clock: systemClock,
  })
  await restoreAffinity(store, routing.affinity)
  let metrics: MetricsEndpoint | null = null
  // Replaced as a whole when somebody changed prices; an exchange keeps the table of its admission.
  let prices: PriceTable = BUILT_IN_PRICES
  const gateway: Gateway = {
    store,
    pool,
    caps,
    thinHolds: new ThinHolds(),
    routing,
    connections,
    learned: await restoreLearned(store),
    get prices() {
      return prices
    },
    clock: systemClock,
    log,
    bootId,
    policy: {
      defaults: { anthropicVersion: config.upstream.anthropicVersion },
      maxAttempts: config.retry.maxAttempts,
      ...config.upstream.timeouts,
      ...config.streams,
      access: config.logging.access,
      hold: config.billing.hold,
      holdStepTokens: config.billing.holdStepTokens,
      markup: config.billing.markup,
      onDisconnect: config.billing.onDisconnect,
      timeZone,
      translation: { settings: config.openAi, modelMap: config.models.openAiNames },
    },
    contact: { publicUrl: config.publicUrl, supportEmail: supportOf(config) },
    running: new Set(),
    late: new Set(),
    get metrics() {
      return metrics?.counts ?? null
    },
    runs: new Runs(),
    recordings: new RecordingSpace(),
    refusals: { second: 0, seen: new Set() },
    stopAdmission(cause) {
      stopped ??= 'store_unavailable'
      stoppedBecause ??= cause
      log.fatal({ err: cause }, 'admission.stopped')
    },
  }

  await store.addBoot({
    id: bootId,
    ...ownProcess(),
    version: parts.version,
    listen: addressText(config.listen),
    publicUrl: config.publicUrl,
    demo: parts.demo ?? false,
    startedAtMs: Date.now(),
    heartbeatAtMs: Date.now(),
    state: 'serving',
  })
  await recoverOrphans(gateway)
  await checkLedger(gateway)

  const keyring = new Keyring()
  const openText = (sealed: Uint8Array, place: Place) =>
    Buffer.from(install.vault.open(sealed, place)).toString('utf8')
  const open = ({ account, sealed, sealedProxy }: AccountCredential): LiveAccount => ({
    account,
    credential: openText(sealed, credentialPlace(account.id)),
    proxy: sealedProxy === null ? null : openText(sealedProxy, proxyPlace(account.id)),
  })
  const by = { actor: 'config', nowMs: Date.now() }
  await writeConfiguredPrices(store, config.models, { by, log })
  const onPrices = (changes: readonly PriceChange[]) => {
    prices = priceTableWith(BUILT_IN_PRICES, changes, config.models.lists)
  }
  const watch = new Watch({ store, keyring, pool, caps, connections, open, onPrices })
  await watch.refresh()
  await restoreHeadroom(store, pool)

  const context: ServerContext = {
    gateway,
    gate: {
      keyring,
      failures: new FailureCounter(),
      digest: createKeyDigest(install.pepper),
    },
    makeRequestId: () => makeId('request'),
    clientAddress: clientAddress(config.trustedProxies),
    maxBodyBytes: config.limits.maxBodyBytes,
    headersTimeoutMs: config.limits.headersTimeoutMs,
    hasOpenAi: config.openAi.enabled,
    demo: parts.demo ?? false,
    refresh: () => watch.refresh(),
    closed: () => stopped ?? (isFull ? 'storage_full' : null),
  }
  const server = createListener(context)
  if (config.metricsListen !== null)
    metrics = await serveMetrics(gateway, config.metricsListen, () => context.closed() === null)
  const address = await listenAt(server, config.listen).catch(async (error) => {
    await metrics?.close()
    throw error
  })
  const reaper = new Reaper(gateway, new Prober(gateway, config.cooldown.probeEveryMs))
  reaper.start()

  let requests = 0
  server.on('request', (_request, response) => {
    requests++
    response.once('close', () => requests--)
  })

  let isCut = false
  let lastSettleMs = Number.POSITIVE_INFINITY
  const cut = () => {
    isCut = true
    lastSettleMs = Math.min(lastSettleMs, performance.now() + LAST_SETTLE_MS)
    for (const exchange of [...gateway.running]) exchange.cut()
    // They end with an error that clients understand; who does not read it has had the time to.
    setTimeout(() => server.closeAllConnections(), LAST_WORDS_MS).unref()
  }

  return {
    address,
    url: address.startsWith('/')
      ? `unix:${address}`
      : `http://${address.replace(/^0\.0\.0\.0|^\[::\]/, '127.0.0.1')}`,
    metricsAddress: metrics?.address ?? null,
    counts: {
      get accounts() {
        return pool.counts()
      },
      get activeKeys() {
        return keyring.activeCount(Date.now())
      },
    },
    inFlight: () => requests,
    stoppedBecause: () => stoppedBecause,
    storageFull(full) {
      isFull = full
    },
    cut,
    async stop(graceMs) {
      stopped = 'draining'
      await reaper.mark('draining').catch(() => {})
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      const overdue = setTimeout(cut, graceMs)
      const idle = setInterval(() => {
        server.closeIdleConnections()
        // What was still sending its body when all was cut has begun since.
        if (isCut) for (const exchange of [...gateway.running]) exchange.cut()
      }, 100)
      await closed
      // A client that left may have left an answer behind that is still read to its end, and billed.
      while (gateway.running.size > 0) await sleep(STOP_POLL_MS)
      // Nor may a settlement be lost that the disk had no room for; the next start would give it away.
      while (gateway.late.size > 0 && performance.now() < lastSettleMs) await sleep(STOP_POLL_MS)
      clearTimeout(overdue)
      clearInterval(idle)
      reaper.stop()
      await reaper.save().catch(() => {})
      await saveLearned(store, gateway.learned).catch(() => {})
      await saveAffinity(store, routing.affinity).catch(() => {})
      await reaper.mark('stopped').catch(() => {})
      await metrics?.close()
      await connections.destroy()
      await store.close()
    },
  }
}

/** Random bytes from a block drawn in advance: one system call for hundreds of ids. */
/** Whom customers may ask: the address that comes with the example is nobody's. */
function supportOf({ supportEmail }: Config): string {
  return supportEmail === defaultConfig().supportEmail ? 'whoever gave you the key' : supportEmail
}

function pooledRandom(): (count: number) => Uint8Array {
  let pool = Buffer.alloc(0)
  let used = 0
  return (count) => {
    if (used + count > pool.length) {
      pool = randomBytes(8_192)
      used = 0
    }
    used += count
    return pool.subarray(used - count, used)
  }
}
