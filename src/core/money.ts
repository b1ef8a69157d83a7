/** Integer micro-dollars (1e-6 USD). Always an integer within ±(2^53 - 1); no float ever holds money. */
export type Micro = number

/** The largest amount that one grant may add, in micro-dollars. */
export const MAX_GRANT_MICRO: Micro = 1_000_000_000_000

/** `$12.44`: cents for people, rounded half away from zero; `-$0.50` below zero. */
export function formatUsd(micro: Micro): string {
  const cents = Math.round(Math.abs(micro) / 10_000)
  const whole = Math.floor(cents / 100)
  const sign = micro < 0 && cents > 0 ? '-' : ''
  return `${sign}$${groupThousands(whole)}.${String(cents % 100).padStart(2, '0')}`
}

/** `$0.029367`: all six decimals, for single requests; `$0` when nothing was charged. */
export function formatUsdExact(micro: Micro): string {
  if (micro === 0) return '$0'
  const sign = micro < 0 ? '-' : ''
  const absolute = Math.abs(micro)
  const whole = Math.floor(absolute / 1_000_000)
  return `${sign}$${groupThousands(whole)}.${String(absolute % 1_000_000).padStart(6, '0')}`
}

function groupThousands(whole: number): string {
  return String(whole).replace(/\B(?=(\d{3})+$)/g, ',')
}
