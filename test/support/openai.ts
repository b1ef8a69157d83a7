import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import OpenAI, { type ClientOptions } from 'openai'
import type { World } from './world.ts'

/** The official SDK of OpenAI before a world's gateway, as a customer sets it up. */
export function openAiFor(w: Pick<World, 'url' | 'key'>, options: ClientOptions = {}): OpenAI {
  return new OpenAI({ apiKey: w.key, baseURL: `${w.url}/v1`, maxRetries: 0, ...options })
}

/** Posts to a path of the gateway with the world's key as Bearer. */
export function postOpenAi(
  w: Pick<World, 'url' | 'key'>,
  path: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
  signal?: AbortSignal,
): Promise<Response> {
  return fetch(w.url + path, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${w.key}`,
      'content-type': 'application/json',
      ...headers,
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  })
}

/** `usage` of either API, as far as receipts know it. */
interface AnyUsage {
  readonly prompt_tokens?: number
  readonly completion_tokens?: number
  readonly input_tokens?: number
  readonly output_tokens?: number
  readonly total_tokens: number
  readonly prompt_tokens_details?: CachedTokens
  readonly input_tokens_details?: CachedTokens
}

interface CachedTokens {
  readonly cached_tokens?: number
  readonly cache_write_tokens?: number
}

/** Asserts that the receipt of a request carries the very numbers of its answer, and its cost. */
export async function assertSameNumbers(
  w: World,
  requestId: string,
  usage: unknown,
): Promise<void> {
  const row = await w.usage(requestId)
  const said = usage as AnyUsage & { readonly cost_micro?: number } // what OpenAI promises, and we add
  const { input, output, cacheRead, cacheWrite5m, cacheWrite1h } = row.tokens
  const written = cacheWrite5m + cacheWrite1h
  const details = said.prompt_tokens_details ?? said.input_tokens_details
  assert.deepEqual(
    {
      prompt: said.prompt_tokens ?? said.input_tokens,
      output: said.completion_tokens ?? said.output_tokens,
      total: said.total_tokens,
      cached: details?.cached_tokens,
      written: details?.cache_write_tokens,
      cost: said.cost_micro,
    },
    {
      prompt: input + cacheRead + written,
      output,
      total: input + cacheRead + written + output,
      cached: cacheRead,
      written,
      cost: row.costMicro,
    },
  )
  assert.equal(row.status, 'complete')
  assert.equal(row.source, 'exact')
  assert.ok(row.costMicro > 0)
}

/** The request id that stands in the id of an answer. */
export function requestIdIn(answerId: string): string {
  return answerId.replace(/^(chatcmpl-|resp_)/, '')
}

/** What a scripted upstream was sent. */
export interface ScriptedRequest {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: { readonly [name: string]: unknown }
}

/** Answers one request, by hand. */
export type ScriptedAnswer = (response: ServerResponse, request: ScriptedRequest) => void

/** An upstream that gives these answers in their order, the last one for ever. */
export async function scriptedUpstream(
  t: TestContext,
  answers: readonly ScriptedAnswer[],
): Promise<{ readonly url: string; readonly requests: readonly ScriptedRequest[] }> {
  const requests: ScriptedRequest[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString('utf8')
      const { headers, url = '' } = request
      const asked = { path: url, headers, body: JSON.parse(text) as ScriptedRequest['body'] }
      const answer = answers[Math.min(requests.length, answers.length - 1)]
      requests.push(asked)
      answer(response, asked)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo // a TCP server that listens has one
  return { url: `http://127.0.0.1:${port}`, requests }
}

/** An event of upstream's. */
export interface ScriptedEvent {
  readonly type: string
  readonly [name: string]: unknown
}

/** Upstream's events as bytes of a stream. */
export function eventText(events: readonly ScriptedEvent[]): string {
  return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('')
}

/** Answers with a stream of these events, whole. */
export function streams(events: readonly ScriptedEvent[]): ScriptedAnswer {
  return (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'request-id': 'req_scripted' })
    response.end(eventText(events))
  }
}

/** Answers with an error of upstream's. */
export function refuses(status: number, type: string, message: string): ScriptedAnswer {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json', 'request-id': 'req_refused' })
    response.end(JSON.stringify({ type: 'error', error: { type, message } }))
  }
}

/** The events of an answer with these blocks. */
export function answerEvents(
  blocks: readonly { readonly start: object; readonly deltas: readonly object[] }[],
  stopReason: string,
  model = 'claude-sonnet-4-6',
): ScriptedEvent[] {
  const usage = { input_tokens: 20, output_tokens: 1 }
  const message = {
    id: 'msg_scripted',
    type: 'message',
    role: 'assistant',
    model,
    content: [],
    usage,
  }
  return [
    { type: 'message_start', message },
    ...blocks.flatMap(({ start, deltas }, index) => [
      { type: 'content_block_start', index, content_block: start },
      ...deltas.map((delta) => ({ type: 'content_block_delta', index, delta })),
      { type: 'content_block_stop', index },
    ]),
    { type: 'message_delta', delta: { stop_reason: stopReason }, usage: { output_tokens: 30 } },
    { type: 'message_stop' },
  ]
}

/** A block of text, in pieces. */
export function textBlock(...pieces: readonly string[]) {
  const deltas = pieces.map((text) => ({ type: 'text_delta', text }))
  return { start: { type: 'text', text: '' }, deltas }
}

/** A tool call, its arguments in pieces. */
export function toolBlock(id: string, name: string, ...pieces: readonly string[]) {
  const deltas = pieces.map((partial_json) => ({ type: 'input_json_delta', partial_json }))
  return { start: { type: 'tool_use', id, name, input: {} }, deltas }
}
