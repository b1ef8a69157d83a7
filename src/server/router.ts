import { GatewayError } from '../core/errors.ts'
import type { Dialect } from '../dialects/dialect.ts'
import { DIALECTS } from '../dialects/index.ts'
import type { Incoming } from './context.ts'
import { speakingPath } from './dialect-of.ts'
import { serveCountTokens } from './routes/count-tokens.ts'
import { serveHealth, serveReady, serveRoot } from './routes/health.ts'
import { serveInference } from './routes/inference.ts'
import { serveModel, serveModels } from './routes/models.ts'
import { serveUsage } from './routes/usage.ts'

/** A route: the methods it takes and what it does. */
export interface Route {
  readonly methods: readonly string[]
  readonly serve: (incoming: Incoming, id: string) => Promise<void> | void
}

const READ = ['GET', 'HEAD']

/** Paths matched exactly, byte for byte: no decoding, no trailing slash, no `Host`. */
const EXACT: Readonly<Record<string, Route>> = {
  '/v1/messages/count_tokens': { methods: ['POST'], serve: serveCountTokens },
  '/v1/models': { methods: READ, serve: serveModels },
  '/healthz': { methods: READ, serve: serveHealth },
  '/readyz': { methods: READ, serve: serveReady },
  '/': { methods: READ, serve: serveRoot },
}

/** Whoever speaks one of the formats asks for answers the same way. */
const SPEAKING: Route = { methods: ['POST'], serve: serveInference }
const BY_PATH: Readonly<Record<string, Dialect>> = DIALECTS

/** Paths with one segment behind them. */
const BY_ID: Readonly<Record<string, Route>> = {
  '/v1/models/': { methods: READ, serve: serveModel },
  '/v1/usage/': { methods: READ, serve: serveUsage },
}

/** The route of a request, and the id behind it ('' where there is none); throws 400, 404 or 405. */
export function findRoute(
  method: string,
  path: string,
  hasOpenAi = true,
): { route: Route; id: string } {
  if (isSpeaking(path, hasOpenAi)) return { route: allowed(SPEAKING, method, path), id: '' }
  const exact = Object.hasOwn(EXACT, path) ? EXACT[path] : undefined
  if (exact !== undefined) return { route: allowed(exact, method, path), id: '' }
  const cut = path.lastIndexOf('/') + 1
  const byId =
    path.length > cut && Object.hasOwn(BY_ID, path.slice(0, cut))
      ? BY_ID[path.slice(0, cut)]
      : undefined
  if (byId !== undefined) return { route: allowed(byId, method, path), id: path.slice(cut) }
  if (path.startsWith('/v1/v1/')) throw wrongBase(path, 'has /v1 twice')
  if (isServed(`/v1${path}`, hasOpenAi)) throw wrongBase(path, 'lacks /v1 at its beginning')
  throw new GatewayError('route_not_found', {
    facts: { method: method.slice(0, 20), path: shown(path) },
  })
}

function wrongBase(path: string, problem: string): GatewayError {
  return new GatewayError('wrong_base_url', { facts: { path: shown(path), problem } })
}

/** Whether something is served at exactly this path, or with one segment behind it. */
function isServed(path: string, hasOpenAi: boolean): boolean {
  if (isSpeaking(path, hasOpenAi) || Object.hasOwn(EXACT, path)) return true
  const cut = path.lastIndexOf('/') + 1
  return path.length > cut && Object.hasOwn(BY_ID, path.slice(0, cut))
}

/**
 * Whether a dialect is spoken at the path. Base URLs of OpenAI's clients are typed by people, so a slash more
 * does no harm there.
 */
function isSpeaking(path: string, hasOpenAi: boolean): boolean {
  if (Object.hasOwn(BY_PATH, path) && BY_PATH[path].name === 'anthropic') return true
  const speaking = speakingPath(path)
  if (!hasOpenAi || !Object.hasOwn(BY_PATH, speaking)) return false
  return BY_PATH[speaking].name === 'openai'
}

function allowed(route: Route, method: string, path: string): Route {
  if (route.methods.includes(method)) return route
  const allow = route.methods.join(', ')
  throw new GatewayError('method_not_allowed', { facts: { path: shown(path), allow } })
}

function shown(path: string): string {
  return path.slice(0, 200)
}
