import { createServer, type Server } from 'node:http'
import type { ListenAddress } from '../config/schema.ts'
import type { Gateway } from '../gateway/gateway.ts'
import type { Metrics } from '../observe/metrics.ts'
import { listenAt } from './listen-at.ts'

/** Metrics that are counted, and served. */
export interface MetricsEndpoint {
  readonly counts: Metrics
  /** Where: `127.0.0.1:9464` or a socket's path. */
  readonly address: string
  close(): Promise<void>
}

/** Begins to count, and answers `GET /metrics` at `at`. Throws `ListenError` when the address cannot be had. */
export async function serveMetrics(
  gateway: Gateway,
  at: ListenAddress,
  isOpen: () => boolean,
): Promise<MetricsEndpoint> {
  // Loaded for those who want it: 3 MB.
  const { createMetrics } = await import('../observe/metrics.ts')
  const { pool, routing, running } = gateway
  const counts = createMetrics({
    nameOf: (id) => pool.account(id)?.account.name ?? id,
    gauges() {
      const { prefixes, bound } = routing.affinity.figures
      const waiting = routing.room.size
      const accounts = pool.states().map(({ word }) => word)
      // Who stands in line is among the running as well, for a stop has to wait for it.
      const served = Math.max(0, running.size - waiting)
      return { running: served, waiting, accounts, prefixes, bound, isOpen: isOpen() }
    },
  })
  const server = createMetricsServer(counts)
  const address = await listenAt(server, at)
  return {
    counts,
    address,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function createMetricsServer(metrics: Metrics): Server {
  // Who reads them is a program on this machine: it asks quickly or not at all.
  return createServer({ headersTimeout: 5_000, requestTimeout: 5_000 }, (request, response) => {
    const path = request.url?.split('?', 1)[0]
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    if (path !== '/metrics' || !isRead) {
      response.writeHead(path === '/metrics' ? 405 : 404, { 'content-type': 'text/plain' })
      response.end('Metrics are at GET /metrics.\n')
      return
    }
    metrics.text().then(
      (text) => {
        response.writeHead(200, { 'content-type': metrics.contentType })
        response.end(text)
      },
      () => response.writeHead(500).end(),
    )
  })
}
