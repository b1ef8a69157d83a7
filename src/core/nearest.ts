/** The candidate closest to what was typed, or null when none is close enough to be a slip. */
export function nearest(typed: string, candidates: Iterable<string>): string | null {
  return nearestFew(typed, candidates, 1)[0] ?? null
}

/** Up to `count` candidates within the distance of a slip (a third of the length), best first. */
export function nearestFew(
  typed: string,
  candidates: Iterable<string>,
  count: number,
): readonly string[] {
  const wanted = typed.slice(0, 100).toLowerCase()
  const allowed = Math.max(1, Math.floor(wanted.length / 3))
  const scored: { readonly text: string; readonly distance: number }[] = []
  for (const text of candidates) {
    const distance = editDistance(wanted, text.slice(0, 100).toLowerCase())
    const isStart = wanted.length >= 3 && text.toLowerCase().startsWith(wanted)
    if (distance <= allowed || isStart) scored.push({ text, distance })
  }
  scored.sort((a, b) => a.distance - b.distance || (a.text < b.text ? -1 : 1))
  return scored.slice(0, count).map((entry) => entry.text)
}

/**
 * Insertions, removals, replacements and swaps of neighbours between two texts; `replaceCost` may make some
 * replacements cheaper than 1.
 */
export function editDistance(
  a: string,
  b: string,
  replaceCost: (a: string, b: string) => number = one,
): number {
  let beforePrevious: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced =
        previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : replaceCost(a[i - 1], b[j - 1]))
      row[j] = Math.min(previous[j] + 1, row[j - 1] + 1, replaced)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        row[j] = Math.min(row[j], beforePrevious[j - 2] + 1)
      }
    }
    beforePrevious = previous
    previous = row
  }
  return previous[b.length]
}

function one(): number {
  return 1
}
