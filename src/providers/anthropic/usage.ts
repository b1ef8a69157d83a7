import type { Usage } from '../../core/usage.ts'

/** Usage of a stream while it runs. Immutable: each step makes the next one. */
export interface StreamUsage extends Usage {
  /** How many `message_delta` events with usage were merged; 0 means the output count is unknown. */
  readonly deltas: number
}

/** Reads the usage of a whole answer (parsed JSON of a unary body). Never throws. */
export function readUsage(message: unknown, requestedModel: string): Usage {
  throw new Error(`not yet ${message} ${requestedModel}`)
}

/** Usage before anything was received: no tokens, the requested model. */
export function noStreamUsage(requestedModel: string): StreamUsage {
  throw new Error(`not yet ${requestedModel}`)
}

/** Takes over the usage of a parsed `message_start` event. */
export function mergeMessageStart(usage: StreamUsage, event: unknown): StreamUsage {
  throw new Error(`not yet ${usage} ${event}`)
}

/** Takes over the cumulative usage of a parsed `message_delta` event: replaces, never adds. */
export function mergeMessageDelta(usage: StreamUsage, event: unknown): StreamUsage {
  throw new Error(`not yet ${usage} ${event}`)
}
