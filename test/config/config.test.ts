import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { parse } from 'yaml'
import { defaultConfig } from '../../src/config/config.ts'
import { type ConfigOption, loadConfig } from '../../src/config/load.ts'
import { modelProblems } from '../../src/config/model-problems.ts'
import { defaultDatabaseFile, findConfigFile, type Place } from '../../src/config/place.ts'
import { DEFAULTS, environmentName, SETTING_PATHS, schema } from '../../src/config/schema.ts'

const EXAMPLE = new URL('../../config.example.yaml', import.meta.url)

function world(t: TestContext, env: Place['env'] = {}) {
  const home = mkdtempSync(join(tmpdir(), 'ccgate-config-'))
  t.after(() => rmSync(home, { recursive: true, force: true }))
  const place: Place = { env, home, cwd: home, isRoot: false }
  const file = join(home, 'config.yaml')
  return {
    place,
    home,
    file,
    load(yaml: string | null, options: readonly ConfigOption[] = []) {
      if (yaml !== null) writeFileSync(file, yaml)
      return loadConfig({ file: yaml === null ? null : file, options, place })
    },
  }
}

async function problems(t: TestContext, yaml: string) {
  const result = await world(t).load(yaml)
  assert.equal(result.kind, 'invalid', yaml)
  return result.kind === 'invalid'
    ? result.problems.map((problem) => `${problem.line} ${problem.path}: ${problem.message}`)
    : []
}

test('the example file holds exactly the defaults in code, and loads to the default config', async (t) => {
  const text = readFileSync(EXAMPLE, 'utf8')
  assert.deepEqual(parse(text), DEFAULTS)
  const { place, load } = world(t)
  const result = await load(text)
  assert.equal(result.kind, 'loaded')
  if (result.kind !== 'loaded') return
  assert.deepEqual(result.config, defaultConfig(place))
  assert.deepEqual(result.warnings, [])
  assert.ok(result.entries.every((entry) => entry.origin.kind === 'file'))
})

test('every setting appears in the example on the line that its origin names', async (t) => {
  const lines = readFileSync(EXAMPLE, 'utf8').split('\n')
  const result = await world(t).load(lines.join('\n'))
  assert.equal(result.kind, 'loaded')
  if (result.kind !== 'loaded') return
  assert.deepEqual(
    result.entries.map((entry) => entry.path),
    SETTING_PATHS,
  )
  for (const { path, origin } of result.entries) {
    const key = path.split('.').at(-1)
    assert.ok(origin.kind === 'file' && lines[origin.line - 1].includes(`${key}:`), path)
  }
})

test('an empty file and no file at all give the defaults', async (t) => {
  for (const yaml of ['', '# nothing\n', 'store:\nupstream:\n', null]) {
    const { place, load } = world(t)
    const result = await load(yaml)
    assert.ok(result.kind === 'loaded')
    assert.deepEqual(result.config, defaultConfig(place))
  }
})

test('durations become milliseconds, sizes bytes, none becomes null', () => {
  const config = defaultConfig()
  assert.equal(config.upstream.timeouts.firstByteUnaryMs, 600_000)
  assert.equal(config.limits.maxBodyBytes, 33_554_432)
  assert.equal(config.logging.file, null)
  assert.equal(config.cooldown.serverError.tripAfter, 3)
  assert.deepEqual(config.listen, { kind: 'tcp', host: '127.0.0.1', port: 8787 })
})

test('an unknown key names its line, its path and the nearest known one', async (t) => {
  assert.deepEqual(
    await problems(t, 'listen: 127.0.0.1:1\nupstream:\n  timeout:\n    connect: 5s\n'),
    ['3 upstream.timeout: unknown key. Did you mean upstream.timeouts?'],
  )
  assert.deepEqual(await problems(t, 'limits: {default_rmp: 60}'), [
    '1 limits.default_rmp: unknown key. Did you mean limits.default_rpm?',
  ])
  assert.deepEqual(await problems(t, '\n\nmax_body: 1MiB\n'), [
    '3 max_body: unknown key. Did you mean limits.max_body?',
  ])
  assert.deepEqual(await problems(t, 'quux_frobnicate: 1\n'), [
    '1 quux_frobnicate: unknown key. See: ccgate config example',
  ])
})

