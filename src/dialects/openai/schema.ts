import { wrongType } from './fields.ts'
import type { JsonObject } from './json.ts'
import { isEmpty, isObject } from './json.ts'
import { COMBINATORS, Openness, typesOf } from './openness.ts'

/** A JSON Schema made fit for upstream's structured outputs. */
export interface SanitizedSchema {
  readonly schema: JsonObject
  /** It refers to itself, or to something outside: upstream's grammar cannot be made. */
  readonly isRecursive: boolean
  /** Some object has members beyond those that it names itself; the sanitized one forbids them. */
  readonly isOpen: boolean
  /** Some keywords are only told in descriptions. */
  readonly hasWords: boolean
  /** Members that need not be there, over all objects. */
  readonly optionalCount: number
  /** Members of more than one type (`anyOf`, `oneOf`, a list of types), over all objects. */
  readonly unionCount: number
}

/** What goes into the upstream schema as it is. Everything else becomes a part of the description. */
const KEPT = new Set(['$ref', 'const', 'default', 'description', 'required', 'title', 'type'])
/** What says nothing to a model. */
const DROPPED = new Set(['$anchor', '$comment', '$id', '$schema', 'additionalProperties', 'strict'])
const FORMATS = new Set([
  'date-time',
  'time',
  'date',
  'duration',
  'email',
  'hostname',
  'uri',
  'ipv4',
  'ipv6',
  'uuid',
])

/** A longer chain of definitions counts as endless: no grammar is made of it, and no stack is spent on it. */
const MAX_REF_CHAIN = 200

/** Makes a schema fit for upstream's structured outputs. The input must not nest without bound. */
export function sanitizeSchema(schema: JsonObject): SanitizedSchema {
  const walk = new Sanitizer()
  const clean = walk.node(schema, '#')
  return {
    schema: clean,
    isRecursive: walk.isRecursive(),
    isOpen: walk.isOpen,
    hasWords: walk.hasWords,
    optionalCount: walk.optionalCount,
    unionCount: walk.unionCount,
  }
}

class Sanitizer {
  isOpen = false
  hasWords = false
  optionalCount = 0
  unionCount = 0
  readonly #openness = new Openness()
  /** Which definition refers to which, by pointer; `#` is the schema itself. */
  readonly #refs = new Map<string, Set<string>>()

  /** One schema node; `home` is the definition in which it stands. */
  node(schema: JsonObject, home: string): JsonObject {
    const clean: Record<string, unknown> = {}
    const said: string[] = []
    for (const name in schema) this.#keyword(name, schema[name], home, clean, said)
    if (isObject(schema.properties)) this.#count(schema.properties, schema.required)
    if (isObject(clean.properties) || typesOf(clean).includes('object')) {
      clean.type ??= 'object'
      clean.additionalProperties = false
    }
    if (!this.isOpen && this.#openness.isOpen(schema)) this.isOpen = true
    if (said.length > 0) {
      this.hasWords = true
      clean.description = joined(clean.description, said.join('; '))
    }
    return clean
  }

  #keyword(
    name: string,
    value: unknown,
    home: string,
    clean: Record<string, unknown>,
    said: string[],
  ): void {
    if (name === '$ref') this.#refer(home, value)
    if (KEPT.has(name)) clean[name] = value
    else if (name === 'properties') clean[name] = this.#members(value, home, null)
    else if (name === '$defs' || name === 'definitions')
      clean[name] = this.#members(value, home, `#/${name}/`)
    else if (name === 'items' && isObject(value)) clean[name] = this.node(value, home)
    else if (COMBINATORS.includes(name) && Array.isArray(value)) {
      const branches = value.map((item) => this.#value(item, home))
      const kept = name === 'allOf' ? 'allOf' : 'anyOf'
      clean[kept] = [...(Array.isArray(clean[kept]) ? clean[kept] : []), ...branches]
    } else if (name === 'enum' && Array.isArray(value) && value.every(isPrimitive))
      clean[name] = value
    else if (name === 'format' && typeof value === 'string' && FORMATS.has(value))
      clean[name] = value
    else if (name === 'minItems' && (value === 0 || value === 1)) clean[name] = value
    else if (!DROPPED.has(name)) said.push(`${name}: ${JSON.stringify(value)}`)
  }

  /** `pointer`: where definitions live, each of which is a home of its own; null for properties. */
  #members(value: unknown, home: string, pointer: string | null): JsonObject {
    const clean: Record<string, unknown> = {}
    if (isObject(value))
      for (const key in value) {
        const member = this.#value(value[key], pointer === null ? home : pointer + key)
        setMember(clean, key, member)
      }
    return clean
  }

