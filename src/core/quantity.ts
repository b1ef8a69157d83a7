/** What a person typed, read; or one phrase that says what is wrong and how to write it. */
export type Parsed<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'bad'; readonly problem: string }

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}
const MAX_DURATION_MS = 100 * 365 * 86_400_000

const SIZE_BYTES: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1_000,
  mb: 1_000_000,
  gb: 1_000_000_000,
  kib: 1_024,
  mib: 1_048_576,
  gib: 1_073_741_824,
}

/** `500ms 30s 15m 2h 7d 4w`, also joined from large to small (`1h30m`), in milliseconds. */
export function parseDuration(text: string): Parsed<number> {
  const trimmed = text.trim()
  if (/^\d+$/.test(trimmed)) {
    return bad(`"${trimmed}" has no unit: say ${trimmed}s or ${trimmed}m`)
  }
  if (!/^(\d{1,15}(ms|s|m|h|d|w))+$/.test(trimmed)) {
    return bad(`"${trimmed}" is not a duration. Example: 30s, 15m, 2h, 7d or 1h30m`)
  }
  let totalMs = 0
  let previousMs = Number.POSITIVE_INFINITY
  for (const [, digits, unit] of trimmed.matchAll(/(\d+)(ms|s|m|h|d|w)/g)) {
    const unitMs = UNIT_MS[unit]
    if (unitMs >= previousMs)
      return bad(`"${trimmed}" mixes its units: write large ones first, like 1h30m`)
    previousMs = unitMs
    totalMs += Number(digits) * unitMs
  }
  if (totalMs > MAX_DURATION_MS) return bad(`"${trimmed}" is more than 100 years`)
  return { kind: 'ok', value: totalMs }
}

/** `64KiB 2MiB 1GB`, in bytes. */
export function parseSize(text: string): Parsed<number> {
  const trimmed = text.trim()
  const match = /^(\d{1,15})\s?([a-z]+)$/i.exec(trimmed)
  const unitBytes = match === null ? undefined : SIZE_BYTES[match[2].toLowerCase()]
  if (match === null || unitBytes === undefined) {
    return /^\d+$/.test(trimmed)
      ? bad(`"${trimmed}" has no unit: say 64KiB, 2MiB or 1GB`)
      : bad(`"${trimmed}" is not a size. Example: 64KiB, 2MiB or 1GB`)
  }
  const bytes = Number(match[1]) * unitBytes
  if (!Number.isSafeInteger(bytes)) return bad(`"${trimmed}" is too large`)
  return { kind: 'ok', value: bytes }
}

/** `120`, `1k`, `2.5M`: a whole number from 0 to 2^53 - 1, computed on digits and never through a float. */
export function parseCount(text: string): Parsed<number> {
  const trimmed = text.trim()
  const match = /^(\d[\d_]*)(?:\.(\d+))?(k|M)?$/.exec(trimmed)
  if (/^-\d/.test(trimmed)) return bad(`"${trimmed}" is below zero. Example: 60`)
  if (match === null || match[1].endsWith('_') || match[1].includes('__')) {
    return bad(`"${trimmed}" is not a number. Example: 60`)
  }
  const zeros = match[3] === 'M' ? 6 : match[3] === 'k' ? 3 : 0
  const fraction = (match[2] ?? '').replace(/0+$/, '')
  if (fraction.length > zeros) return bad(`"${trimmed}" is not a whole number. Example: 60`)
  const value = Number(match[1].replaceAll('_', '') + fraction.padEnd(zeros, '0'))
  if (!Number.isSafeInteger(value)) return bad(`"${trimmed}" is too large`)
  return { kind: 'ok', value }
}

/** Whole seconds of a wait, rounded up, at least 1. */
export function secondsUp(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1_000))
}

/** The shortest spelling that `parseDuration` reads back: `90000` is `1m30s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s'
  let rest = ms
  let text = ''
  for (const unit of ['w', 'd', 'h', 'm', 's', 'ms'] as const) {
    const count = Math.floor(rest / UNIT_MS[unit])
    if (count > 0) text += `${count}${unit}`
    rest -= count * UNIT_MS[unit]
  }
  return text
}

function bad<T>(problem: string): Parsed<T> {
  return { kind: 'bad', problem }
}
