import { costOf } from '../../billing/cost.ts'
import { recover } from '../../billing/ledger.ts'
import { priceTableWith } from '../../billing/price-changes.ts'
import { BUILT_IN_PRICES } from '../../billing/prices.ts'
import type { Hold } from '../../core/model.ts'
import type { Usage } from '../../core/usage.ts'
import type { Context } from './context.ts'
import type { exchangeOperations } from './exchanges.ts'
import type { priceOperations } from './price-changes.ts'
import { type HoldRow, toHold, usageTuple } from './usage-rows.ts'

/** Closes what dead processes left open, billing only what their holds prove. */
export function recoverOperations(
  { sql }: Context,
  exchanges: Pick<ReturnType<typeof exchangeOperations>, 'settleHold' | 'voidHold'>,
  prices: Pick<ReturnType<typeof priceOperations>, 'loadPriceChanges'>,
) {
  return {
    recoverHolds(bootIds: readonly string[], nowMs: number) {
      const rows = sql(
        `SELECT * FROM holds INDEXED BY holds_open
         WHERE state = 'open' AND boot_id IN (SELECT value FROM json_each(?)) ORDER BY request_id`,
      ).all(JSON.stringify(bootIds)) as HoldRow[]
      const table = priceTableWith(BUILT_IN_PRICES, prices.loadPriceChanges())
      const price = (usage: Usage, { openedAtMs, markup }: Hold) =>
        costOf(usage, table, { atMs: openedAtMs, markup })
      const sums = { settled: 0, voided: 0, settledMicro: 0 }
      for (const row of rows) {
        const decision = recover(toHold(row), { price, nowMs })
        if (decision.kind === 'void') {
          exchanges.voidHold(usageTuple(decision.record))
          sums.voided += 1
        } else {
          exchanges.settleHold(usageTuple(decision.record))
          sums.settled += 1
          sums.settledMicro += decision.record.costMicro
        }
      }
      return sums
    },
  }
}
