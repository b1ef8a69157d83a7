/** Parsed JSON whose members may be anything. */
export type Json = Readonly<Record<string, unknown>>

/** Whether a parsed value is an object. */
export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The value where it is an object, else one without members. */
export function recordOf(value: unknown): Json {
  return isJson(value) ? value : NOTHING
}

const NOTHING: Json = {}
