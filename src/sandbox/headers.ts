import type { SandboxAccount } from './accounts.ts'
import type { Asked } from './asked.ts'
import type { ApiError } from './errors.ts'
import type { Fault } from './faults.ts'
import type { SandboxModel } from './models.ts'
import { hash32 } from './random.ts'
import type { World } from './world.ts'

export type Headers = { [name: string]: string | readonly string[] }

/** What an edge network adds: a gateway must not pass these on. */
const EDGE: Headers = {
  server: 'cloudflare',
  'cf-cache-status': 'DYNAMIC',
  'alt-svc': 'h3=":443"; ma=86400',
  'set-cookie': [
    '__cf_bm=sandbox; path=/; HttpOnly; Secure; SameSite=None',
    '_cfuvid=sandbox; path=/; HttpOnly; Secure; SameSite=None',
  ],
  'x-robots-tag': 'none',
  'strict-transport-security': 'max-age=31536000; includeSubDomains; preload',
}

/** The headers of every answer; the ids of the account only once the key was accepted. */
export function baseHeaders(requestId: string, account: SandboxAccount | null): Headers {
  return {
    'content-type': 'application/json',
    'request-id': requestId,
    ...EDGE,
    'cf-ray': `${hash32(requestId).toString(16).padStart(16, '0')}-FRA`,
    ...(account
      ? {
          'anthropic-organization-id': account.organizationId,
          'anthropic-workspace-id': account.workspaceId,
        }
      : {}),
  }
}

/** The headers of an answer to `asked`, with its model's rate limits and what the fault changes. */
export function headersFor(
  world: World,
  asked: Asked,
  fault: Fault,
  model: SandboxModel | null = null,
): Headers {
  const headers = baseHeaders(asked.requestId, asked.account)
  if (model) {
    const { organizationId } = asked.account
    Object.assign(headers, world.limits.headers(organizationId, model.rateClass))
  }
  if (fault.contentType !== undefined) headers['content-type'] = fault.contentType
  if (fault.futureHeader) headers['anthropic-not-yet-invented'] = 'yes; since="2027"'
  if (fault.shouldRetry !== undefined) headers['x-should-retry'] = fault.shouldRetry
  if (fault.retryAfter !== undefined && fault.retryAfter !== 'none') {
    headers['retry-after'] = fault.retryAfter
  }
  return headers
}

/** The headers of a refusal: `retry-after` as the error has it, unless the fault says otherwise. */
export function errorHeaders(
  world: World,
  asked: Asked,
  fault: Fault,
  error: ApiError,
  model: SandboxModel | null = null,
): Headers {
  const headers = headersFor(world, asked, fault, model)
  if (error.retryAfter !== undefined && fault.retryAfter === undefined) {
    headers['retry-after'] = error.retryAfter
  }
  return headers
}
