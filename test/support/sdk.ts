import Anthropic, { type ClientOptions } from '@anthropic-ai/sdk'
import type { World } from './world.ts'

/** The official SDK before a world's gateway, with a look at what it sends. */
export interface WatchedClient {
  readonly client: Anthropic
  /** Every HTTP request it made, in order. */
  readonly calls: readonly WatchedCall[]
}

export interface WatchedCall {
  readonly url: string
  readonly requestHeaders: Headers
  readonly status: number
  /** As the gateway sent them. */
  readonly headers: Headers
}

/** As a customer sets it up; waits that the gateway asks for are noted and cut short. */
export function sdkFor(w: Pick<World, 'url' | 'key'>, options: ClientOptions = {}): WatchedClient {
  const calls: WatchedCall[] = []
  const client = new Anthropic({
    apiKey: w.key,
    baseURL: w.url,
    fetch: async (input, init) => {
      const response = await fetch(input, init)
      const url = String(input instanceof Request ? input.url : input)
      const requestHeaders = new Headers(init?.headers)
      calls.push({ url, requestHeaders, status: response.status, headers: response.headers })
      const headers = new Headers(response.headers)
      if (headers.has('retry-after-ms')) headers.set('retry-after-ms', '1')
      const { status, statusText } = response
      return new Response(response.body, { status, statusText, headers })
    },
    ...options,
  })
  return { client, calls }
}
