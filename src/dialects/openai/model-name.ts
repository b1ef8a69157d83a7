import type { TranslationContext } from '../dialect.ts'

/** What some clients put before the ids of Anthropic's models. */
const VENDOR = 'anthropic/'

/** The model that a client's name means: the operator's names first, then without the vendor before it. */
export function namedModel(
  name: string,
  { modelOf }: TranslationContext,
): ReturnType<TranslationContext['modelOf']> {
  const model = modelOf(name)
  const bare = withoutVendor(name)
  return model.id !== name || bare === null ? model : modelOf(bare)
}

/** A model's name without the vendor before it; null where there is none. */
export function withoutVendor(name: string): string | null {
  return name.startsWith(VENDOR) ? name.slice(VENDOR.length) : null
}
