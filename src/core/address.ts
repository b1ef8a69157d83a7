/** What an IP address is; only `public` ones may be reached without the operator's word. */
export type AddressKind =
  | 'public'
  | 'loopback'
  | 'private'
  | 'link_local'
  | 'metadata'
  /** Unspecified, multicast, documentation, benchmarking and the like. */
  | 'reserved'
  | 'not_an_address'

/** A checked base URL, or one sentence of what is wrong and one of what to do. */
export type BaseUrlResult =
  | {
      readonly kind: 'ok'
      /** Origin with optional path prefix, no trailing slash. */
      readonly baseUrl: string
      /** A name, or an address without brackets. */
      readonly host: string
    }
  | { readonly kind: 'refused'; readonly problem: string; readonly hint: string }

const PATH_PREFIX = /^(?:\/[\w.~-]+)*$/

/**
 * An upstream's address is https, without user, query or `#`, and neither inside this machine nor in
 * a private network; `allowPrivate` permits those, and http. A name is judged again once it is resolved.
 */
export function checkBaseUrl(
  text: string,
  options: { readonly allowPrivate: boolean },
): BaseUrlResult {
  const refused = (problem: string, hint: string): BaseUrlResult => ({
    kind: 'refused',
    problem,
    hint,
  })
  const url = URL.parse(text.trim())
  if (url === null || !/^https?:\/\//i.test(text.trim()) || url.hostname === '') {
    return refused(`"${text}" is not a web address.`, 'Example: https://api.anthropic.com')
  }
  if (url.username !== '' || url.password !== '') {
    return refused(
      'A base URL must not hold a user name or password.',
      'Give the key by prompt, --key-stdin or --key-file.',
    )
  }
  if (url.search !== '' || url.hash !== '') {
    return refused(
      'A base URL must not hold a query or #.',
      `Write ${url.origin}${url.pathname.replace(/\/+$/, '')}`,
    )
  }
  const prefix = url.pathname.replace(/\/+$/, '')
  if (/\/v1$/.test(prefix)) {
    return refused(
      'A base URL ends before /v1; the gateway adds it.',
      `Write ${url.origin}${prefix.slice(0, -3)}`,
    )
  }
  if (!PATH_PREFIX.test(prefix))
    return refused(
      `The path ${prefix} has unusual characters.`,
      'Example: https://proxy.example.com/anthropic',
    )
  const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
  if (!options.allowPrivate) {
    const kind = hostKind(host)
    if (kind !== 'public') {
      return refused(
        `${url.host} is ${KIND_TEXT[kind]}.`,
        'When this is your own proxy, add --allow-private.',
      )
    }
    if (url.protocol !== 'https:') {
      return refused(
        'The credential would travel unencrypted over http.',
        `Use https://${url.host}${prefix}, or add --allow-private.`,
      )
    }
  }
  return { kind: 'ok', baseUrl: url.origin + prefix, host }
}

/** How a refusal describes each kind. */
export const KIND_TEXT: Readonly<Record<AddressKind, string>> = {
  public: 'a public address',
  loopback: 'a loopback address',
  private: 'a private address',
  link_local: 'a link-local address',
  metadata: 'the metadata service of a cloud machine',
  reserved: 'a reserved address',
  not_an_address: 'not an address',
}

/** The kind of an IPv4 or IPv6 address as text; wrapped forms count as the address they wrap. */
export function addressKind(address: string): AddressKind {
  const v4 = parseV4(address)
  if (v4 !== null) return kindOfV4(v4)
  const v6 = parseV6(address)
  return v6 === null ? 'not_an_address' : kindOfV6(v6)
}

/** As `addressKind` for addresses; names that by themselves mean this machine or its network are found too. */
export function hostKind(host: string): AddressKind {
  const kind = addressKind(host)
  if (kind !== 'not_an_address') return kind
  const name = host.toLowerCase()
  if (name === 'localhost' || name.endsWith('.localhost')) return 'loopback'
  if (name === 'metadata' || name === 'metadata.google.internal') return 'metadata'
  if (/\.(internal|local|lan|home\.arpa)$/.test(name) || !name.includes('.')) return 'private'
  return 'public'
}

