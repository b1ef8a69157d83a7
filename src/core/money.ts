/** Integer micro-dollars (1e-6 USD). Always an integer within ±(2^53 - 1); no float ever holds money. */
export type Micro = number

/** The largest amount that one grant may add, in micro-dollars. */
export const MAX_GRANT_MICRO: Micro = 1_000_000_000_000

/** `$12.44`: whole cents, rounded down (so no balance reads higher than it is); `-$0.50` below zero. */
export function formatUsd(micro: Micro): string {
  const cents = Math.abs(Math.floor(micro / 10_000))
  const whole = Math.floor(cents / 100)
  const sign = micro < 0 ? '-' : ''
  return `${sign}$${groupThousands(whole)}.${String(cents % 100).padStart(2, '0')}`
}

/** `$25.00`, `$0.025`: cents, and as many decimals more as the amount has. */
export function formatUsdFull(micro: Micro): string {
  return micro % 10_000 === 0 ? formatUsd(micro) : formatUsdExact(micro).replace(/0+$/, '')
}

/** A sum for people: `$0.04`, cents rounded half up; below a cent what it is: `$0.003599`, `$0.000012`. */
export function formatUsdSmall(micro: Micro): string {
  if (Math.abs(micro) < 10_000) return formatUsdFull(micro)
  const cents = Math.floor((Math.abs(micro) + 5_000) / 10_000)
  return formatUsd(Math.sign(micro) * cents * 10_000)
}

/** How a column shows its sums: all in cents as `formatUsdSmall`, or all exactly where one is below a cent. */
export function usdColumn(micros: readonly Micro[]): (micro: Micro) => string {
  const isFine = micros.some((micro) => micro !== 0 && Math.abs(micro) < 10_000)
  if (!isFine) return formatUsdSmall
  return (micro) => (micro === 0 ? '$0.000000' : formatUsdExact(micro))
}

/** `$0.029367`: all six decimals, for single requests; `$0.00` when nothing was charged. */
export function formatUsdExact(micro: Micro): string {
  if (micro === 0) return '$0.00'
  const sign = micro < 0 ? '-' : ''
  const absolute = Math.abs(micro)
  const whole = Math.floor(absolute / 1_000_000)
  return `${sign}$${groupThousands(whole)}.${String(absolute % 1_000_000).padStart(6, '0')}`
}

function groupThousands(whole: number): string {
  return String(whole).replace(/\B(?=(\d{3})+$)/g, ',')
}
