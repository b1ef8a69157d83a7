import { testContract } from './contract.ts'
import { testLimits } from './limits-contract.ts'

for (const driver of ['local', 'daemon'] as const) {
  testContract(driver)
  testLimits(driver)
}