test('every misspelt setting is caught with its line and led back to itself', async (t) => {
  for (const path of SETTING_PATHS) {
    const keys = path.split('.')
    const key = keys.at(-1) as string
    const lines = keys.map(
      (name, depth) =>
        `${'  '.repeat(depth)}${depth === keys.length - 1 ? `${name}x: 1` : `${name}:`}`,
    )
    const found = await problems(t, `${lines.join('\n')}\n`)
    assert.equal(found.length, 1, path)
    assert.match(
      found[0],
      new RegExp(`^${keys.length} ${path}x: unknown key\\. Did you mean `),
      key,
    )
    if (key !== 'max' && key !== 'first')
      assert.ok(found[0].endsWith(`Did you mean ${path}?`), found[0])
  }
})

test('every setting refuses a value of the wrong kind, with line, path and what to write', async (t) => {
  for (const path of SETTING_PATHS) {
    const keys = path.split('.')
    const nest = (value: string) =>
      `# first line\n${keys.map((name, depth) => `${'  '.repeat(depth)}${name}:${depth === keys.length - 1 ? ` ${value}` : ''}`).join('\n')}\n`
    // Groups of the operator's own names: the name is what is wrong, and an empty one is none.
    const isOpen = ['models.aliases', 'models.prices', 'openai_compat.model_map'].includes(path)
    for (const value of isOpen ? ['{a: 1}'] : ['{a: 1}', '']) {
      const found = await problems(t, nest(value))
      assert.equal(found.length, 1, `${path} ${value}: ${found.join(' | ')}`)
      assert.ok(found[0].startsWith(`${keys.length + 1} ${path}${isOpen ? '.a' : ''}: `), found[0])
    }
    const isFreeText = ['store.path', 'store.master_key_file', 'logging.file'].includes(path)
    if (!isFreeText) {
      const found = await problems(t, nest('"~%~"'))
      // What may hold a login is not repeated.
      const told = path === 'upstream.proxy' ? 'this' : '"~%~"'
      assert.match(found[0], new RegExp(`^${keys.length + 1} ${path}: ${told} .*(Example|Use)`))
    }
  }
})

