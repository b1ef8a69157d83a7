import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { apiText, cliErrorsText, cliText } from '../../docs/generate.ts'
import { readPriceFile } from '../../src/billing/price-file.ts'
import { BUILT_IN_PRICES } from '../../src/billing/prices.ts'
import { loadConfig } from '../../src/config/load.ts'
import { modelProblems } from '../../src/config/model-problems.ts'
import { ERRORS } from '../../src/core/errors.ts'
import { usageView } from '../../src/core/usage-view.ts'
import { sandboxKey } from '../../src/sandbox/accounts.ts'
import { SPECIAL_ERRORS } from '../../src/sandbox/errors.ts'
import { SCENARIOS } from '../../src/sandbox/fault-board.ts'
import { parseFault } from '../../src/sandbox/faults.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { parseScript } from '../../src/sandbox/script.ts'
import { world } from '../support/world.ts'
import { blocksOf, ccgateCommands, complaintOf, documentedWorld, documents } from './docs-world.ts'
import { cleanEnvironment, ROOT, start, temporaryFolder } from './processes.ts'

const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')

test('cli.md, errors.md and the error table of api.md are what the source says', () => {
  assert.equal(read('docs/cli.md'), cliText(), 'run: npm run docs')
  assert.equal(read('docs/errors.md'), cliErrorsText(), 'run: npm run docs')
  assert.equal(read('docs/api.md'), apiText(read('docs/api.md')), 'run: npm run docs')
})

test('every error code is in api.md', () => {
  const text = read('docs/api.md')
  for (const code of Object.keys(ERRORS)) assert.ok(text.includes(`\`${code}\``), code)
})

test('api.md names the fields of a receipt, all of them and no others', async (t) => {
  const w = await world(t)
  const response = await w.post()
  await response.text()
  const row = await w.usage(response.headers.get('x-cc-request-id') ?? '')
  const whole = {
    ...row,
    holdSteps: [{ kind: 'opened', amountMicro: 1, afterMs: 1 }],
    refunds: [{ id: 'led_1', amountMicro: 1, note: null, createdAtMs: 1 }],
  } as const
  const fields = Object.entries(usageView(whole)).flatMap(([name, value]) => namesIn(name, value))
  const section = read('docs/api.md').split('\n## The receipt\n')[1].split('\n## ')[0]
  const named = [...section.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([, cell]) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  )
  assert.deepEqual(named.sort(), fields.sort())
})

/** `receipt.lines[].tokens` and the like; lists of numbers and the classes of tokens have one name. */
function namesIn(name: string, value: unknown): readonly string[] {
  const [first] = Array.isArray(value) ? value : [value]
  const isWhole = typeof first !== 'object' || first === null || 'cache_write_5m' in first
  if (isWhole) return [name]
  const path = Array.isArray(value) ? `${name}[]` : name
  return Object.entries(first as object).flatMap(([sub, inner]) => namesIn(`${path}.${sub}`, inner))
}

