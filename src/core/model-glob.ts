/** True when the model matches one of the ids or globs (`*` stands for any run of characters). */
export function matchesModel(globs: readonly string[], model: string): boolean {
  for (const glob of globs) {
    if (glob === '*' || glob === model) return true
    if (glob.includes('*') && globMatches(glob, model)) return true
  }
  return false
}

function globMatches(glob: string, text: string): boolean {
  const parts = glob.split('*')
  if (!text.startsWith(parts[0])) return false
  let at = parts[0].length
  for (let i = 1; i < parts.length - 1; i++) {
    const found = text.indexOf(parts[i], at)
    if (found < 0) return false
    at = found + parts[i].length
  }
  const last = parts[parts.length - 1]
  return text.length - at >= last.length && text.endsWith(last)
}
