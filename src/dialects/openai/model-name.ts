import type { TranslationContext } from '../dialect.ts'

/** What some clients put before the ids of Anthropic's models. */
const VENDOR = 'anthropic/'

/** The model that a client's name means: the operator's names first, then without the vendor before it. */
export function namedModel(
  name: string,
  { modelOf }: TranslationContext,
): ReturnType<TranslationContext['modelOf']> {
  const model = modelOf(name)
  const isKnown = model.id !== name || !name.startsWith(VENDOR)
  return isKnown ? model : modelOf(name.slice(VENDOR.length))
}
