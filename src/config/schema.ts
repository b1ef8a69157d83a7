import { BlockList, isIP } from 'node:net'
import { z } from 'zod'
import { parseMoney } from '../core/amount.ts'
import { isTimeZone } from '../core/calendar.ts'
import { parseDisconnectPolicy } from '../core/disconnect-policy.ts'
import { parseMarkup } from '../core/markup.ts'
import type { DisconnectPolicy, SpendLimit } from '../core/model.ts'
import type { Micro } from '../core/money.ts'
import { parseProxyUrl } from '../core/proxy-url.ts'
import { type Parsed, parseCount, parseDuration, parseSize } from '../core/quantity.ts'
import { parseSpendLimit } from '../core/spend-limit.ts'
import {
  type MemberProblem,
  readAliases,
  readModelMap,
  readPatterns,
  readPrices,
  readUnknownModel,
} from './models.ts'

/** The settings as people write them; `config.example.yaml` shows exactly these values. */
export const DEFAULTS = {
  listen: '127.0.0.1:8787',
  public_url: 'http://127.0.0.1:8787',
  support_email: 'support@example.com',
  store: { path: 'auto', busy_timeout: '5s', master_key_file: 'auto' },
  trusted_proxies: ['127.0.0.1/32', '::1/128'],
  upstream: {
    base_url: 'https://api.anthropic.com',
    anthropic_version: '2023-06-01',
    proxy: 'none',
    timeouts: {
      connect: '5s',
      first_byte: '120s',
      first_byte_unary: '10m',
      idle: '180s',
      answer_begins: '10m',
      longest_stream: '60m',
    },
    pool: { connections_per_account: 1024, keep_alive: '60s' },
  },
  routing: { queue: { max_wait: '10s', max_per_key: 32, max_length: 1024 } },
  retry: { max_attempts: 3, budget_percent: 20 },
  cooldown: {
    overloaded: { first: '2s', max: '30s' },
    rate_limited: { first: '5s', max: '60s' },
    server_error: { first: '5s', max: '5m', trip_after: 3 },
    probe_every: '10m',
  },
  limits: {
    default_rpm: 60,
    default_concurrency: 50,
    default_spend_limit: 'none',
    max_body: '32MiB',
    headers_timeout: '10s',
  },
  streams: { early_ping: 'none' },
  billing: {
    markup: 1,
    hold: 'progressive',
    hold_step: 4096,
    on_disconnect: 'cancel',
    low_balance_notice: 5,
  },
  models: { allow: ['*'], deny: [], aliases: {}, prices: {}, unknown_model: 'reject' },
  openai_compat: {
    enabled: true,
    model_map: {},
    web_search: false,
    auto_cache: 'seen',
    forced_tool_choice: 'degrade',
    repair_tool_history: false,
    priority_is_fast: false,
  },
  logging: { level: 'info', format: 'auto', file: 'none', access: 'errors' },
  metrics: { listen: 'none' },
  shutdown_grace: '300s',
  timezone: 'UTC',
} as const

/** Where the gateway listens. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

const tcpOrUnix = leaf('host:port, or unix: and an absolute path', parseListen)

const ownMachine = leaf(
  'a loopback host:port, unix: and an absolute path, or none',
  (text): Parsed<ListenAddress | null> => {
    if (text === 'none') return ok(null)
    const read = parseListen(text)
    if (read.kind === 'bad' || read.value.kind === 'unix') return read
    return /^(127\.\d+\.\d+\.\d+|::1|localhost)$/.test(read.value.host)
      ? read
      : bad(`"${text}" can be reached from elsewhere. Example: 127.0.0.1:9464`)
  },
)

const publicUrl = leaf('a web address without /v1', (text): Parsed<string> => {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol) || !/^https?:\/\//i.test(text)) {
    return bad(`"${text}" is not a web address. Example: https://api.example.com`)
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    return bad(
      `"${text}" has a part too many: leave out user, query and #. Example: https://api.example.com`,
    )
  }
  const path = url.pathname.replace(/\/+$/, '')
  if (/\/v1$/.test(path)) return bad(`"${text}" ends in /v1: leave that out, clients add it`)
  return ok(url.origin + path)
})

const email = leaf(
  'an e-mail address',
  (text): Parsed<string> =>
    /^[^\s@<>"]{1,64}@[^\s@<>"]{1,190}$/.test(text)
      ? ok(text)
      : bad(`"${text}" is not an e-mail address. Example: support@example.com`),
)

const path = leaf(
  'a file; auto or none',
  (text): Parsed<string | null> => (text === 'auto' || text === 'none' ? ok(null) : ok(text)),
)
/** Longer, and a timer fires at once. */
const LONGEST_MS = 2 ** 31 - 1
const duration = leaf('a duration: 500ms, 30s, 5m, 2h; 1ms to 24d', timerSpan(parseDuration))
const MINUTE_MS = 60_000
// Together they are the longest a request may run; the ledger check takes an older hold for a leftover.
const untilAnswer = leaf(
  'a duration: 30s, 5m; 1ms to 15m',
  timerSpan(parseDuration, 15 * MINUTE_MS),
)
const pingEvery = leaf(
  'a duration: 15s; 1ms to 15m, or none',
  (text): Parsed<number | null> =>
    text === 'none' ? ok(null) : timerSpan(parseDuration, 15 * MINUTE_MS)(text),
)
const wholeStream = leaf('a duration: 5m, 60m; 1ms to 1h', timerSpan(parseDuration, 60 * MINUTE_MS))
const size = leaf('a size: 64KiB, 32MiB, 1GB', parseSize)
const version = leaf(
  'a date: "2023-06-01"',
  (text): Parsed<string> =>
    /^\d{4}-\d{2}-\d{2}$/.test(text)
      ? ok(text)
      : bad(`"${text}" is not an API version. Example: "2023-06-01"`),
)

