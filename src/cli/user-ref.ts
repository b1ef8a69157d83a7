import { ID_PREFIX } from '../core/ids.ts'
import { type Context, expectFound } from './context.ts'

const ID_LENGTH = 26

/** As `findUser`, and whole ids of deleted users too: their ledger stays. */
export async function findUserEvenDeleted(
  context: Context,
  ref: string,
): Promise<{ readonly id: string; readonly name: string }> {
  const store = await context.store('read')
  const found = await store.findUser(ref)
  const isWholeId =
    ref.startsWith(ID_PREFIX.user) && ref.length === ID_PREFIX.user.length + ID_LENGTH
  if (found.kind === 'not_found' && isWholeId && (await store.getWallet(ref)) !== null) {
    return { id: ref, name: ref }
  }
  return expectFound(found, 'user', ref)
}
