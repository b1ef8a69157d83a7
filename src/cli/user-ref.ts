import { ID_PREFIX } from '../core/ids.ts'
import { type Context, expectFound } from './context.ts'
import { CliError, EXIT } from './errors.ts'

const ID_LENGTH = 26

/** As `findUser`, and deleted users too, by whole id or as `bob#5kq0x2mv`: their ledger stays. */
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
  if (found.kind !== 'not_found') return expectFound(found, 'user', ref)
  const deleted = await store.listDeletedUsers(ref)
  const exact = deleted.find(({ name }) => name === ref)
  if (exact !== undefined) return exact
  if (deleted.length === 0) return expectFound(found, 'user', ref)
  throw new CliError({
    code: 'user_not_found',
    message: `The user ${ref} was deleted.`,
    hint: `What is left of them: ${deleted.map(({ name }) => name).join(', ')}`,
    exitCode: EXIT.notFound,
  })
}
