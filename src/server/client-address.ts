import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'

/** Who really calls. */
export interface ClientAddress {
  /** The address of the client; null on a Unix socket without a proxy's word. */
  of(request: IncomingMessage): string | null
  /** The address whose failed sign-ins are counted; null for loopback without a proxy in front. */
  counted(request: IncomingMessage): string | null
}

/** `X-Forwarded-For` is believed only from these peers, and only as far as their chain goes. */
export function clientAddress(trustedProxies: readonly string[]): ClientAddress {
  const trusted = new BlockList()
  for (const text of trustedProxies) {
    const [address, bits] = text.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) trusted.addAddress(address, family)
    else trusted.addSubnet(address, Number(bits), family)
  }
  const isTrusted = (address: string) =>
    isIP(address) !== 0 && trusted.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')

  const peerOf = (request: IncomingMessage): string | null => {
    const peer = request.socket.remoteAddress
    return peer === undefined ? null : plain(peer)
  }
  const forwardedOf = (request: IncomingMessage): string[] => {
    const header = request.headers['x-forwarded-for']
    if (header === undefined) return []
    return String(header)
      .split(',')
      .map((part) => plain(part.trim()))
  }
  const of = (request: IncomingMessage): string | null => {
    const peer = peerOf(request)
    if (request.headers['x-forwarded-for'] === undefined) return peer
    // A Unix socket has no addresses: whoever may open it is trusted. A TCP peer that is gone has none left.
    if (peer === null && !isUnix(request)) return null
    if (peer !== null && !isTrusted(peer)) return peer
    const chain = forwardedOf(request)
    for (let i = chain.length - 1; i >= 0; i--) {
      if (isIP(chain[i]) === 0) return peer
      if (!isTrusted(chain[i]) || i === 0) return chain[i]
    }
    return peer
  }
  return {
    of,
    counted(request) {
      const peer = peerOf(request)
      const isLoopback = peer === null || peer === '::1' || peer.startsWith('127.')
      if (isLoopback && request.headers['x-forwarded-for'] === undefined) return null
      return of(request)
    },
  }
}

/** An IPv4 address inside an IPv6 one, as it is written alone. */
function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '')
}

function isUnix(request: IncomingMessage): boolean {
  return !request.socket.destroyed && request.socket.localAddress === undefined
}
