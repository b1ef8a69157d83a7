import type { TestContext } from 'node:test'
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/sandbox/sandbox.ts'

/** A sandbox that ends with its test. */
export async function sandboxFor(t: TestContext, options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = await startSandbox(options)
  t.after(() => sandbox.close())
  return sandbox
}

export type Body = { readonly [name: string]: unknown }

/** A short question to a model. */
export function question(text: string, more: Body = {}): Body {
  return {
    model: 'claude-sonnet-4-6',
    max_tokens: 512,
    messages: [{ role: 'user', content: text }],
    ...more,
  }
}

/** Posts a body with the key of the first account, unless `headers` say otherwise. */
export function post(
  sandbox: Sandbox,
  body: unknown,
  headers: { readonly [name: string]: string } = {},
  path = '/v1/messages',
): Promise<Response> {
  return fetch(sandbox.url + path, {
    method: 'POST',
    headers: {
      'x-api-key': sandbox.accounts[0].key,
      'anthropic-version': '2023-06-01',
      'content-type': 'application/json',
      ...headers,
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    redirect: 'manual',
  })
}

/** An event of a stream: its name and its data. */
export interface SseEvent {
  readonly event: string
  readonly data: EventData
}

/** What the tests look at in events; which members an event has depends on its kind. */
export interface EventData {
  readonly type: string
  readonly index?: number
  readonly message: { readonly model: string; readonly usage: EventUsage }
  readonly content_block: { readonly type: string; readonly name: string }
  readonly delta?: {
    readonly type: string
    readonly text?: string
    readonly partial_json?: string
    readonly estimated_tokens?: number | null
    readonly stop_reason?: string
  }
  readonly usage: EventUsage
}

export interface EventUsage {
  readonly output_tokens: number
  readonly cache_creation: unknown
  readonly output_tokens_details: { readonly thinking_tokens: number }
  readonly iterations: readonly { readonly type: string; readonly output_tokens: number }[]
}

/** The events of a whole stream. */
export function eventsOf(text: string): readonly SseEvent[] {
  return text
    .split(/\r?\n\r?\n/)
    .filter((part) => part.trim() !== '')
    .map((part) => {
      const lines = part.split(/\r?\n/).filter((line) => !line.startsWith(':'))
      return {
        event: lines[0].replace('event: ', ''),
        data: JSON.parse(lines[1].replace('data: ', '')),
      }
    })
}

/** A PNG's head with that size: enough for whoever only reads the size. */
export function png(width: number, height: number): string {
  const bytes = Buffer.alloc(64)
  bytes.set([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  bytes.write('IHDR', 12)
  bytes.writeUInt32BE(width, 16)
  bytes.writeUInt32BE(height, 20)
  return bytes.toString('base64')
}

/** `tokens` tokens of prose at 3.7 bytes per token. */
export function prose(tokens: number, salt = ''): string {
  return `${salt}${'abc '.repeat(tokens)}`.slice(0, Math.floor(tokens * 3.7))
}
