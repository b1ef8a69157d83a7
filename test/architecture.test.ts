import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

/**
 * Who may import whom: the rooms of `src/` and the rooms each may look into, types included. A room may
 * always look into itself, into `core`, and nowhere else than this. When the table is in your way, change it
 * here, in the open, and in `docs/architecture.md`; or change the code.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  main: ['cli'],
  cli: [
    'access',
    'billing',
    'config',
    'daemon',
    'observe',
    'providers',
    'sandbox',
    'simulate',
    'store',
    'tui',
    'vault',
  ],
  tui: ['store'],
  daemon: [
    'access',
    'billing',
    'config',
    'gateway',
    'observe',
    'pool',
    'providers',
    'server',
    'store',
    'vault',
  ],
  // `billing`: `GET /v1/models` is made from the price table.
  server: ['access', 'billing', 'dialects', 'gateway', 'observe', 'store'],
  gateway: ['access', 'billing', 'dialects', 'observe', 'pool', 'providers', 'store', 'wire'],
  access: ['store'],
  store: ['billing'],
  providers: ['wire'],
  dialects: ['wire'],
  sandbox: ['wire'],
  // The choice as it is, played on a simulated clock: what upstream's cache does is the sandbox's model of it.
  simulate: ['billing', 'pool', 'sandbox', 'wire'],
  vault: [],
  pool: [],
  billing: [],
  wire: [],
  // `billing`: the config's prices are read, and checked against the built-in models, by the rules of a price file.
  config: ['billing'],
  observe: [],
  core: [],
}

/** The one file of a room with others behind it that everybody may see. */
const PORTS: Readonly<Record<string, string>> = {
  store: 'store/store.ts',
  dialects: 'dialects/dialect.ts',
  providers: 'providers/provider.ts',
}

/** Who may look behind a port. */
const MAY_LOOK_BEHIND: Readonly<Record<string, readonly string[]>> = {
  store: ['daemon', 'cli'],
  dialects: ['daemon'],
  providers: ['daemon', 'cli'],
}

/**
 * Doors in the wall of a port, one per file behind it, as long as there is one dialect and one provider. When
 * a second one comes, it decides what the port needs, and these lines go.
 */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  // The one line of a new dialect, and the route that speaks it.
  'dialects/index.ts': ['server', 'gateway'],
  // A model is looked up by the name that a request may call it.
  'dialects/openai/model-name.ts': ['server'],
  'providers/http.ts': ['gateway'],
  'providers/anthropic/classify.ts': ['gateway'],
  'providers/anthropic/made-objects.ts': ['gateway'],
  'providers/anthropic/request.ts': ['gateway'],
  'providers/anthropic/stream-tap.ts': ['gateway'],
  'providers/anthropic/usage.ts': ['gateway'],
}

/** Files that decide and do nothing else: no package, no `node:`, and time and chance are given to them. */
const PURE = [
  'core/',
  'wire/',
  'billing/',
  'dialects/',
  'pool/candidate.ts',
  'pool/select.ts',
  'pool/weigh.ts',
  'pool/trail.ts',
  'pool/affinity.ts',
  'pool/prefix-table.ts',
  'pool/seen-prompts.ts',
  'pool/cooldown.ts',
  'pool/first-token.ts',
  'pool/foreign-use.ts',
  'pool/pace.ts',
  'pool/rests.ts',
  'pool/shared-refusals.ts',
  'pool/token-window.ts',
  'pool/suspicion.ts',
  'pool/retry-budget.ts',
  'pool/model-overload.ts',
  'pool/upstream-limits.ts',
  'pool/waiting-room.ts',
  'access/admit.ts',
]

const SRC = fileURLToPath(new URL('../src', import.meta.url))

interface SourceFile {
  /** Relative to `src/`. */
  readonly path: string
  readonly text: string
  readonly imports: readonly string[]
}

const FILES: readonly SourceFile[] = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => /\.tsx?$/.test(path))
  .map((path) => {
    const text = readFileSync(join(SRC, path), 'utf8')
    return { path, text, imports: importsOf(text) }
  })

/** The specifiers that a file names: import and re-export, with or without `type`, static or not. */
function importsOf(text: string): string[] {
  const found: string[] = []
  const forms = [
    /^(?:import|export)\s[\w\s{},*$]*?from\s*['"]([^'"]+)['"]/gm,
    /^import\s*['"]([^'"]+)['"]/gm,
    /\bimport\(\s*['"]([^'"]+)['"]/g,
  ]
  for (const form of forms) for (const match of text.matchAll(form)) found.push(match[1])
  return found
}

function roomOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : path.replace(/\.tsx?$/, '')
}

/** Files of ours that a file imports, relative to `src/`. */
function ownImports(file: SourceFile): string[] {
  return file.imports
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => join(dirname(file.path), specifier))
}

/** The text without comments and strings' contents; good enough to look for words of the language. */
function codeOf(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/'(?:[^'\\\n]|\\.)*'/g, "''")
    .replace(/(^|\s)\/\/.*$/gm, '$1')
}

