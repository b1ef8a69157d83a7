import type { IncomingMessage } from 'node:http'
import type { Dialect } from '../dialects/dialect.ts'
import { DIALECTS } from '../dialects/index.ts'

const ANTHROPIC: Dialect = DIALECTS['/v1/messages']
const OPENAI: Dialect = DIALECTS['/v1/chat/completions']
const BY_PATH: Readonly<Record<string, Dialect>> = DIALECTS

/**
 * The format in which a request is answered, errors from the very first check included: that of its path;
 * on paths that both know, or nobody, that of how it says who calls. Only Anthropic's clients send a version,
 * and both send Bearer.
 */
export function dialectOf(
  request: Pick<IncomingMessage, 'headers'>,
  path: string,
  hasOpenAi: boolean,
): Dialect {
  if (!hasOpenAi) return ANTHROPIC
  const speaking = speakingPath(path)
  // Without /v1 it is a mistyped base URL, and is told so in the client's own words.
  for (const known of Object.keys(BY_PATH))
    if (speaking === known || speaking.startsWith(`${known}/`) || `/v1${speaking}` === known)
      return BY_PATH[known]
  const { headers } = request
  const isOpenAi =
    speaking.startsWith('/v1/') &&
    !speaking.startsWith('/v1/usage/') &&
    headers.authorization !== undefined &&
    headers['x-api-key'] === undefined &&
    headers['anthropic-version'] === undefined
  return isOpenAi ? OPENAI : ANTHROPIC
}

/** A path as clients of OpenAI may spell it, whose base URLs people type: without doubled and last slashes. */
export function speakingPath(path: string): string {
  const single = path.replace(/\/{2,}/g, '/')
  return single.length > 1 && single.endsWith('/') ? single.slice(0, -1) : single
}