const outboundProxy = leaf(
  'a proxy: http://host:port, https:// or socks5://, with user:password@ where it asks; or none',
  (text): Parsed<string | null> => {
    if (text === 'none') return ok(null)
    const read = parseProxyUrl(text)
    return read.kind === 'bad' ? read : ok(read.value.url)
  },
)

const spendLimit = leaf(
  'an amount per day, month or in total: 200/month, or none (unlimited)',
  (text): Parsed<SpendLimit | null> => (text === 'none' ? ok(null) : parseSpendLimit(text)),
)
const moneyOrNone = leaf(
  'an amount in dollars: 5.00, or none',
  (text): Parsed<Micro | null> => (text === 'none' ? ok(null) : parseMoney(text)),
)
const timeZone = leaf(
  'a name of the IANA time zone database: UTC, Europe/Berlin',
  (text): Parsed<string> =>
    isTimeZone(text)
      ? ok(text)
      : bad(`"${text}" is not a time zone. Example: UTC or Europe/Berlin`),
)

const proxies = z
  .unknown()
  .transform((value, context): readonly string[] => {
    const items = typeof value === 'string' ? value.split(',').map((item) => item.trim()) : value
    if (!Array.isArray(items)) {
      return refuse(context, `${show(value)} is not a list. Example: [127.0.0.1/32, "::1/128"]`)
    }
    const texts = items.map(String).filter((item) => item !== '')
    for (const text of texts) {
      if (!isNetwork(text))
        return refuse(context, `"${text}" is not an address or a network. Example: 10.0.0.0/8`)
    }
    return texts
  })
  .describe('a list of addresses and networks: [127.0.0.1/32, "::1/128"]')

const yesOrNo = leaf('true or false', (text): Parsed<boolean> => {
  if (text === 'true' || text === 'false') return ok(text === 'true')
  return bad(`"${text}" is not possible here. Use true or false`)
})

const markup = leaf('a factor from 0.01 to 10: 1.00, 1.20, +20%', parseMarkup)

// `{finish_up_to: 30s}` and `30s` are the same.
const onDisconnect = open(
  'cancel, finish, or {finish_up_to: 30s}, {finish_up_to: 2000tokens}, {finish_up_to: "30s,2000tokens"}',
  (value) => {
    const isGroup = typeof value === 'object' && value !== null && !Array.isArray(value)
    const { finish_up_to: most, ...rest } = isGroup ? (value as Record<string, unknown>) : {}
    const isMost = typeof most === 'string' && !/^(cancel|finish)$/i.test(most.trim())
    const text = isGroup ? (isMost && Object.keys(rest).length === 0 ? most : '') : String(value)
    const read: Parsed<DisconnectPolicy> = parseDisconnectPolicy(text)
    if (read.kind === 'ok') return read
    const message = text === '' ? 'needs {finish_up_to: 30s}, or 2000tokens there' : read.problem
    return { kind: 'bad', problems: [{ path: [], message }] }
  },
)

const restSpan = { first: duration, max: duration }

