import { requestHeadersUp } from '../../wire/headers.ts'
import type { Target } from '../provider.ts'

/** What upstream gets when the client did not say. */
export interface RequestDefaults {
  readonly anthropicVersion: string
}

/**
 * Headers of an attempt, flat: the client's own as they pass, the account's credential in the one place of
 * the client's, and a JSON body whatever the client called it. `identity` keeps answers readable in passing.
 */
export function upstreamHeaders(
  rawHeaders: readonly string[],
  target: Target,
  defaults: RequestDefaults,
): string[] {
  const headers = requestHeadersUp(rawHeaders, { workspaceId: target.workspaceId })
  let hasVersion = false
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i].length === 17 && headers[i].toLowerCase() === 'anthropic-version')
      hasVersion = true
  }
  if (!hasVersion) headers.push('anthropic-version', defaults.anthropicVersion)
  headers.push(
    'x-api-key',
    target.credential,
    'content-type',
    'application/json',
    'accept-encoding',
    'identity',
  )
  return headers
}
