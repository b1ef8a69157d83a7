/** Whether a text can be a model's name at all: up to 100 characters of those that ids are made of. */
export function isPlainName(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,99}$/.test(text)
}

/** Whether a text is a model's name or a glob of names. */
export function isModelPattern(text: string): boolean {
  return text === '*' || isPlainName(text.replaceAll('*', 'x'))
}

/**
 * A name as it is compared: dates and provider prefixes say little about which model was meant
 * (`anthropic/claude-opus-4.8`), and the oldest ids put the version first (`claude-3-5-haiku`).
 */
export function spelling(name: string): string {
  return name
    .toLowerCase()
    .replace(/^.*[/:]/, '')
    .replace(/\[1m\]$/, '')
    .replace(/[-@]?(20\d{6}|latest)$/, '')
    .replace(/[._ ]/g, '-')
    .replace(/^claude-(\d(?:-\d)?)-([a-z]+)$/, 'claude-$2-$1')
}

/** The weight of a wrong digit is less than that of a wrong letter, so that the family stays. */
export function wrongCharacter(a: string, b: string): number {
  return /\d/.test(a) && /\d/.test(b) ? 0.5 : 1
}

/** `claude-opus-4-5-20251101` -> `Claude Opus 4.5`; any other id is returned as it is. */
export function displayName(modelId: string): string {
  const words = modelId.replace(/-20\d{6}$/, '').split('-')
  const isNumber = (word: string) => /^\d+$/.test(word)
  const version = words.filter(isNumber).join('.')
  const names = words.filter((word) => !isNumber(word))
  if (words[0] !== 'claude' || names.length < 2) return modelId
  const title = names.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join(' ')
  return version === '' ? title : `${title} ${version}`
}