  #value(value: unknown, home: string): unknown {
    return isObject(value) ? this.node(value, home) : value
  }

  #count(properties: JsonObject, required: unknown): void {
    const needed = new Set(Array.isArray(required) ? required : [])
    for (const key in properties) {
      const member = properties[key]
      if (!needed.has(key)) this.optionalCount++
      if (!isObject(member)) continue
      const branches = Array.isArray(member.anyOf) || Array.isArray(member.oneOf)
      if (branches || Array.isArray(member.type)) this.unionCount++
    }
  }

  #refer(home: string, ref: unknown): void {
    const refs = this.#refs.get(home) ?? new Set()
    refs.add(String(ref))
    this.#refs.set(home, refs)
  }

  /** Whether the references run in a ring, or leave the schema's own definitions. */
  isRecursive(): boolean {
    const done = new Set<string>()
    const open = new Set<string>()
    const visit = (home: string): boolean => {
      if (open.has(home) || open.size > MAX_REF_CHAIN) return true
      if (done.has(home)) return false
      open.add(home)
      for (const ref of this.#refs.get(home) ?? []) {
        if (!/^#\/(?:\$defs|definitions)\/[^/]+$/.test(ref) || visit(ref)) return true
      }
      open.delete(home)
      done.add(home)
      return false
    }
    return [...this.#refs.keys()].some(visit)
  }
}

/** A tool's parameters as upstream accepts them. `note` goes to the description; null where nothing was lost. */
export interface InputSchema {
  readonly schema: JsonObject
  readonly note: string | null
}

/**
 * The input schema of a tool: an object at its top, without alternatives there, which upstream refuses. All
 * other keywords stay. `tool` is where the tool stands.
 */
export function inputSchema(parameters: unknown, tool: string): InputSchema {
  if (parameters === undefined || parameters === null) return NO_PARAMETERS
  if (!isObject(parameters)) wrongType(`${tool}.parameters`, 'a JSON Schema object')
  if (COMBINATORS.some((name) => Array.isArray(parameters[name]))) return merged(parameters)
  const { type } = parameters
  if (type === 'object') return { schema: parameters, note: null }
  if (isEmpty(parameters)) return NO_PARAMETERS
  const types = typesOf(parameters)
  const isObjectType = types.length === 0 || types.includes('object')
  return { schema: { ...parameters, type: isObjectType ? 'object' : type }, note: null }
}

const NO_PARAMETERS: InputSchema = { schema: { type: 'object', properties: {} }, note: null }

/** The branches of the top level made into one object: all members, those required that every branch needs. */
function merged(parameters: JsonObject): InputSchema {
  const combined = COMBINATORS.filter((name) => Array.isArray(parameters[name]))
  const { oneOf: _one, anyOf: _any, allOf: _all, ...rest } = parameters
  const properties = new Map(isObject(rest.properties) ? Object.entries(rest.properties) : [])
  let required = stringsOf(rest.required)
  for (const name of combined) {
    const all = (parameters[name] as readonly unknown[]).map((it) => resolved(it, parameters))
    // Thousands of branches may point to one definition.
    const branches = [...new Set(all)]
    for (const branch of branches) {
      if (!isObject(branch.properties)) continue
      for (const [key, member] of Object.entries(branch.properties))
        if (!properties.has(key)) properties.set(key, member)
    }
    const lists = branches.map((branch) => stringsOf(branch.required))
    const needed = name === 'allOf' ? lists.flat() : inAll(lists)
    required = [...new Set([...required, ...needed])]
  }
  const schema: Record<string, unknown> = {
    ...rest,
    type: 'object',
    properties: Object.fromEntries(properties),
  }
  if (required.length > 0) schema.required = required
  const isChoice = combined.some((name) => name !== 'allOf')
  const note = isChoice ? 'The parameters are alternatives: not all of them go together.' : null
  return { schema, note }
}

function inAll(lists: readonly (readonly string[])[]): readonly string[] {
  const [first = [], ...others] = lists.map((list) => new Set(list))
  return [...first].filter((name) => others.every((list) => list.has(name)))
}

/** A branch; one that only points to a definition of the same schema is that definition. */
function resolved(branch: unknown, root: JsonObject): JsonObject {
  if (!isObject(branch)) return {}
  const name =
    typeof branch.$ref === 'string' ? /^#\/(\$defs|definitions)\/(.+)$/.exec(branch.$ref) : null
  if (name === null) return branch
  const definitions = root[name[1]]
  const target = isObject(definitions) ? definitions[name[2]] : undefined
  return isObject(target) ? target : {}
}

/** Two texts of a description as one. */
export function joined(description: unknown, more: string): string {
  return typeof description === 'string' && description !== '' ? `${description}\n${more}` : more
}

/** Sets a member; plain assignment of this one name would set the prototype instead. */
function setMember(object: Record<string, unknown>, name: string, value: unknown): void {
  if (name !== '__proto__') object[name] = value
  else Object.defineProperty(object, name, { value, enumerable: true })
}

function stringsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

function isPrimitive(value: unknown): boolean {
  return typeof value !== 'object' || value === null
}