test('every command in the documents exists, with its options', async () => {
  const wrong: string[] = []
  for (const [file, text] of documents()) {
    const inline = [...text.replace(/^```.*?^```$/gms, '').matchAll(/`(ccgate [^`\n]+)`/g)]
    const fenced = blocksOf('sh').filter((block) => block.file === file)
    for (const shell of [...inline.map(([, code]) => code), ...fenced.map((one) => one.text)]) {
      for (const argv of ccgateCommands(shell)) {
        // A heading of cli.md is the usage, not a command line.
        if (argv.some((word) => /^[<[]/.test(word))) continue
        const complaint = await complaintOf(argv)
        if (complaint !== null) wrong.push(`${file}: ccgate ${argv.join(' ')}: ${complaint}`)
      }
    }
  }
  assert.deepEqual(wrong, [])
})

test('every command in the documents that ends by itself runs and ends well', async (t) => {
  const w = await documentedWorld(t)
  const wrong: string[] = []
  const lines = new Map(
    blocksOf('sh')
      .flatMap((block) => ccgateCommands(block.text))
      .map((argv) => [argv.join(' '), argv]),
  )
  let ran = 0
  await w.furnish()
  for (const [line, argv] of lines) {
    const adapted = w.adapted(argv)
    if (adapted === null) continue
    const { code, err } = await w.run(adapted.argv, adapted.stdin)
    if (adapted.argv.some((word) => ['revoke', 'remove', 'delete'].includes(word)))
      await w.furnish()
    ran++
    if (code !== 0) wrong.push(`ccgate ${line} → ${code}: ${err}`)
  }
  assert.deepEqual(wrong, [])
  assert.ok(ran > 60, `${ran} commands ran`)
})

test('links between documents lead somewhere', () => {
  for (const [file, text] of documents()) {
    for (const [, target] of text.matchAll(/\]\(([^)#\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      assert.ok(existsSync(join(ROOT, dirname(file), target)), `${file} links to ${target}`)
    }
  }
})

test('curl and SDK samples of the documents work against a gateway', async (t) => {
  const metricsListen = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const
  const w = await world(t, { config: (config) => ({ ...config, metricsListen }) })
  const env = { ...cleanEnvironment(temporaryFolder(t)), CCGATE_KEY: w.key }
  const here = (text: string) =>
    text
      .replaceAll(/https:\/\/api\.example\.com|http:\/\/127\.0\.0\.1:8787/g, w.url)
      .replaceAll('127.0.0.1:9464', w.daemon.metricsAddress ?? '')
  const curls = blocksOf('sh').filter((block) => block.text.startsWith('curl '))
  assert.ok(curls.length >= 3)
  const hasCurl = process.env.PATH?.split(':').some((folder) => existsSync(join(folder, 'curl')))
  if (!hasCurl) t.diagnostic('no curl here: its samples are skipped')
  for (const { file, text } of hasCurl ? curls : []) {
    const shell = here(text).replaceAll(/^curl /gm, 'curl -sS --fail-with-body ')
    const { code, out, err } = await start(t, 'sh', ['-c', shell], { env }).ended
    assert.equal(code, 0, `${file}: ${err}${out}`)
    if (file.endsWith('metrics.md')) assert.match(out, /^ccgate_requests_running 0$/m)
    else assert.equal((JSON.parse(out) as { type: string }).type, 'message', file)
  }
  const samples = blocksOf('ts')
  assert.ok(samples.length >= 2)
  for (const { file, text } of samples) {
    // The short one only makes a client: it must be one that works.
    const code = text.includes('create(')
      ? here(text)
      : `${here(text)}\nconst models = await client.models.list()\nconsole.log(models.data.length, 'ccr_')`
    const {
      code: exit,
      out,
      err,
    } = await start(t, process.execPath, ['--input-type=module-typescript', '--eval', code], {
      cwd: ROOT,
      env,
    }).ended
    assert.equal(exit, 0, `${file}: ${err}`)
    assert.match(out, /^[1-9]\d* ccr_/, file)
  }
})

test('sandbox.md: its keys, names and scenarios are those of the sandbox', () => {
  const text = read('docs/sandbox.md')
  const cells = (section: string) =>
    [...section.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([, cell]) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
    )
  const keys = cells(text.split('### All keys')[1].split('\n## ')[0])
  assert.throws(
    () => parseFault('nope=1'),
    (error: Error) => {
      const known = /known: (.*)\)/.exec(error.message)?.[1].split(' ') ?? []
      assert.deepEqual(keys.sort(), known.sort())
      return true
    },
  )
  const names = /Values of `error`: `([^`]+)`/.exec(text)?.[1].split(/\s+/) ?? []
  assert.deepEqual(names.sort(), Object.keys(SPECIAL_ERRORS).sort())
  assert.deepEqual(cells(text.split('## Scenarios')[1].split('\n## ')[0]), [...SCENARIOS])
  // Values that are listed for a key are taken.
  for (const key of ['at', 'thinking', 'usage', 'iterations']) {
    const row = new RegExp(`^\\| \`${key}\`.*$`, 'm').exec(text)?.[0] ?? ''
    const list = [...row.matchAll(/`([a-z_ ]+ [a-z_ ]+)`/g)][0][1]
    for (const value of list.split(' ')) assert.doesNotThrow(() => parseFault(`${key}=${value}`))
  }
  const scripts = blocksOf('yaml').filter(({ file }) => file === 'docs/sandbox.md')
  for (const { text: script } of scripts) assert.ok(parseScript(script).length > 0)
})

test('models.md: its settings load, and its price file is one', async (t) => {
  const inPage = (language: string) => {
    return blocksOf(language).filter(({ file }) => file === 'docs/models.md')
  }
  const file = join(temporaryFolder(t), 'config.yaml')
  const settings = inPage('yaml')
  assert.ok(settings.length >= 2)
  for (const { text } of settings) {
    writeFileSync(file, text)
    const loaded = await loadConfig({ file })
    assert.equal(loaded.kind, 'loaded', text)
    if (loaded.kind === 'loaded') assert.deepEqual(modelProblems(loaded.config.models, [], 0), [])
  }
  const [example] = inPage('json')
  const read = readPriceFile(JSON.parse(example.text), BUILT_IN_PRICES, Date.now())
  assert.equal(read.kind, 'ok')
})

test('sandbox.md: each example of the header answers as it says', async (t) => {
  const sandbox = await startSandbox()
  t.after(() => sandbox.close())
  const rows = [
    ...read('docs/sandbox.md').matchAll(/^\| `x-sandbox: ([^`]+)` \| (\d+) \| (.*) \|$/gm),
  ]
  assert.ok(rows.length >= 10)
  for (const [, header, status, what] of rows) {
    const response = await fetch(`${sandbox.url}/v1/messages`, {
      method: 'POST',
      headers: {
        'x-api-key': sandboxKey('demo-a'),
        'anthropic-version': '2023-06-01',
        'x-sandbox': header,
      },
      body: JSON.stringify({
        model: 'claude-sonnet-4-6',
        max_tokens: 64,
        messages: [{ role: 'user', content: 'Hello' }],
        stream: what.includes('in streams'),
      }),
    })
    assert.equal(response.status, Number(status), header)
    // A stream that breaks off does so while it is read.
    const text = await response.text().catch(() => '')
    if (header.startsWith('text=')) assert.ok(text.includes('"Hello, world"'))
    if (header.includes('retry_after')) assert.equal(response.headers.get('retry-after'), '7')
    if (header.startsWith('error_event')) assert.match(text, /event: error\n.*overloaded_error/)
    if (header.startsWith('at=')) assert.ok(!text.includes('message_stop'))
  }
})

test('logs.md lists the events of the source, each with its level', () => {
  const source = sourceFiles(join(ROOT, 'src'))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n')
  const inSource = new Set<string>()
  // log.info({...}, 'serve.ready'), and the two whose level or name is chosen where they are written.
  for (const [, level, name] of source.matchAll(
    /\blog\.(debug|info|warn|error|fatal)\((?:[^()]|\([^()]*\))*?'([a-z]+\.[a-z_]+)',?\s*\)/g,
  )) {
    inSource.add(`${name} ${level}`)
  }
  const chosen = [
    [`isFull ? 'store.full' : 'store.has_room'`, ['store.full error', 'store.has_room info']],
    [
      `record.status === 'rejected' ? 'request.rejected' : 'request.done'`,
      ['request.rejected info', 'request.done info'],
    ],
  ] as const
  for (const [code, events] of chosen) {
    assert.ok(source.includes(code), code)
    for (const event of events) inSource.add(event)
  }
  // The pool's events; their kinds are the states of core/model.ts.
  assert.match(source, /`account\.\$\{event\.kind\}`/)
  const kinds =
    /\/\*\*[\s*]+(`cooling`[^/]*?)\.\s+\*\/\s+readonly kind: string/.exec(source)?.[1] ?? ''
  for (const [, kind] of kinds.matchAll(/`(\w+)`/g)) {
    inSource.add(`account.${kind} ${kind === 'recovered' ? 'info' : 'warn'}`)
  }
  const documented = [...read('docs/logs.md').matchAll(/^\| `([a-z]+\.[a-z_]+)` \| (\w+) \|/gm)]
  assert.deepEqual(
    documented.map(([, name, level]) => `${name} ${level}`).sort(),
    [...inSource].sort(),
  )
})

test('the README is at most 250 lines', () => {
  assert.ok(read('README.md').split('\n').length <= 250)
})

function sourceFiles(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
}
