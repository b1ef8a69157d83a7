import { request as httpRequest } from 'node:http'
import { isIP, isIPv4, type Socket } from 'node:net'
import type { buildConnector } from 'undici'
import makeConnector from 'undici/lib/core/connect.js'
import type { ProxyUrl } from '../core/proxy-url.ts'

/** The proxy cannot be reached, or does not let us through; `message` says which, and holds no secret. */
export class ProxyError extends Error {
  override readonly name = 'ProxyError'
  readonly code = 'EPROXY'
}

/**
 * Makes connections through a proxy: HTTP's CONNECT (RFC 9110 9.3.6), in TLS for `https`, or SOCKS 5 (RFC 1928)
 * with user and password (RFC 1929). The proxy resolves the name and reaches the target; TLS with the target is ours,
 * inside. All of it takes at most `connectMs`. undici's own agents for this merge repeated headers, or warn that they are experimental.
 */
export function connectorThrough(proxy: ProxyUrl, connectMs: number): buildConnector.connector {
  const reach = makeConnector({ timeout: connectMs, allowH2: false })
  const secure = makeConnector({ timeout: connectMs, allowH2: false })
  return (target, done) => {
    openTunnel(proxy, target, { reach, secure, connectMs }).then(
      (socket) => done(null, socket),
      (error: Error) => done(error, null),
    )
  }
}

interface Means {
  /** Makes the connection to the proxy. */
  readonly reach: buildConnector.connector
  /** Makes TLS with the target inside the tunnel. */
  readonly secure: buildConnector.connector
  readonly connectMs: number
}

async function openTunnel(
  proxy: ProxyUrl,
  target: buildConnector.Options,
  { reach, secure, connectMs }: Means,
): Promise<Socket> {
  const beganMs = performance.now()
  const socket = await connected(reach, {
    hostname: proxy.host,
    host: proxy.host,
    protocol: proxy.scheme === 'https' ? 'https:' : 'http:',
    port: String(proxy.port),
    ...(isIP(proxy.host) === 0 ? { servername: proxy.host } : {}),
  }).catch((error: Error & { code?: string }) => {
    throw new ProxyError(`proxy unreachable: ${error.code ?? error.name}`)
  })
  const isSecure = target.protocol === 'https:'
  const port = Number(target.port) || (isSecure ? 443 : 80)
  const place = { host: target.hostname.replace(/^\[|\]$/g, ''), port }
  // Whoever says nothing must not hold the connection's place for good.
  let isLate = false
  const overdue = setTimeout(
    () => {
      isLate = true
      socket.destroy(new ProxyError('proxy did not answer in time'))
    },
    Math.max(1, connectMs - (performance.now() - beganMs)),
  )
  let isOpen = false
  try {
    await (proxy.scheme === 'socks5'
      ? askSocks(socket, proxy.login, place)
      : askConnect(socket, proxy.login, place))
    isOpen = true
    return isSecure ? await connected(secure, { ...target, httpSocket: socket }) : socket
  } catch (error) {
    socket.destroy()
    if (isOpen && isLate) throw tooLate()
    if (isOpen || error instanceof ProxyError) throw error
    throw new ProxyError(`proxy broke off${codeOf(error)}`)
  } finally {
    clearTimeout(overdue)
  }
}

/** The tunnel stood, and TLS inside it took too long: as undici says it without a proxy. */
function tooLate(): NodeJS.ErrnoException {
  return Object.assign(new Error('no TLS in time'), { code: 'UND_ERR_CONNECT_TIMEOUT' })
}

function connected(
  connector: buildConnector.connector,
  options: buildConnector.Options,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    connector(options, (error, socket) => (error === null ? resolve(socket) : reject(error)))
  })
}

type Login = ProxyUrl['login']
interface Place {
  /** A name, or an address without brackets. */
  readonly host: string
  readonly port: number
}

function askConnect(socket: Socket, login: Login, { host, port }: Place): Promise<void> {
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
  const headers: Record<string, string> = {
    host: authority,
    connection: 'keep-alive',
    'proxy-connection': 'keep-alive',
  }
  if (login !== null) {
    const pair = Buffer.from(`${login.user}:${login.password}`).toString('base64')
    headers['proxy-authorization'] = `Basic ${pair}`
  }
  return new Promise((resolve, reject) => {
    const asking = httpRequest({
      createConnection: () => socket,
      method: 'CONNECT',
      path: authority,
      headers,
    })
    asking.on('error', (error: Error & { code?: string }) => {
      const isHttp = error.code?.startsWith('HPE_') !== true
      reject(isHttp ? error : new ProxyError('proxy refused: it does not speak HTTP'))
    })
    asking.on('connect', ({ statusCode = 0 }, _socket, early) => {
      if (statusCode < 200 || statusCode > 299) {
        reject(new ProxyError(`proxy refused: ${statusCode}`))
        return
      }
      if (early.length > 0) socket.unshift(early)
      resolve()
    })
    asking.end()
  })
}

