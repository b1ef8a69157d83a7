import type { JsonObject } from './json.ts'
import { isEmpty, isObject } from './json.ts'

/** The keywords that put a schema together of others. */
export const COMBINATORS: readonly string[] = ['oneOf', 'anyOf', 'allOf']

/** Each allows members by a rule instead of a name. */
const OPENING = ['patternProperties', 'unevaluatedProperties'] as const

/**
 * Tells the objects of a schema that may have members which they do not name themselves: maps, objects of
 * which nothing is said, and those that are put together of several. One per schema: what it has seen of
 * nested branches it does not look at again.
 */
export class Openness {
  readonly #seen = new Map<JsonObject, boolean>()

  isOpen(schema: JsonObject): boolean {
    const { properties, additionalProperties: extra } = schema
    if (extra !== undefined && extra !== false) return true
    if (OPENING.some((name) => (schema[name] ?? false) !== false)) return true
    const isClosed = extra === false || properties !== undefined
    const isBare = typesOf(schema).includes('object') && !isClosed
    return isBare || this.#isTogether(schema)
  }

  /** Whether branches have members beside the node's own, or beside each other: all of them apply at once. */
  #isTogether(schema: JsonObject): boolean {
    const having = (name: string) => {
      const branches = schema[name]
      return Array.isArray(branches) ? branches.filter((it) => this.#hasMembers(it)).length : 0
    }
    const own = namesMembers(schema) ? 1 : 0
    return own + having('allOf') + Math.min(1, having('anyOf')) + Math.min(1, having('oneOf')) > 1
  }

  #hasMembers(branch: unknown): boolean {
    if (!isObject(branch)) return false
    // What it refers to is most likely an object.
    if (branch.$ref !== undefined || namesMembers(branch)) return true
    const known = this.#seen.get(branch)
    if (known !== undefined) return known
    const found = COMBINATORS.some((name) => {
      const inner = branch[name]
      return Array.isArray(inner) && inner.some((it) => this.#hasMembers(it))
    })
    this.#seen.set(branch, found)
    return found
  }
}

function namesMembers({ properties }: JsonObject): boolean {
  return isObject(properties) && !isEmpty(properties)
}

/** The types that a schema names, as a list. */
export function typesOf(schema: JsonObject): readonly unknown[] {
  if (schema.type === undefined) return []
  return Array.isArray(schema.type) ? schema.type : [schema.type]
}
