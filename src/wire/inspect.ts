import type { BodyFacts, ValueType } from './body-facts.ts'
import { readBody, typeAt } from './body-reader.ts'
import type { ScanFailure } from './json-stop.ts'
import { failJson, ScanStop } from './json-stop.ts'
import { JsonWalk } from './json-walk.ts'
import { utf8ErrorAt } from './utf8.ts'

export * from './body-facts.ts'

/** What one scan of a body found. Positions are byte offsets, a path reads `messages[2].content[0].type`. */
export type Inspection =
  | { readonly kind: 'ok'; readonly facts: BodyFacts }
  /** Valid JSON, but not an object. */
  | { readonly kind: 'not_an_object'; readonly type: ValueType }
  | ScanFailure

/** How deep and how large JSON may be, and the UTF-8 check to use. */
export interface InspectOptions {
  /** Nesting that still passes; 64 by default, the body itself being level 1. */
  readonly maxDepth?: number
  /** Structural tokens that still pass; 200,000 by default. */
  readonly maxTokens?: number
  /** Members that we do not know, in the objects that we look into; 10,000 by default. */
  readonly maxUnknownKeys?: number
  /** Pass `isUtf8` of `node:buffer`: it is far faster than the built-in check. */
  readonly isUtf8?: (bytes: Uint8Array) => boolean
}

/**
 * Checks a body as a JSON parser would and gathers its facts, in one scan without `JSON.parse`. The
 * same bytes are forwarded, so whatever two parsers could read differently is refused: duplicate
 * keys where we check or price, a byte order mark, bytes that are not UTF-8. Never throws.
 */
export function inspect(body: Buffer, options: InspectOptions = {}): Inspection {
  const scan = new JsonWalk(body, {
    maxDepth: options.maxDepth ?? 64,
    maxTokens: options.maxTokens ?? 200_000,
    maxUnknownKeys: options.maxUnknownKeys ?? 10_000,
  })
  try {
    const result = scanBody(scan)
    // A decoder would put U+FFFD in place of each bad byte, perhaps not the one that upstream's puts.
    if (options.isUtf8?.(body) !== true) {
      const position = utf8ErrorAt(body)
      if (position !== -1) failJson('the body is not UTF-8', position)
    }
    return result
  } catch (error) {
    if (error instanceof ScanStop) return error.failure
    throw error
  }
}

function scanBody(scan: JsonWalk): Inspection {
  if (scan.length === 0) failJson('the body is empty', 0)
  if (scan.peek() === 0xef) failJson('the body begins with a byte order mark', 0)
  scan.blanks()
  const type = typeAt(scan)
  if (type !== 'object') {
    scan.value()
    atEnd(scan)
    return { kind: 'not_an_object', type }
  }
  const facts = readBody(scan)
  atEnd(scan)
  return { kind: 'ok', facts }
}

function atEnd(scan: JsonWalk): void {
  scan.blanks()
  if (scan.pos < scan.length) failJson('unexpected character after the end', scan.pos)
}
