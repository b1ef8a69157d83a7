/** An object that came out of `JSON.parse`; what is in it is anybody's guess. */
export type JsonObject = { readonly [name: string]: unknown }

/** The value as an object, or null when it is something else (arrays and null included). */
export function asObject(value: unknown): JsonObject | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonObject) // checked above: a non-null object that is no array
    : null
}

/** The value as a list; a thing that is no list is an empty one. */
export function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

/** The value as a string; everything else is null. */
export function asText(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

/** `content` as blocks: a string equals one text block, and a lone object is a list of one. */
export function asBlocks(content: unknown): readonly JsonObject[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }]
  const blocks: JsonObject[] = []
  for (const item of asList(content)) {
    const block = asObject(item)
    if (block) blocks.push(block)
  }
  return blocks
}
