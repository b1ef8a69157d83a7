import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo, Server, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import type { TestContext } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { TEST_CERTIFICATE, TEST_CERTIFICATE_KEY } from './test-certificate.ts'

/** A proxy on a port of this machine, and what it was asked for. */
export interface FakeProxy {
  readonly port: number
  /** `host:port` of every tunnel that was opened. */
  readonly asked: readonly string[]
  /** The `user:password` of the last one who asked; '' where none was given. */
  readonly login: () => string
}

async function listen(t: TestContext, server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port // it listens on TCP
}

/** Connects both ends; it resolves names under `.test`, which nobody else can, to this machine. */
function join(client: Socket, host: string, port: number, onOpen: () => void): void {
  const target = connect(port, host.endsWith('.test') ? '127.0.0.1' : host, () => {
    onOpen()
    target.pipe(client)
    client.pipe(target)
  })
  target.on('error', () => client.destroy())
  client.on('error', () => target.destroy())
  client.on('close', () => target.destroy())
}

/**
 * Tunnels by CONNECT; with `login` it answers 407 to everybody else. Names under `.test` are this machine. `isTls`: it
 * is spoken to in TLS, and shows the test certificate.
 */
export async function httpProxy(
  t: TestContext,
  {
    login = '',
    status = 200,
    isTls = false,
  }: { readonly login?: string; readonly status?: number; readonly isTls?: boolean } = {},
): Promise<FakeProxy> {
  const asked: string[] = []
  let given = ''
  const server = createHttpServer()
  server.on('connect', (request, client: Socket) => {
    const header = request.headers['proxy-authorization'] ?? ''
    given = Buffer.from(header.replace(/^Basic /, ''), 'base64').toString('utf8')
    if (given !== login) {
      client.end('HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 3\r\n\r\nno!')
      return
    }
    if (status !== 200) {
      client.end(`HTTP/1.1 ${status} No\r\n\r\n`)
      return
    }
    const authority = request.url ?? ''
    asked.push(authority)
    const { hostname, port } = new URL(`http://${authority}`)
    join(client, hostname, Number(port) || 80, () => client.write('HTTP/1.1 200 OK\r\n\r\n'))
  })
  const front = isTls
    ? createTlsServer({ cert: TEST_CERTIFICATE, key: TEST_CERTIFICATE_KEY }, (socket) => {
        socket.on('error', () => {})
        server.emit('connection', socket)
      })
    : server
  return { port: await listen(t, front), asked, login: () => given }
}

/** Speaks SOCKS 5; with `login` it takes that user only. Names under `.test` are this machine. */
export async function socksProxy(
  t: TestContext,
  {
    login = '',
    reply = 0,
    isSlow = false,
  }: { readonly login?: string; readonly reply?: number; readonly isSlow?: boolean } = {},
): Promise<FakeProxy> {
  const asked: string[] = []
  let given = ''
  const server = createServer((client) => {
    let phase: 'greeting' | 'login' | 'request' | 'open' = 'greeting'
    let buffer = Buffer.alloc(0)
    const write = (bytes: readonly number[]) => {
      if (!isSlow) client.write(Buffer.from(bytes))
      // Byte by byte, as a bad network would.
      else
        for (const [i, byte] of bytes.entries())
          setTimeout(() => client.write(Buffer.of(byte)), i * 2)
    }
    const onData = (chunk: Buffer) => {
      buffer = Buffer.concat([buffer, chunk])
      for (;;) {
        if (phase === 'greeting' && buffer.length >= 2 && buffer.length >= 2 + buffer[1]) {
          const methods = [...buffer.subarray(2, 2 + buffer[1])]
          buffer = buffer.subarray(2 + buffer[1])
          const method = login === '' ? 0 : methods.includes(2) ? 2 : 255
          phase = method === 2 ? 'login' : 'request'
          write([5, method])
        } else if (phase === 'login' && buffer.length >= 5) {
          const user = buffer.subarray(2, 2 + buffer[1])
          const password = buffer.subarray(3 + buffer[1], 3 + buffer[1] + buffer[2 + buffer[1]])
          given = `${user}:${password}`
          buffer = buffer.subarray(3 + user.length + password.length)
          phase = 'request'
          write([1, given === login ? 0 : 1])
        } else if (phase === 'request' && buffer.length >= 7) {
          const isName = buffer[3] === 3
          const length = isName ? buffer[4] : buffer[3] === 1 ? 4 : 16
          const from = isName ? 5 : 4
          const address = buffer.subarray(from, from + length)
          const host = isName
            ? address.toString()
            : length === 4
              ? [...address].join('.')
              : address.toString('hex')
          const port = buffer.readUInt16BE(from + length)
          buffer = buffer.subarray(from + length + 2)
          asked.push(`${host}:${port}`)
          phase = 'open'
          if (reply !== 0) {
            client.end(Buffer.from([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]))
            return
          }
          client.off('data', onData)
          // The address it uses is told as a name: the longest of the three forms.
          const open = () => write([5, 0, 0, 3, 4, ...Buffer.from('here'), 0, 80])
          join(client, length === 16 ? '127.0.0.1' : host, port, open)
          return
        } else return
      }
    }
    client.on('data', onData)
  })
  return { port: await listen(t, server), asked, login: () => given }
}