/** Checks and reads a complete tree of settings (defaults, file, environment and options merged). */
export const schema = z.strictObject({
  listen: tcpOrUnix,
  public_url: publicUrl,
  support_email: email,
  store: z.strictObject({ path, busy_timeout: duration, master_key_file: path }),
  trusted_proxies: proxies,
  upstream: z.strictObject({
    base_url: publicUrl,
    anthropic_version: version,
    proxy: outboundProxy,
    timeouts: z.strictObject({
      connect: duration,
      first_byte: duration,
      first_byte_unary: duration,
      idle: duration,
      answer_begins: untilAnswer,
      longest_stream: wholeStream,
    }),
    pool: z.strictObject({ connections_per_account: count(1, 10_000), keep_alive: duration }),
  }),
  routing: z.strictObject({
    queue: z.strictObject({
      max_wait: duration,
      max_per_key: count(1, 100_000),
      max_length: count(1, 100_000),
    }),
  }),
  retry: z.strictObject({ max_attempts: count(1, 100), budget_percent: count(0, 100) }),
  cooldown: z.strictObject({
    overloaded: z.strictObject(restSpan),
    rate_limited: z.strictObject(restSpan),
    server_error: z.strictObject({ ...restSpan, trip_after: count(1, 1_000) }),
    probe_every: duration,
  }),
  limits: z.strictObject({
    default_rpm: countOrNone(1, 1_000_000),
    default_concurrency: countOrNone(1, 1_000_000),
    default_spend_limit: spendLimit,
    max_body: size,
    headers_timeout: duration,
  }),
  streams: z.strictObject({ early_ping: pingEvery }),
  billing: z.strictObject({
    markup,
    hold: choice('progressive', 'full'),
    hold_step: count(256, 128_000),
    on_disconnect: onDisconnect,
    low_balance_notice: moneyOrNone,
  }),
  models: z.strictObject({
    allow: open('a list of models or globs: ["claude-haiku-*"]', readPatterns),
    deny: open('a list of models or globs: [claude-fable-5]', readPatterns),
    aliases: open('names and what they stand for: {my-model: claude-sonnet-4-6}', readAliases),
    prices: open(
      'models and their prices: {claude-opus-5: {input: 5.00, markup: 1.2}}',
      readPrices,
    ),
    unknown_model: open('reject, or {price_as: claude-opus-5}', readUnknownModel),
  }),
  openai_compat: z.strictObject({
    enabled: yesOrNo,
    model_map: open(
      'names or globs, and the models they stand for: {gpt-4o: claude-sonnet-4-6, "gpt-*": claude-haiku-4-5}',
      readModelMap,
    ),
    web_search: yesOrNo,
    auto_cache: choice('off', 'seen', 'always'),
    forced_tool_choice: choice('degrade', 'reject'),
    repair_tool_history: yesOrNo,
    priority_is_fast: yesOrNo,
  }),
  logging: z.strictObject({
    level: choice('debug', 'info', 'warn', 'error'),
    format: choice('auto', 'text', 'json'),
    file: path,
    access: choice('all', 'errors', 'off'),
  }),
  metrics: z.strictObject({ listen: ownMachine }),
  shutdown_grace: duration,
  timezone: timeZone,
})

/** Everything `schema` reads, with its units still in the key names of the file. */
export type Settings = z.output<typeof schema>

/** Paths of all settings, `upstream.timeouts.connect`, in the order of the example file. */
export const SETTING_PATHS: readonly string[] = pathsOf(DEFAULTS, '')

/** The environment's name of a setting: `CCGATE_UPSTREAM__TIMEOUTS__CONNECT`. */
export function environmentName(settingPath: string): string {
  return `CCGATE_${settingPath.toUpperCase().replaceAll('.', '__')}`
}

function pathsOf(tree: object, prefix: string): readonly string[] {
  return Object.entries(tree).flatMap(([key, value]) =>
    // An empty group is one setting: its members are the operator's own.
    typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length > 0
      ? pathsOf(value, `${prefix}${key}.`)
      : [prefix + key],
  )
}

/** What may stand there, in words: unit, range, choices. */
export function settingValues(settingPath: string): string {
  let node: unknown = schema
  for (const key of settingPath.split('.')) {
    node = (node as { readonly shape: Readonly<Record<string, unknown>> }).shape[key] // groups are strict objects
  }
  return (node as z.ZodType).description ?? ''
}

