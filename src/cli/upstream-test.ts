import { checkBaseUrl } from '../core/address.ts'
import type { Account } from '../core/model.ts'
import { safeText } from '../core/text.ts'
import { classify } from '../providers/anthropic/classify.ts'
import { upstreamHeaders } from '../providers/anthropic/request.ts'
import { Connections } from '../providers/http.ts'
import { usageError } from './errors.ts'

/** Cheap, and offered to every organisation; counting tokens with it costs nothing. */
export const TEST_MODEL = 'claude-haiku-4-5-20251001'

/** What one free request said about an account. */
export interface TestResult {
  readonly ok: boolean
  readonly latencyMs: number
  readonly status: number | null
  /** One phrase for people; null when it went well. Never holds the credential. */
  readonly error: string | null
  readonly limits: {
    readonly requests_limit: number | null
    readonly requests_remaining: number | null
    readonly input_tokens_limit: number | null
    readonly input_tokens_remaining: number | null
  }
}

/** Whom to ask, with what. */
export interface TestTarget {
  readonly account: Pick<Account, 'id' | 'baseUrl' | 'allowPrivate'>
  readonly credential: string
  /** The whole URL of the outbound proxy, its own or the config's; null: none. */
  readonly proxy: string | null
  readonly anthropicVersion: string
  readonly connectMs: number
  readonly timeoutMs: number
  readonly model?: string
}

const MAX_BODY_BYTES = 65_536

/** The base URL as it will be stored, `what` is where it was given; refuses what `core/address.ts` forbids. */
export function readBaseUrl(text: string, allowPrivate: boolean, what: string): string {
  const checked = checkBaseUrl(text, { allowPrivate })
  if (checked.kind === 'refused')
    throw usageError(`${what}: ${checked.problem}`, checked.hint, 'bad_value')
  return checked.baseUrl
}

/** Asks the account to count the tokens of one word: free, and proves key, address and way. */
export async function testAccount(target: TestTarget): Promise<TestResult> {
  const startedMs = performance.now()
  const connections = new Connections({
    connectMs: Math.min(target.connectMs, target.timeoutMs),
    keepAliveMs: 1_000,
    connectionsPerAccount: 1,
    proxy: null,
  })
  const url = new URL(target.account.baseUrl)
  const done = (facts: Partial<TestResult>): TestResult => ({
    ok: false,
    status: null,
    error: null,
    limits: {
      requests_limit: null,
      requests_remaining: null,
      input_tokens_limit: null,
      input_tokens_remaining: null,
    },
    latencyMs: Math.round(performance.now() - startedMs),
    ...facts,
  })
  try {
    const pathPrefix = url.pathname.replace(/\/+$/, '')
    const headers = upstreamHeaders(
      [],
      {
        accountId: target.account.id,
        pathPrefix,
        credential: target.credential,
        workspaceId: null,
      },
      { anthropicVersion: target.anthropicVersion },
    )
    const answer = await ask(connections.for(target), {
      path: `${pathPrefix}/v1/messages/count_tokens`,
      headers,
      body: JSON.stringify({
        model: target.model ?? TEST_MODEL,
        messages: [{ role: 'user', content: 'ping' }],
      }),
      timeoutMs: target.timeoutMs,
    })
    const { body } = answer
    const number = (name: string) => {
      const value = answer.headers[`anthropic-ratelimit-${name}`]
      return typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : null
    }
    const limits = {
      requests_limit: number('requests-limit'),
      requests_remaining: number('requests-remaining'),
      input_tokens_limit: number('input-tokens-limit'),
      input_tokens_remaining: number('input-tokens-remaining'),
    }
    const outcome = classify({
      status: answer.status,
      headers: answer.headers,
      body,
      nowMs: Date.now(),
    })
    if (outcome.kind === 'ok' && !/"input_tokens"\s*:\s*\d/.test(body)) {
      return done({
        status: answer.status,
        error: 'it answered, but not like the Claude API',
        limits,
      })
    }
    const error =
      outcome.kind === 'ok' ? null : `${outcome.reason}${detailOf(body, target.credential)}`
    return done({ ok: outcome.kind === 'ok', status: answer.status, error, limits })
  } catch (error) {
    return done({ error: connectProblem(error, url.host, target.timeoutMs) })
  } finally {
    await connections.destroy()
  }
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

/** One POST; rejects with the connection's error or a `TimeoutError`. Redirects are answers, never followed. */
function ask(
  connections: ReturnType<Connections['for']>,
  request: {
    readonly path: string
    readonly headers: string[]
    readonly body: string
    readonly timeoutMs: number
  },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new DOMException('no answer in time', 'TimeoutError')),
      request.timeoutMs,
    )
    const end = (act: () => void) => {
      clearTimeout(timer)
      act()
    }
    const { path, headers, body } = request
    let status = 0
    let answerHeaders: Answer['headers'] = {}
    const chunks: Buffer[] = []
    let size = 0
    connections.dispatch(
      { method: 'POST', path, headers, body },
      {
        onRequestStart() {},
        onResponseStart(_controller, code, found) {
          status = code
          answerHeaders = found
        },
        onResponseData(_controller, chunk) {
          size += chunk.length
          if (size <= MAX_BODY_BYTES) chunks.push(chunk)
        },
        onResponseEnd() {
          const text = Buffer.concat(chunks).toString('utf8')
          end(() => resolve({ status, headers: answerHeaders, body: text }))
        },
        onResponseError(_controller, error) {
          end(() => reject(error))
        },
      },
    )
  })
}

/** Upstream's own sentence, cut and cleaned; a body that quotes the credential loses it. */
function detailOf(body: string, credential: string): string {
  try {
    const parsed: unknown = JSON.parse(body)
    const error =
      typeof parsed === 'object' && parsed !== null && 'error' in parsed ? parsed.error : null
    const message =
      typeof error === 'object' && error !== null && 'message' in error ? error.message : null
    if (typeof message !== 'string') return ''
    const clean = safeText(message.replaceAll(credential, '[key]')).replace(
      /sk-ant-[\w-]+/g,
      '[key]',
    )
    return `: ${clean.slice(0, 200)}`
  } catch {
    return ''
  }
}

function connectProblem(error: unknown, host: string, timeoutMs: number): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const name = error instanceof Error ? error.name : ''
  if (name === 'TimeoutError')
    return `no answer from ${host} within ${Math.round(timeoutMs / 1000)} s`
  switch (code) {
    case 'EPRIVATE':
      return `${host} resolves to an address inside this network (permit it with --allow-private)`
    // Its text is made to be shown: it says which part failed, and holds no login.
    case 'EPROXY':
      return error instanceof Error ? error.message : code
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the name ${host} cannot be resolved (${code})`
    case 'ECONNREFUSED':
      return `${host} refuses connections`
    case 'UND_ERR_CONNECT_TIMEOUT':
      return `no connection to ${host} in time`
    default:
      return `cannot reach ${host}${code === '' ? '' : ` (${code})`}`
  }
}
