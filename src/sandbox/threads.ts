import type { SandboxAccount } from './accounts.ts'
import { type ApiError, badRequest } from './errors.ts'
import { asList, asObject, asText, type JsonObject } from './json.ts'

export type ThreadResult =
  | { readonly kind: 'none' }
  | { readonly kind: 'refused'; readonly error: ApiError }
  | { readonly kind: 'ready'; readonly body: JsonObject; readonly turn: ThreadTurn }

/** One request of a thread between its start and its end. */
export interface ThreadTurn {
  /** The answer is complete: its id can be continued once. */
  done(messageId: string, content: readonly JsonObject[]): void
  /** No answer: the earlier message may be continued again. */
  failed(): void
}

/** Conversations that upstream keeps, by the id of their last message; 5 minutes each. */
export interface ThreadBook {
  /** The whole request that `body` stands for, when it creates or continues a thread. */
  open(account: SandboxAccount, body: JsonObject, betas: readonly string[]): ThreadResult
}

interface Stored {
  readonly accountKey: string
  readonly fingerprint: string
  readonly body: JsonObject
  expiresMs: number
  state: 'open' | 'in_flight' | 'continued'
}

const IDLE_MS = 300_000
const MAX_STORED = 2_000
const FIXED = [
  'model',
  'tool_choice',
  'thinking',
  'output_config',
  'mcp_servers',
  'context_management',
  'cache_control',
  'container',
]

/** An empty book. */
export function createThreads(nowMs: () => number): ThreadBook {
  const stored = new Map<string, Stored>()

  function turn(
    account: SandboxAccount,
    body: JsonObject,
    fingerprint: string,
    from: Stored | null,
  ) {
    return {
      done(messageId: string, content: readonly JsonObject[]) {
        if (from) from.state = 'continued'
        if (stored.size >= MAX_STORED) {
          const oldest = stored.keys().next().value
          if (oldest !== undefined) stored.delete(oldest)
        }
        const messages = [...asList(body.messages), { role: 'assistant', content }]
        stored.set(messageId, {
          accountKey: account.key,
          fingerprint,
          body: { ...body, messages },
          expiresMs: nowMs() + IDLE_MS,
          state: 'open',
        })
      },
      failed() {
        if (from) from.state = 'open'
      },
    }
  }

  return {
    open(account, body, betas) {
      const thread = asObject(body.thread)
      if (body.thread === undefined) return { kind: 'none' }
      const fingerprint = JSON.stringify([
        [...betas].sort(),
        ...FIXED.map((name) => body[name] ?? null),
      ])
      if (thread?.type === 'create') {
        return { kind: 'ready', body, turn: turn(account, body, fingerprint, null) }
      }
      if (thread?.type !== 'continue') {
        return refused("thread.type: Input should be 'create' or 'continue'")
      }
      if (body.system !== undefined || body.tools !== undefined) {
        const message = 'thread: `system` and `tools` cannot be sent when a thread is continued'
        return refused(message, 'thread_unsupported_request')
      }
      const id = asText(thread.previous_message_id) ?? ''
      const found = stored.get(id)
      if (!found || found.accountKey !== account.key || found.expiresMs <= nowMs()) {
        const error: ApiError = {
          status: 404,
          type: 'not_found_error',
          message: `thread: no thread ends with ${id}`,
          code: 'thread_not_found',
        }
        return { kind: 'refused', error }
      }
      if (found.state === 'continued') {
        return refused('thread: this message was continued before', 'thread_already_continued')
      }
      if (found.state === 'in_flight') {
        return refused('thread: this message is being continued', 'thread_continue_in_flight')
      }
      if (found.fingerprint !== fingerprint) {
        const message = 'thread: the request differs from the thread in what must not change'
        return refused(message, 'thread_fingerprint_mismatch')
      }
      found.state = 'in_flight'
      const messages = [...asList(found.body.messages), ...asList(body.messages)]
      const { system, tools } = found.body
      const whole = {
        ...body,
        ...(system === undefined ? {} : { system }),
        ...(tools === undefined ? {} : { tools }),
        messages,
      }
      return { kind: 'ready', body: whole, turn: turn(account, whole, fingerprint, found) }
    },
  }
}

function refused(message: string, code?: string): ThreadResult {
  return { kind: 'refused', error: badRequest(message, code) }
}
