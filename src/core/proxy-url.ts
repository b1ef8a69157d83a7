import type { Parsed } from './quantity.ts'

/** An outbound proxy: how it is spoken to, where it is, and who uses it. */
export interface ProxyUrl {
  readonly scheme: 'http' | 'https' | 'socks5'
  /** A name, or an address without brackets. */
  readonly host: string
  readonly port: number
  /** Decoded; null: it asks for none. The password is '' where only a user was given. */
  readonly login: { readonly user: string; readonly password: string } | null
  /** The whole URL in one spelling, a secret where there is a login. */
  readonly url: string
  /** The URL without user and password: what people may see. */
  readonly text: string
}

const EXAMPLE = 'Example: http://proxy.example.com:3128 or socks5://10.0.0.7:1080'
const DEFAULT_PORT = { http: 80, https: 443, socks5: 1080 } as const
// The port is cut out here: `URL` drops the usual one of http and knows none of socks5.
const SHAPE =
  /^([a-z][a-z\d+.-]*):\/\/(?:(.*)@)?(\[[\da-f:.]+\]|[^\s:/?#@[\]]+)(?::(\d{1,5}))?\/?$/is
/** Nothing in it can be a password. */
const QUOTABLE = /^(?:[a-z\d+.-]*:\/\/)?[\w.-]*(?::\d*)?\/?$/i
/** What one byte of length allows in a login of SOCKS 5. */
const MAX_LOGIN_BYTES = 255

/**
 * Reads `http://host:port`, `https://…` or `socks5://…`, with `user:password@` before the host where it needs them.
 * Names are resolved by the proxy, so `socks5h` is the same as `socks5`. Problems never quote user or password.
 */
export function parseProxyUrl(text: string): Parsed<ProxyUrl> {
  const match = SHAPE.exec(text.trim())
  if (match === null) {
    if (text.includes('@'))
      return bad(
        'the address of the proxy cannot be read: write user and password percent-encoded (@ as %40, / as %2F)',
      )
    // `user:password:host:port` is written as well, and is not to be repeated.
    const shown = QUOTABLE.test(text.trim()) ? `"${text.trim().slice(0, 100)}"` : 'this'
    return bad(`${shown} is not the address of a proxy. ${EXAMPLE}`)
  }
  const [, schemeText, loginText, hostText, portText] = match as (string | undefined)[]
  const scheme = schemeOf(schemeText ?? '')
  if (scheme === null) {
    return bad(`a proxy of the kind "${schemeText}" is not supported: use http, https or socks5`)
  }
  const url = URL.parse(`http://${hostText}`)
  if (url === null || url.hostname === '') {
    return bad(`"${hostText}" is not a host. ${EXAMPLE}`)
  }
  const port = portText === undefined ? DEFAULT_PORT[scheme] : Number(portText)
  if (port < 1 || port > 65_535) return bad(`${portText} is not a port: use 1 to 65535`)
  const login = loginOf(loginText)
  if (login.kind === 'bad') return login
  const place = `${url.hostname}:${port}`
  const prefix = login.value === null ? '' : `${spell(login.value)}@`
  return {
    kind: 'ok',
    value: {
      scheme,
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port,
      login: login.value,
      url: `${scheme}://${prefix}${place}`,
      text: `${scheme}://${place}`,
    },
  }
}

/** A proxy's address as it was written, with stars for user and password; other text stays. */
export function hideProxyLogin(text: string): string {
  const at = text.lastIndexOf('@')
  if (at < 0) return text
  const scheme = /^\s*[a-z\d+.-]*:\/\//i.exec(text)?.[0] ?? ''
  return `${scheme}***${text.slice(at)}`
}

function schemeOf(text: string): ProxyUrl['scheme'] | null {
  const scheme = text.toLowerCase()
  if (scheme === 'http' || scheme === 'https') return scheme
  return scheme === 'socks5' || scheme === 'socks5h' ? 'socks5' : null
}

function loginOf(text: string | undefined): Parsed<ProxyUrl['login']> {
  if (text === undefined) return { kind: 'ok', value: null }
  const colon = text.indexOf(':')
  const [user, password] = [
    decoded(colon < 0 ? text : text.slice(0, colon)),
    decoded(colon < 0 ? '' : text.slice(colon + 1)),
  ]
  if (user === null || password === null) {
    return bad('user and password of the proxy are not percent-encoded: write % as %25')
  }
  if (user === '') return bad('the proxy has an @ and no user before it')
  if (/[\x00-\x1f\x7f]/.test(user + password)) {
    return bad('user and password of the proxy must not have control characters')
  }
  // HTTP's Basic scheme ends the user at the first colon.
  if (user.includes(':')) return bad('the user of the proxy must not have a colon')
  const isLong = (part: string) => new TextEncoder().encode(part).length > MAX_LOGIN_BYTES
  if (isLong(user) || isLong(password)) {
    return bad(`user and password of the proxy have at most ${MAX_LOGIN_BYTES} bytes each`)
  }
  return { kind: 'ok', value: { user, password } }
}

function spell({ user, password }: { readonly user: string; readonly password: string }): string {
  const name = encodeURIComponent(user)
  return password === '' ? name : `${name}:${encodeURIComponent(password)}`
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}

function bad<T>(problem: string): Parsed<T> {
  return { kind: 'bad', problem }
}