test('wrong values say what would be right', async (t) => {
  const cases: readonly (readonly [string, string])[] = [
    [
      'limits: {default_rpm: 60/min}',
      '1 limits.default_rpm: "60/min" is not a number. Example: 60',
    ],
    ['limits: {default_rpm: 0}', '1 limits.default_rpm: 0 is out of range: use 1 to 1000000'],
    [
      'upstream: {timeouts: {connect: 5}}',
      '1 upstream.timeouts.connect: "5" has no unit: say 5s or 5m',
    ],
    [
      'upstream: {timeouts: {connect: 0s}}',
      '1 upstream.timeouts.connect: "0s" is too short: at least 1ms',
    ],
    ['limits: {max_body: 32}', '1 limits.max_body: "32" has no unit: say 64KiB, 2MiB or 1GB'],
    [
      'billing: {hold: half}',
      '1 billing.hold: "half" is not possible here. Use one of: progressive, full',
    ],
    [
      'openai_compat: {web_search: yes please}',
      '1 openai_compat.web_search: "yes please" is not possible here. Use true or false',
    ],
    [
      'openai_compat: {model_map: {"gpt 4": claude-opus-5}}',
      '1 openai_compat.model_map.gpt 4: is not a name or a glob. Example: gpt-4o, gpt-*',
    ],
    [
      'logging: {level: loud}',
      '1 logging.level: "loud" is not possible here. Use one of: debug, info, warn, error',
    ],
    [
      'public_url: https://a.example/v1',
      '1 public_url: "https://a.example/v1" ends in /v1: leave that out, clients add it',
    ],
    ['listen: 8787', '1 listen: "8787" is not an address. Example: 127.0.0.1:8787'],
    [
      'listen: 127.0.0.1:99999',
      '1 listen: "127.0.0.1:99999" is not an address. Example: 127.0.0.1:8787',
    ],
    ['store: 5', '1 store: is a group of settings: write its keys below it, indented'],
    [
      'trusted_proxies: [10.0.0.0/33]',
      '1 trusted_proxies: "10.0.0.0/33" is not an address or a network. Example: 10.0.0.0/8',
    ],
    [
      'cooldown:\n  overloaded: {first: 2m, max: 30s}',
      '2 cooldown.overloaded.first: is longer than cooldown.overloaded.max',
    ],
    [
      'limits: {default_spend_limit: 200}',
      '1 limits.default_spend_limit: "200" needs a period. Example: 200/month, 20/day or 500/total',
    ],
    [
      'billing: {low_balance_notice: "5,00"}',
      '1 billing.low_balance_notice: "5,00" is not an amount: use a dot: 5.00',
    ],
    [
      'timezone: Europe/Bonn',
      '1 timezone: "Europe/Bonn" is not a time zone. Example: UTC or Europe/Berlin',
    ],
    ['billing: {markup: 0}', '1 billing.markup: "0" is out of range: use 0.01 to 10'],
    [
      'billing: {markup: 20%}',
      '1 billing.markup: "20%" is not a mark-up. To add 20 percent write +20%',
    ],
    [
      'billing: {on_disconnect: {finish_up_to: soon}}',
      '1 billing.on_disconnect: "soon" is not possible. Use cancel, finish, 30s, 2000tokens or 30s,2000tokens',
    ],
    [
      'models: {allow: ["claude opus"]}',
      '1 models.allow: "claude opus" is not a model or glob. Example: claude-haiku-*',
    ],
    [
      'models:\n  aliases:\n    claude-opus-4-5: claude-opus-5',
      '3 models.aliases.claude-opus-4-5: is the name of claude-opus-4-5-20251101 itself. Choose another one',
    ],
    [
      'models:\n  aliases: {best: good, good: claude-opus-5}',
      '2 models.aliases.best: stands for "good", which is an alias too: name the model',
    ],
    [
      'models:\n  prices:\n    claude-opus-5: {inptu: 3}',
      '3 models.prices.claude-opus-5.inptu: is unknown. Did you mean input?',
    ],
    [
      'models:\n  prices:\n    claude-opus-5:\n      input: "3,00"',
      '4 models.prices.claude-opus-5.input: "3,00" is not an amount: use a dot: 3.00',
    ],
    [
      'models: {prices: {claude-opus-5: {output: 0}}}',
      '1 models.prices.claude-opus-5.output: 0 would be free: the least is 0.000001',
    ],
    [
      'models: {prices: {claude-opus-5: {input: 500.01}}}',
      '1 models.prices.claude-opus-5.input: 500.01 is more than $500 per million tokens',
    ],
    [
      'models: {prices: {"claude-opus-*": {input: 3}}}',
      '1 models.prices.claude-opus-*: is a glob, which takes a markup only: write prices per model',
    ],
    [
      'models: {prices: {claude-opus-9: {input: 3, output: 15}}}',
      '1 models.prices.claude-opus-9: is not a built-in model, so it needs all five prices. Missing: cache_read, cache_write_5m, cache_write_1h',
    ],
    [
      'models: {prices: {claude-opus-5: {}}}',
      '1 models.prices.claude-opus-5: says nothing. Give prices or a markup',
    ],
    [
      'models: {prices: {claude-opus-4-5: {input: 3}, claude-opus-4-5-20251101: {input: 4}}}',
      '1 models.prices.claude-opus-4-5-20251101: is there twice: by its id and by another name',
    ],
    [
      'models: {unknown_model: {price_like: claude-opus-5}}',
      '1 models.unknown_model: has a member too many. Use reject, or {price_as: claude-opus-5}',
    ],
    ['- a\n- b', '1 : the file must hold settings, one per line. Example: listen: 127.0.0.1:8787'],
  ]
  for (const [yaml, expected] of cases) assert.deepEqual(await problems(t, yaml), [expected])
})

