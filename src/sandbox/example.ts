import { asList, asObject, asText, type JsonObject } from './json.ts'

const BY_NAME: readonly (readonly [RegExp, string])[] = [
  [/city|location|place|town/i, 'Tokyo'],
  [/country/i, 'Japan'],
  [/unit/i, 'celsius'],
  [/quer|search|question/i, 'weather in Tokyo'],
  [/path|file/i, 'README.md'],
  [/command|cmd/i, 'ls'],
  [/url|uri|link/i, 'https://example.com/'],
  [/e-?mail/i, 'someone@example.com'],
  [/date|day/i, '2026-11-22'],
  [/time/i, '12:00'],
  [/name/i, 'Ada'],
]

/** A plausible value for a JSON schema; `prompt` may name a place ("weather in Oslo"). */
export function exampleOf(schema: unknown, prompt: string, name = '', depth = 0): unknown {
  const node = asObject(schema) ?? {}
  if (node.const !== undefined) return node.const
  if (node.default !== undefined) return node.default
  const choices = asList(node.enum)
  if (choices.length > 0) return choices[0]
  const variant = asList(node.anyOf)[0] ?? asList(node.oneOf)[0] ?? asList(node.allOf)[0]
  if (variant !== undefined && depth < 8) return exampleOf(variant, prompt, name, depth + 1)
  const type = asText(node.type) ?? asList(node.type)[0] ?? (node.properties ? 'object' : 'string')
  switch (type) {
    case 'object':
      return exampleObject(node, prompt, depth)
    case 'array':
      return depth < 8 ? [exampleOf(node.items, prompt, name, depth + 1)] : []
    case 'integer':
    case 'number':
      return typeof node.minimum === 'number' ? node.minimum : 1
    case 'boolean':
      return true
    case 'null':
      return null
    default:
      return exampleText(name, prompt)
  }
}

function exampleObject(node: JsonObject, prompt: string, depth: number): JsonObject {
  const made: { [name: string]: unknown } = {}
  if (depth >= 8) return made
  for (const [name, property] of Object.entries(asObject(node.properties) ?? {})) {
    made[name] = exampleOf(property, prompt, name, depth + 1)
  }
  return made
}

function exampleText(name: string, prompt: string): string {
  const found = BY_NAME.find(([pattern]) => pattern.test(name))
  if (found?.[1] === 'Tokyo') return /\bin ([A-Z][\p{L}-]+)/u.exec(prompt)?.[1] ?? 'Tokyo'
  return found?.[1] ?? 'example'
}
