// The yardstick: a pass-through proxy of Node's own HTTP server and undici's `dispatch`, and nothing
// else. No keys, no money, no choice of account. Prints its port; ends when its input ends.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Dispatcher, Pool } from 'undici'

const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'host',
  'upgrade',
  'te',
])
/** Smaller bodies are collected and sent as one buffer, which costs undici less than a stream. */
const COLLECT_BYTES = 64 * 1024

function headersUp(raw: readonly string[]): string[] {
  const headers: string[] = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] ?? ''
    if (!HOP_BY_HOP.has(name.toLowerCase())) headers.push(name, raw[i + 1] ?? '')
  }
  return headers
}

function relay(
  pool: Pool,
  req: IncomingMessage,
  res: ServerResponse,
  body: Buffer | IncomingMessage,
) {
  const path = req.url ?? '/'
  const method = (req.method ?? 'GET') as Dispatcher.HttpMethod // Node's parser knows the method
  pool.dispatch(
    { path, method, headers: headersUp(req.rawHeaders), body },
    {
      onRequestStart(controller) {
        res.on('close', () => {
          if (!res.writableFinished) controller.abort(new Error('client went away'))
        })
        res.on('drain', () => controller.resume())
      },
      onResponseStart(_controller, status, headers) {
        for (const name in headers) {
          const value = headers[name]
          if (!HOP_BY_HOP.has(name) && value !== undefined) res.setHeader(name, value)
        }
        res.writeHead(status)
      },
      onResponseData(controller, chunk) {
        if (!res.write(chunk)) controller.pause()
      },
      onResponseEnd() {
        res.end()
      },
      onResponseError() {
        if (res.headersSent) res.destroy()
        else res.writeHead(502).end()
      },
    },
  )
}

/** Starts the proxy in front of an origin such as `http://127.0.0.1:8080`; answers its port. */
export async function startBareProxy(origin: string): Promise<number> {
  const pool = new Pool(origin, { connections: null, pipelining: 1, allowH2: false })
  const server = createServer({ requestTimeout: 0 }, (req, res) => {
    const length = Number(req.headers['content-length'] ?? Number.NaN)
    if (!(length <= COLLECT_BYTES)) {
      relay(pool, req, res, req)
      return
    }
    const parts: Buffer[] = []
    req.on('data', (part: Buffer) => parts.push(part))
    req.on('end', () =>
      relay(pool, req, res, parts.length === 1 ? parts[0]! : Buffer.concat(parts)),
    )
  })
  await new Promise<void>((resolve) => {
    server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, resolve)
  })
  return (server.address() as AddressInfo).port // a TCP server's address is never a string
}

if (import.meta.main) {
  process.stdout.write(`${await startBareProxy(process.argv[2] ?? '')}\n`)
  process.stdin.resume()
  process.stdin.on('end', () => process.exit(0))
}
