import type { Server as HttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'

/** The listening side of a server: it can stop listening while connections live on. */
export interface Front {
  readonly port: number
  /** True: nobody listens and open connections are reset; false: the same port listens again. */
  refuse(isRefusing: boolean): Promise<void>
  close(): Promise<void>
}

/** Listens on `host` and `port` (0: any) and hands connections to `server`. */
export async function openFront(
  server: HttpServer,
  host: string,
  wantedPort: number,
  connected: () => void,
): Promise<Front> {
  const sockets = new Set<Socket>()

  function create(): Server {
    return createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      connected()
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      server.emit('connection', socket)
    })
  }

  let listener = await listen(create(), wantedPort, host)
  const { port } = listener.address() as AddressInfo // a TCP server that listens has one

  return {
    port,
    async refuse(isRefusing) {
      if (isRefusing !== listener.listening) return
      if (isRefusing) {
        const closed = closeListener(listener)
        for (const socket of sockets) socket.resetAndDestroy()
        await closed
      } else {
        listener = await listen(create(), port, host)
      }
    },
    async close() {
      const closed = closeListener(listener)
      for (const socket of sockets) socket.destroy()
      server.close()
      await closed
    },
  }
}

function listen(listener: Server, port: number, host: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    listener.once('error', reject)
    listener.listen({ port, host, backlog: 1024 }, () => {
      listener.off('error', reject)
      resolve(listener)
    })
  })
}

function closeListener(listener: Server): Promise<void> {
  return new Promise((resolve) => {
    if (listener.listening) listener.close(() => resolve())
    else resolve()
  })
}
