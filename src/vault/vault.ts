import { createCipheriv, createDecipheriv, createHmac, hash, randomBytes } from 'node:crypto'
import { invariant } from '../core/invariant.ts'
import { MASTER_KEY_BYTES } from './master-key.ts'

const FORMAT = 1
const KEY_ID_BYTES = 8
const NONCE_BYTES = 12
const TAG_BYTES = 16
const HEADER_BYTES = 1 + KEY_ID_BYTES + NONCE_BYTES

/** The cell that a sealed value belongs to; opened anywhere else, it is refused. */
export interface Place {
  readonly table: string
  readonly rowId: string
  readonly column: string
}

/** Seals and opens values under one master key. */
export interface Vault {
  /** Names the master key without telling it: 16 hex digits. */
  readonly keyId: string
  /** AES-256-GCM with a fresh 96-bit nonce, bound to the install, the place and the key's id. */
  seal(plain: Uint8Array | string, place: Place): Uint8Array
  /** The plain bytes; throws `VaultError` when the value was changed, moved or sealed by another key. */
  open(sealed: Uint8Array, place: Place): Uint8Array
}

/** A sealed value that cannot be opened here. */
export class VaultError extends Error {
  override readonly name = 'VaultError'
  readonly reason: 'wrong_key' | 'damaged'
  constructor(reason: VaultError['reason'], message: string) {
    super(message)
    this.reason = reason
  }
}

/** A vault for one install; `masterKey` is 32 bytes. */
export function createVault(setup: {
  readonly masterKey: Uint8Array
  readonly installId: string
  readonly random?: (bytes: number) => Uint8Array
}): Vault {
  invariant(setup.masterKey.length === MASTER_KEY_BYTES, 'a master key has 32 bytes')
  const random = setup.random ?? randomBytes
  const masterKey = Buffer.from(setup.masterKey)
  const keyIdBytes = createHmac('sha256', masterKey)
    .update('ccgate key id')
    .digest()
    .subarray(0, KEY_ID_BYTES)
  const keyId = keyIdBytes.toString('hex')

  function boundTo(place: Place): Buffer {
    return Buffer.from(
      JSON.stringify([setup.installId, place.table, place.rowId, place.column, keyId]),
    )
  }

  return {
    keyId,
    seal(plain, place) {
      const nonce = random(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', masterKey, nonce, { authTagLength: TAG_BYTES })
      cipher.setAAD(boundTo(place))
      const body = Buffer.concat([cipher.update(plain as Uint8Array), cipher.final()])
      return Buffer.concat([Buffer.of(FORMAT), keyIdBytes, nonce, body, cipher.getAuthTag()])
    },
    open(sealed, place) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
      if (bytes.length < HEADER_BYTES + TAG_BYTES || bytes[0] !== FORMAT) {
        throw new VaultError('damaged', 'a sealed value has an unknown form')
      }
      if (!bytes.subarray(1, 1 + KEY_ID_BYTES).equals(keyIdBytes)) {
        throw new VaultError('wrong_key', 'a sealed value belongs to another master key')
      }
      const nonce = bytes.subarray(1 + KEY_ID_BYTES, HEADER_BYTES)
      const decipher = createDecipheriv('aes-256-gcm', masterKey, nonce, {
        authTagLength: TAG_BYTES,
      })
      decipher.setAAD(boundTo(place))
      decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES))
      try {
        const body = bytes.subarray(HEADER_BYTES, bytes.length - TAG_BYTES)
        return Buffer.concat([decipher.update(body), decipher.final()])
      } catch {
        throw new VaultError('damaged', 'a sealed value was changed or moved')
      }
    },
  }
}

/**
 * The secret of the hashes that routing keeps of prompts: 16 bytes, the same as long as the pepper is. Derived,
 * so that whoever reads one of the two knows nothing of the other.
 */
export function routingSecret(pepper: Uint8Array): Uint8Array {
  const bytes = createHmac('sha256', pepper).update('ccgate routing prefixes').digest()
  return new Uint8Array(bytes.subarray(0, 16))
}

/** HMAC-SHA-256 of a key's secret under the pepper: what the store keeps instead of the secret. */
export function keyDigest(pepper: Uint8Array, secret: string): Uint8Array {
  return createHmac('sha256', pepper).update(secret).digest()
}

/**
 * The same digest for many secrets under one pepper, several times cheaper: HMAC by its definition
 * (RFC 2104), with the one-shot hash instead of a key object and a stream for each call.
 */
export function createKeyDigest(pepper: Uint8Array): (secret: string) => Buffer {
  const blockBytes = 64
  invariant(pepper.length <= blockBytes, 'a pepper fits into one block of SHA-256')
  const inner = Buffer.alloc(blockBytes + MAX_SECRET_BYTES, 0x36)
  const outer = Buffer.alloc(blockBytes + 32, 0x5c)
  for (const [i, byte] of pepper.entries()) {
    inner[i] = byte ^ 0x36
    outer[i] = byte ^ 0x5c
  }
  return (secret) => {
    const length = inner.write(secret, blockBytes, 'utf8')
    invariant(length === Buffer.byteLength(secret), 'a secret is checked for its length before')
    hash('sha256', inner.subarray(0, blockBytes + length), 'buffer').copy(outer, blockBytes)
    return hash('sha256', outer, 'buffer')
  }
}

/** Longer than any key of ours. */
const MAX_SECRET_BYTES = 128

/** Where the outbound proxy of an account lives. */
export function proxyPlace(accountId: string): Place {
  return { table: 'accounts', rowId: accountId, column: 'proxy' }
}

/** Where an account's credential lives. */
export function credentialPlace(accountId: string): Place {
  return { table: 'accounts', rowId: accountId, column: 'credential' }
}