/** A setting with a form of its own: a list, a group of one's own names. From the environment also as JSON. */
function open<T>(
  values: string,
  read: (
    value: unknown,
  ) =>
    | { readonly kind: 'ok'; readonly value: T }
    | { readonly kind: 'bad'; readonly problems: readonly MemberProblem[] },
) {
  return z
    .unknown()
    .transform((value, context): T => {
      if (value === null || value === undefined)
        return refuse(context, 'has no value. Give one, or remove the line')
      const result = read(typeof value === 'string' ? parsedText(value) : value)
      if (result.kind === 'ok') return result.value
      for (const { path, message } of result.problems)
        context.addIssue({ code: 'custom', message, path: [...path] })
      return z.NEVER
    })
    .describe(values)
}

function parsedText(text: string): unknown {
  const trimmed = text.trim()
  if (!/^[{[]/.test(trimmed)) return trimmed
  try {
    return JSON.parse(trimmed) as unknown
  } catch {
    return trimmed
  }
}

/** A setting that is one text or number; `read` gets its text, `values` says what it accepts. */
function leaf<T>(values: string, read: (text: string) => Parsed<T>) {
  return z
    .unknown()
    .transform((value, context): T => {
      if (value === null || value === undefined)
        return refuse(context, 'has no value. Give one, or remove the line')
      if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
        return refuse(context, `${show(value)} is not a single value`)
      }
      const result = read(String(value).trim())
      return result.kind === 'ok' ? result.value : refuse(context, result.problem)
    })
    .describe(values)
}

function count(least: number, most: number) {
  return leaf(`a number from ${least} to ${most}`, (text) => between(parseCount(text), least, most))
}

function countOrNone(least: number, most: number) {
  return leaf(
    `a number from ${least} to ${most}, or none (unlimited)`,
    (text): Parsed<number | null> =>
      text === 'none' ? ok(null) : between(parseCount(text), least, most),
  )
}

function choice<const T extends string>(...words: readonly T[]) {
  return leaf(words.join(', '), (text): Parsed<T> => {
    const word = words.find((candidate) => candidate === text)
    if (word !== undefined) return ok(word)
    return bad(
      `"${text}" is not possible here. Use ${words.length === 1 ? words[0] : `one of: ${words.join(', ')}`}`,
    )
  })
}

function between(parsed: Parsed<number>, least: number, most: number): Parsed<number> {
  if (parsed.kind === 'bad' || (parsed.value >= least && parsed.value <= most)) return parsed
  return bad(`${parsed.value} is out of range: use ${least} to ${most}`)
}

function timerSpan(
  read: (text: string) => Parsed<number>,
  mostMs = LONGEST_MS,
): (text: string) => Parsed<number> {
  return (text) => {
    const parsed = read(text)
    if (parsed.kind === 'bad') return parsed
    if (parsed.value < 1) return bad(`"${text}" is too short: at least 1ms`)
    const most = mostMs === LONGEST_MS ? '24d' : `${mostMs / MINUTE_MS}m`
    return parsed.value > mostMs ? bad(`"${text}" is too long: at most ${most}`) : parsed
  }
}

function parseListen(text: string): Parsed<ListenAddress> {
  if (text.startsWith('unix:')) {
    return /^unix:\/.{1,100}$/.test(text)
      ? ok({ kind: 'unix', path: text.slice(5) })
      : bad(`"${text}" needs an absolute path. Example: unix:/run/ccgate/http.sock`)
  }
  const match = /^(?:\[([\da-f:.]+)\]|([\w.-]+)):(\d{1,5})$/i.exec(text)
  const host = match?.[1] ?? match?.[2] ?? ''
  if (match === null || (match[1] !== undefined && isIP(host) !== 6) || Number(match[3]) > 65_535) {
    return bad(`"${text}" is not an address. Example: 127.0.0.1:8787`)
  }
  return ok({ kind: 'tcp', host, port: Number(match[3]) })
}

function isNetwork(text: string): boolean {
  const [address, bits, ...rest] = text.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0) return false
  if (bits === undefined) return true
  if (!/^\d{1,3}$/.test(bits) || Number(bits) > (family === 4 ? 32 : 128)) return false
  new BlockList().addSubnet(address, Number(bits), family === 4 ? 'ipv4' : 'ipv6')
  return true
}

function refuse(context: z.RefinementCtx, message: string): never {
  context.addIssue({ code: 'custom', message })
  return z.NEVER
}

function show(value: unknown): string {
  const whole = JSON.stringify(value) ?? String(value)
  // An address with a password in a place where none can be.
  const text = whole.replace(/:\/\/[^\s"]*@/g, '://***@')
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}

function ok<T>(value: T): Parsed<T> {
  return { kind: 'ok', value }
}

function bad<T>(problem: string): Parsed<T> {
  return { kind: 'bad', problem }
}
