import { request } from 'undici'
import { DEMO_MODEL } from './demo-request.ts'

const PROMPTS = [
  'Tell me a haiku.',
  'What is a gateway?',
  'Count to twenty.',
  'Write a limerick about queues.',
]
/** A demo on a small machine stays responsive. */
const MAX_RUNNING = 50

/** Load that keeps running until it is stopped. */
export interface Traffic {
  readonly stop: () => Promise<void>
}

/** Sends about `perMinute` requests per minute, half of them streamed; what fails shows in the monitor. */
export function startTraffic(url: string, key: string, perMinute: number): Traffic {
  const stopping = new AbortController()
  const running = new Set<Promise<void>>()
  let sent = 0
  const timer = setInterval(
    () => {
      if (running.size >= MAX_RUNNING) return
      const one = send(sent++).finally(() => running.delete(one))
      running.add(one)
    },
    Math.max(1, 60_000 / Math.max(1, perMinute)),
  )

  async function send(index: number): Promise<void> {
    try {
      const response = await request(`${url}/v1/messages`, {
        method: 'POST',
        headers: {
          'x-api-key': key,
          'anthropic-version': '2023-06-01',
          'content-type': 'application/json',
        },
        body: JSON.stringify({
          model: index % 3 === 0 ? 'claude-haiku-4-5' : DEMO_MODEL,
          max_tokens: 200,
          stream: index % 2 === 0,
          messages: [{ role: 'user', content: PROMPTS[index % PROMPTS.length] }],
        }),
        signal: stopping.signal,
      })
      await response.body.dump()
    } catch {
      // Stopped, or the gateway is going down: the demo is over.
    }
  }

  return {
    async stop() {
      clearInterval(timer)
      stopping.abort()
      await Promise.all(running)
    },
  }
}