const SOCKS_VERSION = 5
const NO_LOGIN = 0
const USER_AND_PASSWORD = 2
const CONNECT = 1
const ADDRESS_BYTES: Readonly<Record<number, number>> = { 1: 4, 4: 16 }
const ADDRESS_NAME = 3
const MOST_NAME_BYTES = 255

/** What RFC 1928 lets a proxy answer. */
const SOCKS_REPLIES: Readonly<Record<number, string>> = {
  1: 'general failure',
  2: 'not allowed by its rules',
  3: 'network unreachable',
  4: 'host unreachable',
  5: 'connection refused',
  6: 'time to live expired',
  7: 'command not supported',
  8: 'kind of address not supported',
}

async function askSocks(socket: Socket, login: Login, place: Place): Promise<void> {
  const reads = exactReads(socket)
  try {
    await talkSocks(socket, reads, { login, place })
  } finally {
    reads.end()
  }
}

async function talkSocks(
  socket: Socket,
  { read }: ExactReads,
  { login, place }: { readonly login: Login; readonly place: Place },
): Promise<void> {
  const methods = login === null ? [NO_LOGIN] : [NO_LOGIN, USER_AND_PASSWORD]
  socket.write(Buffer.from([SOCKS_VERSION, methods.length, ...methods]))
  const [version, method] = await read(2)
  if (version !== SOCKS_VERSION) throw new ProxyError('proxy refused: it does not speak SOCKS 5')
  if (method === USER_AND_PASSWORD && login !== null) {
    const parts = [login.user, login.password].map((part) => Buffer.from(part))
    const lengths = parts.map((part) => Buffer.from([part.length]))
    socket.write(Buffer.concat([Buffer.from([1]), lengths[0], parts[0], lengths[1], parts[1]]))
    const [, status] = await read(2)
    if (status !== 0) throw new ProxyError('proxy refused: user or password')
  } else if (method !== NO_LOGIN) throw new ProxyError('proxy refused: it wants another login')
  socket.write(
    Buffer.concat([
      Buffer.from([SOCKS_VERSION, CONNECT, 0]),
      socksAddress(place.host),
      Buffer.from([place.port >> 8, place.port & 255]),
    ]),
  )
  const [, reply, , kind] = await read(4)
  if (reply !== 0) {
    throw new ProxyError(`proxy refused: ${SOCKS_REPLIES[reply] ?? `reply ${reply}`}`)
  }
  // The address that the proxy uses, and a port: of no use, but in the way.
  const bytes = kind === ADDRESS_NAME ? (await read(1))[0] : ADDRESS_BYTES[kind]
  if (bytes === undefined) throw new ProxyError('proxy refused: it does not speak SOCKS 5')
  await read(bytes + 2)
}

/** Names go as they are: the proxy resolves them. */
function socksAddress(host: string): Buffer {
  if (isIPv4(host)) return Buffer.from([1, ...host.split('.').map(Number)])
  if (isIP(host) === 0) {
    const name = Buffer.from(host)
    // Its length is one byte: a longer one would be read as another name, and what follows as another request.
    if (name.length > MOST_NAME_BYTES) throw new ProxyError('proxy takes no name as long as this')
    return Buffer.concat([Buffer.from([ADDRESS_NAME, name.length]), name])
  }
  const halves = host.split('::').map((half) => (half === '' ? [] : half.split(':')))
  const zeros = Array<string>(halves.length === 1 ? 0 : 8 - halves.flat().length).fill('0')
  const words = [...halves[0], ...zeros, ...(halves[1] ?? [])].map((word) => parseInt(word, 16))
  return Buffer.from([4, ...words.flatMap((word) => [word >> 8, word & 255])])
}

interface ExactReads {
  /** Exactly so many bytes: what follows stays in the socket. */
  read(bytes: number): Promise<Buffer>
  end(): void
}

/**
 * One listener for the whole talk: a new one would be told at once of the bytes that are too few, without an end.
 */
function exactReads(socket: Socket): ExactReads {
  const events = ['readable', 'end', 'close', 'error']
  let wake = () => {}
  const onEvent = () => wake()
  for (const event of events) socket.on(event, onEvent)
  return {
    async read(bytes) {
      for (;;) {
        const chunk: Buffer | null = socket.read(bytes)
        if (chunk !== null && chunk.length === bytes) return chunk
        if (chunk !== null || socket.readableEnded || socket.destroyed)
          throw socket.errored ?? new ProxyError('proxy broke off')
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
    end() {
      for (const event of events) socket.off(event, onEvent)
    },
  }
}

/** ` (ECONNRESET)`; nothing where it just hung up. */
function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? ` (${error.code})` : ''
}
