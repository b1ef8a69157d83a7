import { accountOperations } from './accounts.ts'
import { bootOperations } from './boots.ts'
import { checkOperations } from './check.ts'
import type { Context } from './context.ts'
import { creditOperations } from './credit.ts'
import { exchangeOperations } from './exchanges.ts'
import { keyOperations } from './keys.ts'
import { memoryOperations } from './memory.ts'
import { metaOperations } from './meta.ts'
import { priceOperations } from './price-changes.ts'
import { recoverOperations } from './recover.ts'
import { usageOperations } from './usage.ts'
import { userOperations } from './users.ts'
import { walletCheckOperations } from './wallet-check.ts'

/** Every operation on one connection; those that write expect to be called inside a transaction. */
export function createOperations(context: Context) {
  const exchanges = exchangeOperations(context)
  const prices = priceOperations(context)
  return {
    ...userOperations(context),
    ...keyOperations(context),
    ...accountOperations(context),
    ...creditOperations(context),
    ...exchanges,
    ...recoverOperations(context, exchanges, prices),
    ...usageOperations(context),
    ...prices,
    ...memoryOperations(context),
    ...bootOperations(context),
    ...metaOperations(context),
    ...checkOperations(context),
    ...walletCheckOperations(context),
  }
}

export type Operations = ReturnType<typeof createOperations>

/** The writes that are not on the hot path: called by name, in the writer's thread or in this one. */
export const COLD_WRITES = [
  'createUser',
  'updateUser',
  'setUserSuspended',
  'deleteUser',
  'createKey',
  'limitKey',
  'revokeKey',
  'addAccount',
  'updateAccount',
  'setAccountDisabled',
  'rotateCredential',
  'removeAccount',
  'clearCooldown',
  'setCooldown',
  'saveHealth',
  'saveHeadroom',
  'addCredit',
  'refundCharge',
  'repairWallet',
  'addPriceChanges',
  'recoverHolds',
  'addBoot',
  'heartbeat',
  'putMeta',
  'saveMemory',
] as const satisfies readonly (keyof Operations)[]

export type ColdWrite = (typeof COLD_WRITES)[number]
