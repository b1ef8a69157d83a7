const LEVELS = '▁▂▃▄▅▆▇█'
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const

/**
 * One character per value on a scale from 0 to the largest (or `max`). `null` is a gap and prints as a
 * space, so that "nothing happened" and "nobody looked" differ.
 */
export function sparkline(values: readonly (number | null)[], max?: number): string {
  const top = max ?? Math.max(0, ...values.filter((value) => value !== null))
  return values
    .map((value) => {
      if (value === null) return ' '
      const share = top > 0 ? Math.min(1, Math.max(0, value / top)) : 0
      return LEVELS[Math.min(LEVELS.length - 1, Math.ceil(share * (LEVELS.length - 1)))]
    })
    .join('')
}

/** A horizontal bar of at most `width` columns in steps of an eighth; anything above zero shows a sliver. */
export function bar(value: number, max: number, width: number): string {
  if (!(value > 0) || !(max > 0) || width < 1) return ''
  const eighths = Math.max(1, Math.round(Math.min(1, value / max) * width * 8))
  return '█'.repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8]
}