test('the parser sees every form of import', () => {
  const text = [
    "import { a } from './a.ts'",
    "import type { B } from './b.ts'",
    "import {\n  c,\n  type D,\n} from './c.ts'",
    "import * as e from './e.ts'",
    "export { f } from './f.ts'",
    "export * from './g.ts'",
    "import './h.ts'",
    "const i = await import('./i.ts')",
    "type J = import('./j.ts').J",
    "// Taken from './not.ts'",
    "export const k = 'from somewhere'",
    "import l from 'l'",
  ].join('\n')
  assert.deepEqual(importsOf(text).toSorted(), [
    './a.ts',
    './b.ts',
    './c.ts',
    './e.ts',
    './f.ts',
    './g.ts',
    './h.ts',
    './i.ts',
    './j.ts',
    'l',
  ])
})

test('there is a rule for every room, and a room for every rule', () => {
  const rooms = new Set(FILES.map(({ path }) => roomOf(path)))
  assert.deepEqual([...rooms].toSorted(), Object.keys(MAY_IMPORT).toSorted())
})

test('every import leads to a room that the importer may look into', () => {
  const wrong: string[] = []
  for (const file of FILES) {
    const room = roomOf(file.path)
    for (const target of ownImports(file)) {
      const there = roomOf(target)
      if (there === room || there === 'core') continue
      if (!MAY_IMPORT[room].includes(there)) wrong.push(`${file.path} -> ${target}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('what lies behind a port is seen by those who assemble, and through named doors', () => {
  const wrong: string[] = []
  for (const file of FILES) {
    const room = roomOf(file.path)
    for (const target of ownImports(file)) {
      const there = roomOf(target)
      if (there === room || PORTS[there] === undefined || PORTS[there] === target) continue
      if (MAY_LOOK_BEHIND[there].includes(room) || DOORS[target]?.includes(room)) continue
      wrong.push(`${file.path} -> ${target}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('every import that the tables allow is used somewhere', () => {
  const used = new Set<string>()
  for (const file of FILES) {
    const room = roomOf(file.path)
    for (const target of ownImports(file)) {
      used.add(`${room} -> ${roomOf(target)}`)
      used.add(`${room} -> ${target}`)
    }
  }
  // Planned from the start; the first user will come.
  const promised = ['server -> observe', 'sandbox -> wire']
  const allowed = [
    ...Object.entries(MAY_IMPORT).flatMap(([room, list]) => list.map((to) => `${room} -> ${to}`)),
    ...Object.entries(DOORS).flatMap(([file, rooms]) => rooms.map((room) => `${room} -> ${file}`)),
  ]
  assert.deepEqual(
    allowed.filter((edge) => !used.has(edge) && !promised.includes(edge)),
    [],
  )
})

test('pure files import no package and nothing of Node', () => {
  const wrong: string[] = []
  for (const file of FILES) {
    if (!PURE.some((start) => file.path.startsWith(start))) continue
    for (const specifier of file.imports)
      if (!specifier.startsWith('.')) wrong.push(`${file.path} -> ${specifier}`)
  }
  assert.deepEqual(wrong, [])
})

test('pure files import pure files only', () => {
  const isPure = (path: string) => PURE.some((start) => path.startsWith(start))
  const wrong = FILES.filter(({ path }) => isPure(path)).flatMap((file) =>
    ownImports(file)
      .filter((target) => !isPure(target))
      .map((target) => `${file.path} -> ${target}`),
  )
  assert.deepEqual(wrong, [])
})

test('pure files are given time, chance and surroundings, they do not take them', () => {
  const taken =
    /\bDate\.now\b|\bnew Date\(\s*\)|\bMath\.random\b|\bperformance\.|\bprocess\.|\bcrypto\.|\bset(?:Timeout|Interval|Immediate)\b|\bfetch\(|\bconsole\./
  const wrong: string[] = []
  for (const file of FILES) {
    if (!PURE.some((start) => file.path.startsWith(start))) continue
    const match = taken.exec(codeOf(file.text))
    if (match !== null) wrong.push(`${file.path}: ${match[0]}`)
  }
  assert.deepEqual(wrong, [])
})

test('no file imports itself, however long the way round', () => {
  const known = new Map(FILES.map((file) => [file.path, ownImports(file)]))
  const done = new Set<string>()
  const cycles: string[] = []
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path)
    if (at >= 0) {
      cycles.push([...trail.slice(at), path].join(' -> '))
      return
    }
    if (done.has(path)) return
    for (const target of known.get(path) ?? []) visit(target, [...trail, path])
    done.add(path)
  }
  for (const path of known.keys()) visit(path, [])
  assert.deepEqual(cycles, [])
})

test('every import of ours names a file that is there, with its real extension', () => {
  const paths = new Set(FILES.map(({ path }) => path))
  const wrong = FILES.flatMap((file) =>
    ownImports(file)
      .filter((target) => target.endsWith('.json') === false && !paths.has(target))
      .map((target) => `${file.path} -> ${target}`),
  )
  assert.deepEqual(wrong, [])
})

test('SQL stays inside the store', () => {
  const statement =
    /\b(?:SELECT\s[\w*,.\s]+\sFROM|INSERT\s+INTO|DELETE\s+FROM|UPDATE\s+\w+\s+SET)\b/
  const wrong = FILES.filter(({ path, text }) => roomOf(path) !== 'store' && statement.test(text))
  assert.deepEqual(
    wrong.map(({ path }) => path),
    [],
  )
})
