/** What all recordings of streams may keep together, and each of them. */
const MOST_BYTES = 64 * 1024 * 1024
const MOST_OF_ONE = 2 * 1024 * 1024

/** The memory that recordings share. */
export class RecordingSpace {
  #bytes = 0

  /** A new recording; null while the space is used up. */
  begin(): Recording | null {
    return this.#bytes < MOST_BYTES ? new Recording(this) : null
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Only for its recordings: takes so much more, or gives it back. */
  change(bytes: number): boolean {
    if (bytes > 0 && this.#bytes + bytes > MOST_BYTES) return false
    this.#bytes += bytes
    return true
  }
}

/** A stream from its beginning, as a client that comes later can still get it; lost once it is too long. */
export class Recording {
  readonly #space: RecordingSpace
  #chunks: Buffer[] | null = []
  #bytes = 0

  constructor(space: RecordingSpace) {
    this.#space = space
  }

  add(chunk: Buffer): void {
    if (this.#chunks === null) return
    if (this.#bytes + chunk.length > MOST_OF_ONE || !this.#space.change(chunk.length)) {
      this.drop()
      return
    }
    this.#bytes += chunk.length
    this.#chunks.push(chunk)
  }

  /** All of it so far; null when it was too long. */
  get chunks(): readonly Buffer[] | null {
    return this.#chunks
  }

  /** Gives the memory back; what was handed out stays with whom it was given to. */
  drop(): void {
    this.#chunks = null
    this.#space.change(-this.#bytes)
    this.#bytes = 0
  }
}
