/** Which headers pass through the gateway. Both lists are open: what is not named here passes. */

/** Node's flat form: name, value, name, value, … */
export type FlatHeaders = readonly string[]

/** What the verdict on a request header depends on. */
export interface UpOptions {
  /** The workspace of the chosen account; null when unknown, and then the client's header stays here. */
  readonly workspaceId: string | null
}

/** Meant for one connection only (RFC 9110, 7.6.1), and so never passed on in either direction. */
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]

const NOT_UP = new Set([
  ...HOP_BY_HOP,
  'accept-encoding',
  'authorization',
  'content-length',
  'content-type',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'true-client-ip',
  'via',
  'x-api-key',
  'x-real-ip',
])
const NOT_UP_PREFIXES = ['cf-', 'proxy-', 'x-cc-', 'x-forwarded-']

const NOT_DOWN = new Set([
  ...HOP_BY_HOP,
  'alt-svc',
  'anthropic-organization-id',
  'anthropic-workspace-id',
  'cache-control',
  'content-length',
  'date',
  'server',
  'set-cookie',
  // A promise about upstream's host, which a browser would take as one about the operator's.
  'strict-transport-security',
])
const NOT_DOWN_PREFIXES = [
  'anthropic-fast-',
  'anthropic-priority-',
  'anthropic-ratelimit-',
  'cf-',
  'x-cc-',
]

/** What clients of other formats say to the server of that format, besides what never goes up. */
const NOT_UP_TRANSLATED = new Set([
  'accept',
  'anthropic-beta',
  'anthropic-version',
  'originator',
  'session-id',
  'session_id',
  'thread-id',
  'x-client-request-id',
])
const NOT_UP_TRANSLATED_PREFIXES = ['chatgpt-', 'openai-', 'x-codex-', 'x-openai-', 'x-stainless-']

/** Verdicts by name; names repeat from request to request, so each is judged once. */
const upVerdicts = new Map<string, boolean>()
const downVerdicts = new Map<string, boolean>()
/** A client may invent names without end; beyond this they are judged each time. */
const MAX_VERDICTS = 1_000

/**
 * The client's headers as they go upstream, flat, names as the client spelled them. The caller adds
 * `host`, `content-type: application/json`, `accept-encoding: identity`, the length and the account's credential.
 */
export function requestHeadersUp(raw: FlatHeaders, options: UpOptions): string[] {
  const named = namedByConnection(raw)
  const headers: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]
    if (!passes(name, upVerdicts, NOT_UP, NOT_UP_PREFIXES)) continue
    if (named?.has(name.toLowerCase())) continue
    if (name.length === 22 && name.toLowerCase() === 'anthropic-workspace-id') {
      // It must match the credential's workspace, or upstream refuses the call.
      if (options.workspaceId === null || raw[i + 1] !== options.workspaceId) continue
    }
    headers.push(name, raw[i + 1])
  }
  return headers
}

/** The headers of a client of another format that may go up with its translated request, flat. */
export function translatedHeaders(raw: FlatHeaders): string[] {
  const headers: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i].toLowerCase()
    if (NOT_UP_TRANSLATED.has(name)) continue
    if (NOT_UP_TRANSLATED_PREFIXES.some((prefix) => name.startsWith(prefix))) continue
    headers.push(raw[i], raw[i + 1])
  }
  return headers
}

/** Upstream's headers as they go to the client, flat. The caller adds length, date and the `x-cc-*` ones. */
export function responseHeadersDown(raw: FlatHeaders): string[] {
  const named = namedByConnection(raw)
  const headers: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]
    if (!passes(name, downVerdicts, NOT_DOWN, NOT_DOWN_PREFIXES)) continue
    if (named?.has(name.toLowerCase())) continue
    headers.push(name, raw[i + 1])
  }
  return headers
}

function passes(
  name: string,
  verdicts: Map<string, boolean>,
  names: ReadonlySet<string>,
  prefixes: readonly string[],
): boolean {
  const known = verdicts.get(name)
  if (known !== undefined) return known
  const lower = name.toLowerCase()
  const verdict = !names.has(lower) && !prefixes.some((prefix) => lower.startsWith(prefix))
  if (verdicts.size < MAX_VERDICTS) verdicts.set(name, verdict)
  return verdict
}

/** Names that `Connection` lists belong to this connection as well; null for the usual keep-alive or close. */
function namedByConnection(raw: FlatHeaders): ReadonlySet<string> | null {
  let named: Set<string> | null = null
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (raw[i].length !== 10 || raw[i].toLowerCase() !== 'connection') continue
    const value = raw[i + 1].toLowerCase()
    if (value === 'keep-alive' || value === 'close') continue
    named ??= new Set()
    for (const name of value.split(',')) named.add(name.trim())
  }
  return named
}
