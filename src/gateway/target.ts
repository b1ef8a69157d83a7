import type { LiveAccount } from '../pool/pool.ts'
import type { Target } from '../providers/provider.ts'

/** Where a request to this account goes. */
export function targetOf(live: LiveAccount, workspaceId: string | null): Target {
  const { id, baseUrl } = live.account
  // `https://host` or `https://host/prefix`, without a slash at the end.
  const path = baseUrl.indexOf('/', baseUrl.indexOf('://') + 3)
  return {
    accountId: id,
    pathPrefix: path < 0 ? '' : baseUrl.slice(path),
    credential: live.credential,
    workspaceId,
  }
}
