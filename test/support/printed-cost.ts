/** The receipt as `GET /v1/usage/{id}` and `usage show --json` print it: nothing else is looked at. */
export interface PrintedReceipt {
  readonly receipt: {
    readonly lines: readonly {
      readonly tokens: Readonly<Record<string, number>>
      readonly prices_micro_per_mtok: Readonly<Record<string, number>>
      readonly ratio: readonly number[]
    }[]
    readonly fees_micro: number
    readonly markup: readonly number[]
  } | null
}

/**
 * What the printed figures cost, worked out as docs/api.md says and with nothing of the gateway's code: an
 * exact fraction, rounded up once.
 */
export function printedCostMicro({ receipt }: PrintedReceipt): bigint {
  if (receipt === null) return 0n
  let [over, under] = [BigInt(receipt.fees_micro), 1n]
  for (const line of receipt.lines) {
    for (const [name, tokens] of Object.entries(line.tokens)) {
      const [times, per] = line.ratio.map(BigInt)
      const price = BigInt(line.prices_micro_per_mtok[name])
      over = over * (1_000_000n * per) + BigInt(tokens) * price * times * under
      under *= 1_000_000n * per
      const divisor = gcd(over, under)
      over /= divisor
      under /= divisor
    }
  }
  over *= BigInt(receipt.markup[0])
  under *= BigInt(receipt.markup[1])
  return over % under === 0n ? over / under : over / under + 1n
}

function gcd(a: bigint, b: bigint): bigint {
  return b === 0n ? a : gcd(b, a % b)
}