test('prices, mark-ups and what unknown models cost become changes, by the id of each model', async (t) => {
  const result = await world(t).load(
    [
      'billing: {markup: +20%, on_disconnect: {finish_up_to: "30s,2000tokens"}}',
      'models:',
      '  deny: [claude-fable-5]',
      '  aliases: {fast: claude-haiku-4-5}',
      '  prices:',
      '    claude-opus-4-5: {input: 4.50, markup: 1.25}',
      '    "claude-sonnet-*": {markup: 0.9}',
      '    claude-x: {input: 1, output: 5, cache_read: 0.1, cache_write_5m: 1.25, cache_write_1h: 2, context_window: 200k}',
      '  unknown_model: {price_as: claude-opus-5}',
    ].join('\n'),
  )
  assert.ok(result.kind === 'loaded')
  const { billing, models } = result.config
  assert.deepEqual(billing.markup, [6, 5])
  assert.deepEqual(billing.onDisconnect, { kind: 'finish_up_to', tokens: 2_000, ms: 30_000 })
  assert.deepEqual(models.lists, {
    allow: ['*'],
    deny: ['claude-fable-5'],
    aliases: { fast: 'claude-haiku-4-5' },
  })
  assert.deepEqual(
    models.changes.map(({ kind, subject }) => `${kind} ${subject}`),
    [
      'markup claude-opus-4-5-20251101',
      'price claude-opus-4-5-20251101',
      'markup claude-sonnet-*',
      'price claude-x',
      'price *',
    ],
  )
  assert.deepEqual(models.changes[0].value, [5, 4])
  const opus = models.changes[1].value as { rates: object; aliases: readonly string[] }
  assert.deepEqual(opus.rates, {
    input: 4_500_000,
    output: 25_000_000,
    cacheRead: 500_000,
    cacheWrite5m: 6_250_000,
    cacheWrite1h: 10_000_000,
  })
  assert.deepEqual(opus.aliases, ['claude-opus-4-5'])
  assert.equal((models.changes[3].value as { contextWindow: number }).contextWindow, 200_000)
})

test('lists and groups can come from the environment', async (t) => {
  const { load } = world(t, {
    CCGATE_MODELS__ALLOW: 'claude-haiku-*, claude-sonnet-*',
    CCGATE_MODELS__ALIASES: '{"fast":"claude-haiku-5-5"}',
    CCGATE_BILLING__ON_DISCONNECT: '30s',
  })
  const result = await load('models:\n  prices:\n    # nothing yet\n')
  assert.ok(result.kind === 'loaded')
  assert.deepEqual(result.config.models.lists.allow, ['claude-haiku-*', 'claude-sonnet-*'])
  assert.deepEqual(result.config.models.lists.aliases, { fast: 'claude-haiku-5-5' })
  assert.deepEqual(result.config.billing.onDisconnect, {
    kind: 'finish_up_to',
    tokens: null,
    ms: 30_000,
  })
})

test('two problems are both told, in the order of their lines', async (t) => {
  const found = await problems(
    t,
    'billing:\n  hold: none\nlistem: x\nlimits:\n  default_rpm: many\n',
  )
  assert.deepEqual(
    found.map((line) => line.split(' ')[0]),
    ['2', '3', '5'],
  )
})

test('broken YAML, a key twice and an alias bomb are refused with a line', async (t) => {
  assert.match(
    (await problems(t, 'listen: [1\nstore: {')).join(),
    /^\d not valid|^\d : not valid YAML/,
  )
  assert.match(
    (await problems(t, 'listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n'))[0],
    /^2 : not valid YAML: .*unique/,
  )
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefghi'
      .split('')
      .map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[i]}`)}]`),
  ].join('\n')
  assert.match((await problems(t, bomb)).join(), /not valid YAML/)
  assert.equal((await problems(t, `__proto__: {polluted: 1}\n`)).length, 1)
  assert.equal(({} as Record<string, unknown>).polluted, undefined)
})

