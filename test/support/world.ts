import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { makeKeySecret } from '../../src/access/key.ts'
import type { Config } from '../../src/config/config.ts'
import { defaultConfig } from '../../src/config/config.ts'
import { createIdMaker } from '../../src/core/ids.ts'
import type { Daemon } from '../../src/daemon/serve.ts'
import { startDaemon } from '../../src/daemon/serve.ts'
import { createLog } from '../../src/observe/log.ts'
import type { Sandbox, SandboxOptions } from '../../src/sandbox/sandbox.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { createDatabase, openDaemonStore, openStore } from '../../src/store/open.ts'
import type { NewAccount, NewKey, Store, UsageRow } from '../../src/store/store.ts'
import { credentialFingerprint, initInstall } from '../../src/vault/install.ts'
import { credentialPlace, keyDigest, proxyPlace } from '../../src/vault/vault.ts'

/** What a test wants of its world; everything has a default that works. */
export interface WorldOptions {
  readonly sandbox?: SandboxOptions
  /** Names of accounts, each a sandbox account of the same name. Default: `one` and `two`. */
  readonly accounts?: readonly string[]
  readonly accountLimits?: { readonly rpmLimit?: number; readonly concurrencyLimit?: number }
  /** What is special about single accounts. */
  readonly account?: (name: string) => Partial<NewAccount>
  /** Outbound proxies of accounts by name, as whole URLs. */
  readonly proxies?: Readonly<Record<string, string>>
  readonly creditMicro?: number
  readonly key?: Partial<NewKey>
  readonly config?: (config: Config) => Config
  /** What is special about the store of each daemon. */
  readonly daemonStore?: (store: Store) => Store
}

/** A gateway with a sandbox behind it, a user `alice` with credit and a key `alice/laptop`. */
export interface World {
  readonly url: string
  readonly key: string
  readonly keyId: string
  readonly userId: string
  readonly sandbox: Sandbox
  /** The latest one started. */
  readonly daemon: Daemon
  /** A second connection, as the commands have. */
  readonly store: Store
  readonly databaseFile: string
  readonly log: string[]
  readonly accountIds: Readonly<Record<string, string>>
  /** `POST /v1/messages` with a small default body and the key. */
  post(body?: Record<string, unknown>, headers?: Record<string, string>): Promise<Response>
  wallet(): Promise<{ balanceMicro: number; heldMicro: number }>
  /** Waits until no hold is open. */
  settled(): Promise<void>
  usage(requestId: string): Promise<UsageRow>
  newKey(
    user: string,
    name: string,
    options?: Partial<NewKey> & { creditMicro?: number },
  ): Promise<string>
  /** One more daemon on the same database; it ends with the test. */
  startDaemon(): Promise<Daemon>
  /** Stops the latest daemon. */
  stop(graceMs: number): Promise<void>
  /** Stops the latest daemon and starts another; `url` and `daemon` are then those of the new one. */
  restart(): Promise<void>
}

const makeId = createIdMaker(
  (count) => crypto.getRandomValues(new Uint8Array(count)),
  () => Date.now(),
)
const BY = { actor: 'test', nowMs: Date.now() }

