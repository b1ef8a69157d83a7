import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

/** Length of the master key in bytes. */
export const MASTER_KEY_BYTES = 32
/** The file's name when nobody chose another. */
export const MASTER_KEY_NAME = 'master.key'

/** Where the master key is looked for. `explicitFile` (environment or config) ends the search. */
export interface MasterKeyPlaces {
  readonly explicitFile: string | null
  readonly configFile: string | null
  readonly databaseFile: string
}

/** The key, or one sentence of what is wrong and one of what to do. */
export type MasterKeyResult =
  | {
      readonly kind: 'read'
      readonly key: Uint8Array
      readonly file: string
      /** Sentences for people: readable by others, or lying beside the data it protects. */
      readonly warnings: readonly string[]
    }
  | {
      readonly kind: 'unusable'
      readonly file: string
      readonly message: string
      readonly hint: string
    }

/** The file that holds, or will hold, the master key: the explicit one, next to the config, else next to the database. */
export function masterKeyFile(places: MasterKeyPlaces): string {
  if (places.explicitFile !== null) return places.explicitFile
  const besideDatabase = join(dirname(places.databaseFile), MASTER_KEY_NAME)
  if (places.configFile === null) return besideDatabase
  const besideConfig = join(dirname(places.configFile), MASTER_KEY_NAME)
  if (!existsSync(besideConfig) && existsSync(besideDatabase)) return besideDatabase
  return besideConfig
}

/** Reads the master key. There is no default key: an absent or odd file is `unusable`. */
export function readMasterKey(places: MasterKeyPlaces): MasterKeyResult {
  const file = masterKeyFile(places)
  const unusable = (message: string, hint: string): MasterKeyResult => ({
    kind: 'unusable',
    file,
    message,
    hint,
  })
  let text: string
  let mode: number
  try {
    const fd = openSync(file, 'r')
    try {
      mode = fstatSync(fd).mode & 0o777
      text = readFileSync(fd, 'utf8')
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT') {
      return unusable(
        `The master key ${file} is missing, and stored account keys cannot be read without it.`,
        'Put the file back from your backup, or name it in CCGATE_MASTER_KEY_FILE.',
      )
    }
    return unusable(
      `The master key ${file} cannot be read (${code ?? 'unknown error'}).`,
      'Check its owner and mode (0600), or try with sudo.',
    )
  }
  const key = decodeMasterKey(text)
  if (key === null) {
    return unusable(
      `The master key ${file} does not hold ${MASTER_KEY_BYTES} bytes as hex or base64.`,
      'Put the file back from your backup; a file made by hand: openssl rand -hex 32',
    )
  }
  // Secrets that a service manager mounts (Docker: 0444) are named explicitly and may be readable.
  if ((mode & 0o022) !== 0 || ((mode & 0o077) !== 0 && places.explicitFile === null)) {
    return unusable(
      `The master key ${file} can be opened by other users (mode ${mode.toString(8).padStart(4, '0')}).`,
      `Close it: chmod 600 ${file}`,
    )
  }
  const warnings: string[] = []
  if ((mode & 0o077) !== 0)
    warnings.push(`The master key ${file} can be read by other users. Close it: chmod 600 ${file}`)
  const explicitOrConfig = places.explicitFile ?? places.configFile
  if (
    dirname(file) === dirname(places.databaseFile) &&
    (explicitOrConfig === null || dirname(explicitOrConfig) !== dirname(file))
  ) {
    warnings.push(
      `The master key ${file} lies beside the database: who copies the folder can read the account keys.`,
    )
  }
  return { kind: 'read', key, file, warnings }
}

/** Makes a new key file with mode 0600 (folders 0700), durable on return; `exists` leaves the old one alone. */
export function createMasterKey(
  file: string,
  random: (bytes: number) => Uint8Array = randomBytes,
): 'created' | 'exists' {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  let fd: number
  try {
    fd = openSync(file, 'wx', 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return 'exists'
    throw error
  }
  try {
    fchmodSync(fd, 0o600)
    writeSync(fd, `${Buffer.from(random(MASTER_KEY_BYTES)).toString('hex')}\n`)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  return 'created'
}

/** 32 bytes from hex or base64 text (either alphabet, padding optional); null when it is something else. */
export function decodeMasterKey(text: string): Uint8Array | null {
  const trimmed = text.trim()
  if (/^[0-9a-f]{64}$/i.test(trimmed)) return Buffer.from(trimmed, 'hex')
  if (/^[\w+/-]{43}=?$/.test(trimmed)) {
    const bytes = Buffer.from(trimmed, 'base64')
    if (bytes.length === MASTER_KEY_BYTES) return bytes
  }
  return null
}