test('option beats environment beats file beats default, and each says so', async (t) => {
  const env = {
    CCGATE_LIMITS__DEFAULT_RPM: '120',
    CCGATE_LISTEN: '127.0.0.1:2',
    CCGATE_TRUSTED_PROXIES: '10.0.0.1, ::1',
  }
  const { load } = world(t, env)
  const result = await load('limits:\n  default_rpm: 90\n  default_concurrency: none\n', [
    { path: 'listen', value: '127.0.0.1:3', name: '--listen' },
  ])
  assert.ok(result.kind === 'loaded')
  assert.equal(result.config.limits.defaultRpm, 120)
  assert.equal(result.config.limits.defaultConcurrency, null)
  assert.deepEqual(result.config.listen, { kind: 'tcp', host: '127.0.0.1', port: 3 })
  assert.deepEqual(result.config.trustedProxies, ['10.0.0.1', '::1'])
  const origin = (path: string) => result.entries.find((entry) => entry.path === path)?.origin
  assert.deepEqual(origin('limits.default_rpm'), {
    kind: 'env',
    name: 'CCGATE_LIMITS__DEFAULT_RPM',
  })
  assert.deepEqual(origin('limits.default_concurrency'), { kind: 'file', line: 3 })
  assert.deepEqual(origin('listen'), { kind: 'option', name: '--listen' })
  assert.deepEqual(origin('public_url'), { kind: 'default' })
})

test('every setting can be set from the environment', async (t) => {
  for (const path of SETTING_PATHS) {
    const name = environmentName(path)
    const { load } = world(t, { [name]: '~%~' })
    const result = await load(null)
    if (['store.path', 'store.master_key_file', 'logging.file'].includes(path)) {
      assert.equal(result.kind, 'loaded')
    } else {
      assert.ok(result.kind === 'invalid')
      assert.deepEqual(result.problems[0].origin, { kind: 'env', name })
      assert.equal(result.problems[0].line, null)
    }
  }
})

test('unknown CCGATE_ names make one warning with the nearest name', async (t) => {
  const { load } = world(t, {
    CCGATE_LIMIT__DEFAULT_RPM: '1',
    CCGATE_ZZZZZZZZ: '1',
    CCGATE_DEBUG: '1',
  })
  const result = await load(null)
  assert.ok(result.kind === 'loaded')
  assert.deepEqual(result.warnings, [
    'Unknown in the environment: CCGATE_LIMIT__DEFAULT_RPM (did you mean CCGATE_LIMITS__DEFAULT_RPM?), CCGATE_ZZZZZZZZ',
  ])
})

test('paths in the file count from the file, all others from the current folder', async (t) => {
  const { home, place } = world(t)
  mkdirSync(join(home, 'etc'))
  const file = join(home, 'etc', 'config.yaml')
  writeFileSync(file, 'store: {path: data.db, master_key_file: k}\nlogging: {file: log/x.json}\n')
  const fromFile = await loadConfig({ file, place })
  assert.ok(fromFile.kind === 'loaded')
  assert.equal(fromFile.config.store.path, join(home, 'etc', 'data.db'))
  assert.equal(fromFile.config.store.masterKeyFile, join(home, 'etc', 'k'))
  assert.equal(fromFile.config.logging.file, join(home, 'etc', 'log', 'x.json'))
  const env = {
    CCGATE_DB: 'other.db',
    CCGATE_STORE__PATH: 'lower.db',
    CCGATE_MASTER_KEY_FILE: 'cred',
  }
  const fromEnv = await loadConfig({ file, place: { ...place, env } })
  assert.ok(fromEnv.kind === 'loaded')
  assert.equal(fromEnv.config.store.path, join(home, 'other.db'))
  assert.equal(fromEnv.config.store.masterKeyFile, join(home, 'cred'))
})

test('a config is looked for where people expect it, and never in the current folder', async (t) => {
  const { home, place } = world(t)
  writeFileSync(join(home, 'config.yaml'), 'listen: 127.0.0.1:1\n')
  assert.deepEqual(findConfigFile(place, null).named, false)
  assert.notEqual(findConfigFile(place, null).file, join(home, 'config.yaml'))
  const user = join(home, '.config', 'ccgate', 'config.yaml')
  mkdirSync(join(home, '.config', 'ccgate'), { recursive: true })
  writeFileSync(user, '')
  assert.equal(findConfigFile(place, null).file, user)
  assert.equal(
    findConfigFile({ ...place, env: { XDG_CONFIG_HOME: '/nowhere' } }, null).file === user,
    false,
  )
  assert.equal(
    findConfigFile({ ...place, env: { CCGATE_CONFIG: 'a.yaml' } }, null).file,
    join(home, 'a.yaml'),
  )
  assert.equal(
    findConfigFile({ ...place, env: { CCGATE_CONFIG: 'a.yaml' } }, 'b.yaml').file,
    join(home, 'b.yaml'),
  )
  assert.equal((await loadConfig({ file: 'b.yaml', place })).kind, 'missing')
  assert.equal((await loadConfig({ file: '.', place })).kind, 'unreadable')
  assert.equal(
    defaultDatabaseFile(place, user),
    join(home, '.local', 'share', 'ccgate', 'ccgate.db'),
  )
  assert.equal(defaultDatabaseFile({ ...place, isRoot: true }, null), '/var/lib/ccgate/ccgate.db')
  assert.equal(defaultDatabaseFile(place, '/etc/ccgate/config.yaml'), '/var/lib/ccgate/ccgate.db')
})