/** Builds a world that ends with the test. */
export async function world(t: TestContext, options: WorldOptions = {}): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'ccgate-test-'))
  const databaseFile = join(folder, 'data', 'ccgate.db')
  const names = options.accounts ?? ['one', 'two']
  const sandbox = await startSandbox({
    accounts: names.map((name) => ({ name })),
    ...options.sandbox,
  })
  await createDatabase(databaseFile)
  const opened = await openStore({ path: databaseFile, mode: 'write' })
  if (opened.kind !== 'opened') throw new Error(`store: ${opened.kind}`)
  const { store } = opened
  const install = await initInstall(store, new Uint8Array(32).fill(7))
  if (install.kind !== 'opened') throw new Error(`install: ${install.kind}`)

  const accountIds: Record<string, string> = {}
  for (const name of names) {
    const id = makeId('account')
    accountIds[name] = id
    const credential = sandbox.account(name).key
    const proxy = options.proxies?.[name]
    await store.addAccount(
      {
        id,
        name,
        provider: 'anthropic',
        baseUrl: sandbox.url,
        allowPrivate: true,
        credential: {
          sealed: install.vault.seal(credential, credentialPlace(id)),
          last4: credential.slice(-4),
          fingerprint: credentialFingerprint(credential),
        },
        priority: 1,
        weight: 1,
        rpmLimit: options.accountLimits?.rpmLimit ?? null,
        concurrencyLimit: options.accountLimits?.concurrencyLimit ?? null,
        models: ['*'],
        tpmLimit: null,
        tags: [],
        cacheScope: null,
        hours: null,
        proxy:
          proxy === undefined
            ? null
            : { sealed: install.vault.seal(proxy, proxyPlace(id)), text: 'a proxy' },
        dayCapMicro: null,
        monthCapMicro: null,
        note: null,
        disabled: false,
        ...options.account?.(name),
      },
      BY,
    )
  }

  const users = new Map<string, string>()
  async function newKey(
    user: string,
    name: string,
    extra: Partial<NewKey> & { creditMicro?: number } = {},
  ) {
    let userId = users.get(user)
    if (userId === undefined) {
      userId = makeId('user')
      users.set(user, userId)
      await store.createUser({ id: userId, name: user, email: null, note: null }, BY)
    }
    const { creditMicro = 0, ...fields } = extra
    if (creditMicro > 0) {
      await store.addCredit(
        {
          id: makeId('entry'),
          userId,
          type: 'grant',
          amountMicro: creditMicro,
          ref: null,
          note: null,
        },
        BY,
      )
    }
    const secret = makeKeySecret()
    const id = makeId('key')
    if (install.kind !== 'opened') throw new Error('unreachable')
    await store.createKey(
      {
        id,
        userId,
        name,
        digest: keyDigest(install.pepper, secret),
        last4: secret.slice(-4),
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
        ...fields,
      },
      BY,
    )
    keyIds.set(secret, id)
    return secret
  }
  const keyIds = new Map<string, string>()
  const key = await newKey('alice', 'laptop', {
    creditMicro: options.creditMicro ?? 10_000_000,
    ...options.key,
  })

  const base = defaultConfig()
  const configured: Config = {
    ...base,
    listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    store: { ...base.store, path: databaseFile },
    logging: { ...base.logging, access: 'all' },
  }
  const config = options.config?.(configured) ?? configured
  const log: string[] = []
  const running: Daemon[] = []
  async function startOne(): Promise<Daemon> {
    const daemonStore = await openDaemonStore({ path: databaseFile })
    if (daemonStore.kind !== 'opened') throw new Error(`daemon store: ${daemonStore.kind}`)
    if (install.kind !== 'opened') throw new Error('unreachable')
    const started = await startDaemon({
      config,
      store: options.daemonStore?.(daemonStore.store) ?? daemonStore.store,
      install,
      log: createLog({ level: 'debug', format: 'json', write: (line) => log.push(line) }),
      version: 'test',
    })
    running.push(started)
    return started
  }
  async function stopOne(one: Daemon, graceMs: number): Promise<void> {
    const index = running.indexOf(one)
    if (index >= 0) running.splice(index, 1)
    await one.stop(graceMs)
  }
  let daemon = await startOne()

  t.after(async () => {
    for (const one of [...running]) await stopOne(one, 0)
    await store.close()
    await sandbox.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const userId = users.get('alice') ?? ''
  return {
    get url() {
      return daemon.url
    },
    key,
    keyId: keyIds.get(key) ?? '',
    userId,
    sandbox,
    get daemon() {
      return daemon
    },
    startDaemon: startOne,
    stop: (graceMs) => stopOne(daemon, graceMs),
    async restart() {
      await stopOne(daemon, 5_000)
      daemon = await startOne()
    },
    store,
    databaseFile,
    log,
    accountIds,
    newKey,
    post: (body = {}, headers = {}) =>
      fetch(`${daemon.url}/v1/messages`, {
        method: 'POST',
        headers: {
          'x-api-key': key,
          'content-type': 'application/json',
          'anthropic-version': '2023-06-01',
          ...headers,
        },
        body: JSON.stringify({
          model: 'claude-sonnet-4-6',
          max_tokens: 100,
          messages: [{ role: 'user', content: 'Hello, world!' }],
          ...body,
        }),
      }),
    async wallet() {
      const wallet = await store.getWallet(userId)
      if (wallet === null) throw new Error('no wallet')
      return { balanceMicro: wallet.balanceMicro, heldMicro: wallet.heldMicro }
    },
    async settled() {
      for (let i = 0; i < 500; i++) {
        if ((await store.listOpenHolds()).length === 0) return
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      throw new Error('holds stay open')
    },
    async usage(requestId) {
      const row = await store.getUsage(requestId)
      if (row === null || row.kind !== 'usage') throw new Error(`no usage of ${requestId}`)
      return row
    },
  }
}
