/** A JSON object whose members nobody has looked at yet. */
export type JsonObject = { readonly [name: string]: unknown }

/** Whether a value is a JSON object: not null, not an array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether an object or array has no member. */
export function isEmpty(value: object): boolean {
  for (const _ in value) return false
  return true
}

/** The member as text; null where it is anything else. */
export function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

/** More than any body that passes the gateway's scan has. */
const MOST = { levels: 128, values: 500_000 } as const
/** Shorter text is never too complex to be parsed at once. */
const SHORT = 1_000

/**
 * Parses text; undefined where it is not JSON (which is never the value of a JSON text), or so complex that
 * parsing it would hold everybody up: text inside a body's strings has passed no scan.
 */
export function parseJson(text: string): unknown {
  if (text.length > SHORT && isTooComplex(text)) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isTooComplex(text: string): boolean {
  let levels = 0
  let values = 0
  for (let at = 0; at < text.length; at++) {
    const c = text.charCodeAt(at)
    if (c === 0x22) at = stringEnd(text, at + 1)
    else if (c === 0x2c || c === 0x3a) values += 1
    else if (c === 0x5b || c === 0x7b) {
      levels += 1
      values += 1
      if (levels > MOST.levels) return true
    } else if (c === 0x5d || c === 0x7d) levels -= 1
    if (values > MOST.values) return true
  }
  return false
}

/** Where the string ends whose inside begins at `from`. */
function stringEnd(text: string, from: number): number {
  let at = from
  for (; at < text.length; at++) {
    const c = text.charCodeAt(at)
    if (c === 0x5c) at += 1
    else if (c === 0x22) break
  }
  return at
}

/** JSON text that goes into the upstream body as it stands: numbers and key order stay as they were. */
export class RawJson {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** Whether a JSON value nests deeper than `limit` levels (a scalar has 0). Never recurses deeper than it. */
export function isDeeperThan(value: unknown, limit: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (limit === 0) return true
  if (Array.isArray(value)) {
    for (const item of value) if (isDeeperThan(item, limit - 1)) return true
    return false
  }
  const members = value as JsonObject
  for (const name in members) if (isDeeperThan(members[name], limit - 1)) return true
  return false
}
