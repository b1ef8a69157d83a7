/** A JSON object whose members nobody has looked at yet. */
export type JsonObject = { readonly [name: string]: unknown }

/** Whether a value is a JSON object: not null, not an array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The member as text; null where it is anything else. */
export function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

/** Parses text; undefined where it is not JSON (which is never the value of a JSON text). */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
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
