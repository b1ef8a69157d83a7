import type { LiveAccount } from '../pool/pool.ts'
import type { Target } from '../providers/provider.ts'

/** Where a request to this account goes. */
export function targetOf(live: LiveAccount, workspaceId: string | null): Target {
  const url = new URL(live.account.baseUrl)
  return {
    accountId: live.account.id,
    origin: url.origin,
    pathPrefix: url.pathname === '/' ? '' : url.pathname,
    credential: live.credential,
    workspaceId,
  }
}
