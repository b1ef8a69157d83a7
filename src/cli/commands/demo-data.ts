import { join } from 'node:path'
import { makeKeySecret } from '../../access/key.ts'
import type { IdMaker } from '../../core/ids.ts'
import { invariant } from '../../core/invariant.ts'
import type { Sandbox } from '../../sandbox/sandbox.ts'
import { createDatabase, openDaemonStore, openStore } from '../../store/open.ts'
import type { By, Store } from '../../store/store.ts'
import { credentialFingerprint, initInstall, type OpenInstall } from '../../vault/install.ts'
import { createMasterKey, MASTER_KEY_NAME, readMasterKey } from '../../vault/master-key.ts'
import { credentialPlace, keyDigest } from '../../vault/vault.ts'

/** A database with the sandbox's accounts, a user, credit and a key: what `demo` shows. */
export interface Furnished {
  readonly store: Store
  readonly install: OpenInstall
  readonly key: string
  readonly openForDaemon: () => Promise<Store>
}

/** Makes it in `folder`, master key beside the database, so that other commands can open it too. */
export async function furnish(want: {
  readonly folder: string
  readonly databaseFile: string
  readonly sandbox: Sandbox
  readonly creditMicro: number
  readonly by: By
  readonly makeId: IdMaker
}): Promise<Furnished> {
  const { by, makeId } = want
  const created = await createDatabase(want.databaseFile)
  invariant(created.kind === 'created', 'the folder of a demo is new and empty')
  const opened = await openStore({ path: want.databaseFile, mode: 'write' })
  invariant(opened.kind === 'opened', 'a database that was just made opens')
  const { store } = opened
  createMasterKey(join(want.folder, MASTER_KEY_NAME))
  const read = readMasterKey({
    explicitFile: null,
    configFile: null,
    databaseFile: want.databaseFile,
  })
  invariant(read.kind === 'read', 'a key file that was just made can be read')
  const install = await initInstall(store, read.key)
  invariant(install.kind === 'opened', 'an install that was just made opens')

  for (const { name, key } of want.sandbox.accounts) {
    const id = makeId('account')
    await store.addAccount(
      {
        id,
        name,
        provider: 'anthropic',
        baseUrl: want.sandbox.url,
        allowPrivate: true,
        credential: {
          sealed: install.vault.seal(key, credentialPlace(id)),
          last4: key.slice(-4),
          fingerprint: credentialFingerprint(key),
        },
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
        note: 'simulated',
        disabled: false,
      },
      by,
    )
  }
  const userId = makeId('user')
  await store.createUser({ id: userId, name: 'demo', email: null, note: null }, by)
  if (want.creditMicro > 0) {
    const entry = {
      id: makeId('entry'),
      userId,
      type: 'grant',
      amountMicro: want.creditMicro,
      ref: null,
      note: 'demo',
    } as const
    await store.addCredit(entry, by)
  }
  const key = makeKeySecret()
  await store.createKey(
    {
      id: makeId('key'),
      userId,
      name: 'laptop',
      digest: keyDigest(install.pepper, key),
      last4: key.slice(-4),
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
    by,
  )
  return {
    store,
    install,
    key,
    async openForDaemon() {
      const daemonStore = await openDaemonStore({ path: want.databaseFile })
      invariant(daemonStore.kind === 'opened', 'a database that was just made opens')
      return daemonStore.store
    },
  }
}