test('a duration beyond what a timer can wait is refused', () => {
  for (const path of ['shutdown_grace', 'upstream.timeouts.idle']) {
    const result = schema.safeParse(withSetting(path, '25d'))
    assert.match(result.error?.issues[0]?.message ?? '', /"25d" is too long: at most 24d/)
    assert.ok(schema.safeParse(withSetting(path, '24d')).success)
  }
})

function withSetting(path: string, value: string): unknown {
  const tree = structuredClone(DEFAULTS) as Record<string, unknown>
  const names = path.split('.')
  let at = tree
  for (const name of names.slice(0, -1)) at = at[name] as Record<string, unknown>
  at[names.at(-1) ?? ''] = value
  return tree
}

test('no setting lets a request run longer than the ledger check takes for alive', async () => {
  for (const [path, most] of [
    ['upstream.timeouts.answer_begins', '15m'],
    ['upstream.timeouts.longest_stream', '60m'],
  ] as const) {
    const place = { env: {}, home: '/nowhere', cwd: '/nowhere', isRoot: false }
    const load = (value: string) =>
      loadConfig({ file: null, options: [{ path, value, name: '--x' }], place })
    assert.equal((await load(most)).kind, 'loaded')
    const refused = await load('2h')
    assert.equal(refused.kind, 'invalid')
    assert.match(JSON.stringify(refused), new RegExp(`at most ${most}`))
  }
})

test('a name of OpenAI’s clients that stands for no model is a problem', () => {
  const { models } = defaultConfig()
  const named = (openAiNames: Record<string, string>) =>
    modelProblems({ ...models, openAiNames }, [], Date.now())
  assert.deepEqual(named({ 'gpt-*': 'claude-sonnet-4-6' }), [])
  const [{ path, message }] = named({ 'gpt-4o': 'claude-sonet-4-6' })
  assert.equal(path, 'openai_compat.model_map.gpt-4o')
  assert.match(message, /there is no model "claude-sonet-4-6". Did you mean claude-sonnet-4-6/)
})

test('the proxy to upstream is read in one spelling, and shown without its login', async (t) => {
  const { load } = world(t)
  const result = await load('upstream:\n  proxy: SOCKS5://anna:hunter2@Proxy.example.com\n')
  assert.equal(result.kind, 'loaded')
  if (result.kind !== 'loaded') return
  assert.equal(
    result.config.upstream.proxy,
    'socks5://anna:hunter2@Proxy.example.com:1080'.toLowerCase(),
  )
  const entry = result.entries.find(({ path }) => path === 'upstream.proxy')
  assert.equal(entry?.value, 'SOCKS5://***@Proxy.example.com')
  const env = { CCGATE_UPSTREAM__PROXY: 'http://10.0.0.7:3128' }
  const set = await world(t, env).load('upstream:\n  proxy: none\n')
  assert.equal(set.kind === 'loaded' && set.config.upstream.proxy, 'http://10.0.0.7:3128')
})

test('a proxy that cannot be is a problem that never quotes its login', async (t) => {
  for (const value of [
    'ftp://anna:hunter2@p',
    'anna:hunter2@p:1',
    '{http: "http://anna:hunter2@p"}',
  ]) {
    const [problem, ...more] = await problems(t, `upstream:\n  proxy: ${value}\n`)
    assert.deepEqual(more, [])
    assert.match(problem, /^2 upstream\.proxy: /)
    assert.doesNotMatch(problem, /hunter2|anna/)
  }
})
