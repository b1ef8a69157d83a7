import type { User } from './model.ts'
import type { Micro } from './money.ts'

/** Below which balance people are told of a user: their own figure, else the server's; null: never. */
export function lowBalanceMicro(
  user: Pick<User, 'lowBalanceMicro'>,
  noticeMicro: Micro | null,
): Micro | null {
  return user.lowBalanceMicro ?? noticeMicro
}

/** Whether a user's balance is one that people are told of. */
export function isLowBalance(
  user: Pick<User, 'lowBalanceMicro'> & { readonly balanceMicro: Micro },
  noticeMicro: Micro | null,
): boolean {
  const low = lowBalanceMicro(user, noticeMicro)
  return low !== null && user.balanceMicro < low
}
