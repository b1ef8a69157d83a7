import type { JsonObject } from './json.ts'
import { refuse } from './refusal.ts'

/** The member as a string, null where it is absent or null; anything else is refused. */
export function optionalText(object: JsonObject, name: string, at = ''): string | null {
  const value = object[name]
  if (value === undefined || value === null) return null
  if (typeof value !== 'string') wrongType(at + name, 'a string')
  return value
}

/** The member as true or false, null where it is absent or null; anything else is refused. */
export function optionalBoolean(object: JsonObject, name: string, at = ''): boolean | null {
  const value = object[name]
  if (value === undefined || value === null) return null
  if (typeof value !== 'boolean') wrongType(at + name, 'true or false')
  return value
}

/** The member as a number, null where it is absent or null; anything else is refused. */
export function optionalNumber(object: JsonObject, name: string, at = ''): number | null {
  const value = object[name]
  if (value === undefined || value === null) return null
  if (typeof value !== 'number' || !Number.isFinite(value)) wrongType(at + name, 'a number')
  return value
}

/** The member as an array, null where it is absent or null; anything else is refused. */
export function optionalArray(
  object: JsonObject,
  name: string,
  at = '',
): readonly unknown[] | null {
  const value = object[name]
  if (value === undefined || value === null) return null
  if (!Array.isArray(value)) wrongType(at + name, 'an array')
  return value
}

/** Refuses a value of the wrong JSON type. `expected` reads on after "must be". */
export function wrongType(field: string, expected: string): never {
  refuse('invalid_value', field, `Invalid type for '${field}': must be ${expected}.`)
}

/** Refuses a request that lacks a field. */
export function missing(field: string): never {
  refuse('missing_required_parameter', field, `Missing required parameter: '${field}'.`)
}
