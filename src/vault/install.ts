import { createHash, randomBytes } from 'node:crypto'
import { createVault, type Place, type Vault, VaultError } from './vault.ts'

type Name = 'install_id' | 'pepper_sealed' | 'master_key_id'

/** The part of the store's port that an install needs. */
export interface InstallMeta {
  getMeta(name: Name): Promise<Uint8Array | null>
  putMeta(name: Name, value: Uint8Array): Promise<void>
}

/** An install's secrets, opened. */
export interface OpenInstall {
  readonly installId: string
  readonly vault: Vault
  /** Key of the digests of customers' keys; random, sealed in the database, so the master key can change. */
  readonly pepper: Uint8Array
}

export type InstallResult =
  | ({ readonly kind: 'opened' } & OpenInstall)
  /** The database has no install id yet: `ccgate init` writes it. */
  | { readonly kind: 'not_initialised' }
  | { readonly kind: 'wrong_master_key'; readonly message: string; readonly hint: string }

const PEPPER_PLACE: Place = { table: 'meta', rowId: 'pepper_sealed', column: 'value' }

/** Opens what `initInstall` wrote; `wrong_master_key` when `masterKey` is not the one that sealed it. */
export async function openInstall(
  meta: InstallMeta,
  masterKey: Uint8Array,
): Promise<InstallResult> {
  const idBytes = await meta.getMeta('install_id')
  const sealed = await meta.getMeta('pepper_sealed')
  if (idBytes === null || sealed === null) return { kind: 'not_initialised' }
  const installId = Buffer.from(idBytes).toString('utf8')
  const vault = createVault({ masterKey, installId })
  try {
    return { kind: 'opened', installId, vault, pepper: vault.open(sealed, PEPPER_PLACE) }
  } catch (error) {
    if (!(error instanceof VaultError)) throw error
    return {
      kind: 'wrong_master_key',
      message:
        error.reason === 'wrong_key'
          ? 'The master key does not belong to this database.'
          : 'The sealed values of this database are damaged or were copied from another install.',
      hint: 'Use the master key that was made with this database (CCGATE_MASTER_KEY_FILE names another file).',
    }
  }
}

/** Writes install id and pepper where they are missing, then opens them. Safe to repeat. */
export async function initInstall(
  meta: InstallMeta,
  masterKey: Uint8Array,
): Promise<InstallResult> {
  let idBytes = await meta.getMeta('install_id')
  if (idBytes === null) {
    await meta.putMeta('install_id', Buffer.from(`inst_${randomBytes(16).toString('hex')}`))
    idBytes = await meta.getMeta('install_id')
  }
  if (idBytes !== null && (await meta.getMeta('pepper_sealed')) === null) {
    const vault = createVault({ masterKey, installId: Buffer.from(idBytes).toString('utf8') })
    await meta.putMeta('pepper_sealed', vault.seal(randomBytes(32), PEPPER_PLACE))
    await meta.putMeta('master_key_id', Buffer.from(vault.keyId))
  }
  return openInstall(meta, masterKey)
}

/** First 6 hex digits of a credential's SHA-256: tells two apart without showing either. */
export function credentialFingerprint(credential: string): string {
  return createHash('sha256').update(credential).digest('hex').slice(0, 6)
}
