// A file beside the database, as large as it will ever be, for settlements that a full disk has no room for.
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { crc32 } from 'node:zlib'
import { invariant } from '../../core/invariant.ts'

/** Room for some ten thousand settlements. */
export const SPOOL_BYTES = 16 * 1_048_576

// Layout: 16 bytes of header (magic, epoch), then entries: length, checksum, text. The checksum covers the
// epoch too, so a new epoch forgets all entries without their bytes being touched.
const MAGIC = Buffer.from('ccspool1')
const HEADER_BYTES = 16
const ENTRY_HEADER_BYTES = 8

/** Where the spool of a database is. */
export function spoolPath(database: string): string {
  return `${database}.spool`
}

/** Makes the spool while there is room, its blocks allocated; does nothing when it is there. */
export function createSpool(database: string): void {
  const path = spoolPath(database)
  if (existsSync(path)) return
  const draft = `${path}.new`
  try {
    const handle = openSync(draft, 'w', 0o600)
    try {
      const zeros = Buffer.alloc(1_048_576)
      for (let at = 0; at < SPOOL_BYTES; at += zeros.length)
        writeSync(handle, zeros, 0, zeros.length, at)
      writeSync(handle, headerOf(1), 0, HEADER_BYTES, 0)
      fdatasyncSync(handle)
    } finally {
      closeSync(handle)
    }
    renameSync(draft, path)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
}

/** The spool of a database; without the file it is empty and takes nothing. */
export class Spool {
  readonly #path: string
  #handle: number | null = null
  #epoch = 0
  #endBytes = HEADER_BYTES

  constructor(database: string) {
    this.#path = spoolPath(database)
  }

  get isEmpty(): boolean {
    return this.#endBytes === HEADER_BYTES
  }

  /** What was appended and not forgotten, oldest first. Reads the file: what counts is what is there. */
  load(): readonly string[] {
    this.#endBytes = HEADER_BYTES
    return this.#open() ? this.#catchUp() : []
  }

  /** Appends all entries durably, or none; false when there is no file, no room, or the disk refuses. */
  append(entries: readonly string[]): boolean {
    if (!this.#open() || this.#handle === null) return false
    // An old process that is draining has the same spool.
    this.#catchUp()
    const bytes = Buffer.concat(entries.map((text) => entryOf(text, this.#epoch)))
    // One more header's room: the zero length that ends the list.
    if (this.#endBytes + bytes.length + ENTRY_HEADER_BYTES > SPOOL_BYTES) return false
    try {
      this.#write(Buffer.concat([bytes, Buffer.alloc(ENTRY_HEADER_BYTES)]), this.#endBytes)
      fdatasyncSync(this.#handle)
    } catch {
      // What did reach the disk must not count either: it was not acknowledged.
      this.#endAt(this.#endBytes)
      return false
    }
    this.#endBytes += bytes.length
    return true
  }

  /** Forgets everything, durably. */
  clear(): void {
    if (this.#handle === null) return
    this.#readEpoch()
    this.#epoch += 1
    this.#write(headerOf(this.#epoch), 0)
    fdatasyncSync(this.#handle)
    this.#endBytes = HEADER_BYTES
  }

  close(): void {
    if (this.#handle !== null) closeSync(this.#handle)
    this.#handle = null
  }

  #open(): boolean {
    if (this.#handle !== null) return true
    if (!existsSync(this.#path)) return false
    this.#handle = openSync(this.#path, 'r+')
    if (this.#readEpoch()) return true
    this.close()
    return false
  }

  /** False when the file is none of ours. */
  #readEpoch(): boolean {
    const header = this.#read(0, HEADER_BYTES)
    const epoch = header.readUInt32LE(MAGIC.length)
    if (epoch !== this.#epoch) this.#endBytes = HEADER_BYTES
    this.#epoch = epoch
    return header.subarray(0, MAGIC.length).equals(MAGIC)
  }

  /** The entries from the end that is known to the end that there is. */
  #catchUp(): string[] {
    this.#readEpoch()
    const entries: string[] = []
    for (;;) {
      const header = this.#read(this.#endBytes, ENTRY_HEADER_BYTES)
      const length = header.readUInt32LE(0)
      const start = this.#endBytes + ENTRY_HEADER_BYTES
      if (length === 0 || start + length > SPOOL_BYTES) return entries
      const text = this.#read(start, length)
      if (header.readUInt32LE(4) !== crc32(text, this.#epoch)) return entries
      entries.push(text.toString('utf8'))
      this.#endBytes = start + length
    }
  }

  #endAt(bytes: number): void {
    try {
      this.#write(Buffer.alloc(ENTRY_HEADER_BYTES), bytes)
    } catch {
      // The disk takes nothing at all: then it took nothing of the entries either.
    }
  }

  #read(at: number, length: number): Buffer {
    invariant(this.#handle !== null, 'only an open spool is read')
    const bytes = Buffer.alloc(length)
    readSync(this.#handle, bytes, 0, length, at)
    return bytes
  }

  #write(bytes: Buffer, at: number): void {
    invariant(this.#handle !== null, 'only an open spool is written')
    const written = writeSync(this.#handle, bytes, 0, bytes.length, at)
    if (written !== bytes.length) throw new Error('the spool took only a part')
  }
}

function headerOf(epoch: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  MAGIC.copy(header)
  header.writeUInt32LE(epoch, MAGIC.length)
  return header
}

function entryOf(text: string, epoch: number): Buffer {
  const body = Buffer.from(text, 'utf8')
  const header = Buffer.alloc(ENTRY_HEADER_BYTES)
  header.writeUInt32LE(body.length, 0)
  header.writeUInt32LE(crc32(body, epoch), 4)
  return Buffer.concat([header, body])
}
