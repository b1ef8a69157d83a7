import type { GatewayError } from '../core/errors.ts'
import type { TranslatedError } from '../dialects/dialect.ts'
import type { ChunkPart } from './attempt.ts'
import type { ClientStream } from './client-stream.ts'
import type { Closed } from './settle.ts'

/** Makes of upstream's stream what its client gets. */
export interface AnswerWriter {
  /** `part` tells what of the chunk has to wait for `release`. */
  take(chunk: Buffer, part: ChunkPart): void
  /** The answer is whole, and paid for. */
  release(closed: Closed): void
  /** It ends here; null: upstream has said why, or nobody is there. `closed`: what it cost, where that is known. */
  endWith(error: GatewayError | null, closed: Closed | null): void
  /** Why no answer can be made of what came; null where one can. */
  readonly failure: TranslatedError | null
  /** What upstream wants to go on with; null where it has not paused, or the client itself goes on. */
  pausedContent(): readonly unknown[] | null
  /** Called every few seconds with the monotonic time. */
  tick(nowMs: number): void
}

/** For clients of upstream's own format: its bytes are the answer. */
export function passingWriter(
  client: ClientStream,
  renderError: (error: GatewayError) => string,
): AnswerWriter {
  return {
    take: (chunk, part) => client.take(chunk, part),
    release: () => client.release(),
    endWith: (error) => client.endWith(error === null ? null : Buffer.from(renderError(error))),
    pausedContent: () => null,
    failure: null,
    // Upstream sends its own pings, and they pass.
    tick: () => {},
  }
}
