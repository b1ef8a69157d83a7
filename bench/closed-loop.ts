// As many requests as answers allow: every connection sends its next one when it has its answer.

import { Connection } from './connection.ts'
import { type LoadPlan, type LoadResult, Window } from './load.ts'

/** Keeps `connections` requests in flight; with `countEvents` also counts events of the answers. */
export async function closedLoop(
  plan: LoadPlan & { readonly connections: number; readonly countEvents?: boolean },
): Promise<LoadResult> {
  const window = new Window(plan)
  let ended = false
  const connections: Connection[] = []
  const start = (): Promise<void> => {
    let sentMs = 0
    const next = () => {
      sentMs = performance.now()
      connection.send(plan.request)
    }
    const connection = new Connection(plan.port, {
      countEvents: plan.countEvents ?? false,
      onData: (events, bytes) => {
        if (!window.open) return
        window.events += events
        window.bytes += bytes
      },
      onAnswer: (failure) => {
        if (window.open && failure === null) {
          window.requests++
          window.latencies.add(performance.now() - sentMs)
        } else if (failure !== null && !ended) window.fail(failure)
        if (!ended) {
          if (failure === null) next()
          else setTimeout(() => !ended && connection.reconnect().then(next, () => {}), 20)
        }
      },
    })
    connections.push(connection)
    return connection.reconnect().then(next)
  }
  try {
    await Promise.all(Array.from({ length: plan.connections }, start))
    await window.run()
  } finally {
    ended = true
    for (const connection of connections) connection.close()
  }
  return window.result()
}
