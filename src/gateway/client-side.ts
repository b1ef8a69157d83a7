import type { GatewayError } from '../core/errors.ts'
import type { WireError } from '../dialects/dialect.ts'
import type { StreamHead } from './client-stream.ts'

/** What the server does for the pipeline: it knows the client's side of HTTP. */
export interface ClientSide {
  /** Our own headers for the answer: the key's limits and what its format wants, flat. */
  readonly ownHeaders: () => readonly string[]
  /** Throws 429 where a request was let in only to join a run; it has found none. */
  readonly requireSlot: () => Promise<void>
  /** An error as the dialects render it, inside an answer. */
  readonly describe: (error: GatewayError) => WireError
  /** Writes the whole of an error answer about what has begun, and what that cost where it is known. */
  readonly replyError: (error: GatewayError, cost: StreamHead['cost']) => void
  /** Ends a stream in which no answer has begun with what was thrown. */
  readonly endStream: (error: unknown) => void
}