const V4_KINDS: readonly (readonly [network: string, bits: number, kind: AddressKind])[] = [
  ['169.254.169.254', 32, 'metadata'],
  ['169.254.170.2', 32, 'metadata'],
  ['100.100.100.200', 32, 'metadata'],
  ['168.63.129.16', 32, 'metadata'],
  ['0.0.0.0', 8, 'reserved'],
  ['10.0.0.0', 8, 'private'],
  ['100.64.0.0', 10, 'private'],
  ['127.0.0.0', 8, 'loopback'],
  ['169.254.0.0', 16, 'link_local'],
  ['172.16.0.0', 12, 'private'],
  ['192.0.0.0', 24, 'reserved'],
  ['192.0.2.0', 24, 'reserved'],
  ['192.88.99.0', 24, 'reserved'],
  ['192.168.0.0', 16, 'private'],
  ['198.18.0.0', 15, 'reserved'],
  ['198.51.100.0', 24, 'reserved'],
  ['203.0.113.0', 24, 'reserved'],
  ['224.0.0.0', 3, 'reserved'],
]

function kindOfV4(address: number): AddressKind {
  for (const [network, bits, kind] of V4_KINDS) {
    const base = parseV4(network) ?? 0
    if (address >>> (32 - bits) === base >>> (32 - bits)) return kind
  }
  return 'public'
}

function kindOfV6(words: readonly number[]): AddressKind {
  const embedded = (from: number) => kindOfV4(((words[from] << 16) | words[from + 1]) >>> 0)
  const startsWith = (...prefix: readonly number[]) => prefix.every((word, i) => words[i] === word)
  if (startsWith(0, 0, 0, 0, 0, 0, 0)) return words[7] === 1 ? 'loopback' : 'reserved'
  // Mapped, compatible, translated and NAT64 forms all lead to the IPv4 address inside.
  if (startsWith(0, 0, 0, 0, 0, 0xffff) || startsWith(0, 0, 0, 0, 0, 0)) return embedded(6)
  if (startsWith(0, 0, 0, 0, 0xffff, 0) || startsWith(0x64, 0xff9b, 0, 0, 0, 0)) return embedded(6)
  if (startsWith(0x64, 0xff9b, 1)) return 'private'
  if (startsWith(0x2002)) return embedded(1)
  if (startsWith(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)) return 'metadata'
  const first = words[0]
  if ((first & 0xfe00) === 0xfc00) return 'private'
  if ((first & 0xffc0) === 0xfe80) return 'link_local'
  if ((first & 0xffc0) === 0xfec0) return 'private'
  // 2001::/23 (Teredo and other protocols' own), documentation; outside 2000::/3 nothing is assigned.
  if (first === 0x2001 && (words[1] < 0x200 || words[1] === 0xdb8)) return 'reserved'
  if ((first & 0xe000) !== 0x2000 || (first === 0x3fff && words[1] < 0x1000)) return 'reserved'
  return 'public'
}

function parseV4(text: string): number | null {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  if (match === null) return null
  let value = 0
  for (const part of match.slice(1)) {
    if (Number(part) > 255 || (part.length > 1 && part.startsWith('0'))) return null
    value = value * 256 + Number(part)
  }
  return value
}

function parseV6(text: string): readonly number[] | null {
  let rest = text.replace(/^\[|\]$/g, '').replace(/%.*$/, '')
  const dotted = /:(\d+\.\d+\.\d+\.\d+)$/.exec(rest)
  if (dotted !== null) {
    const v4 = parseV4(dotted[1])
    if (v4 === null) return null
    rest = `${rest.slice(0, -dotted[1].length)}${(v4 >>> 16).toString(16)}:${(v4 & 0xffff).toString(16)}`
  }
  const halves = rest.split('::')
  if (halves.length > 2) return null
  const words = halves.map((half) => (half === '' ? [] : half.split(':')))
  const given = words.flat()
  if (!given.every((word) => /^[\da-f]{1,4}$/i.test(word))) return null
  const missing = 8 - given.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null
  const filled = [
    ...words[0],
    ...Array<string>(halves.length === 1 ? 0 : missing).fill('0'),
    ...(words[1] ?? []),
  ]
  return filled.map((word) => Number.parseInt(word, 16))
}
