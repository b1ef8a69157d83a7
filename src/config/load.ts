import { readFileSync } from 'node:fs'
import type { z } from 'zod'
import { nearest } from '../core/nearest.ts'
import { hideProxyLogin } from '../core/proxy-url.ts'
import { type Config, toConfig } from './config.ts'
import { findConfigFile, type Place, processPlace } from './place.ts'
import { DEFAULTS, environmentName, SETTING_PATHS, type Settings, schema } from './schema.ts'

/** Where a value came from. */
export type Origin =
  | { readonly kind: 'default' }
  | { readonly kind: 'file'; readonly line: number }
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'option'; readonly name: string }

/** One setting as it was written, passwords hidden, and by whom. */
export interface ConfigEntry {
  readonly path: string
  readonly value: unknown
  readonly origin: Origin
}

/** Something wrong with one setting; `message` says what, and what to write instead. */
export interface ConfigProblem {
  /** Of the config file; null when the value came from elsewhere. */
  readonly line: number | null
  readonly path: string
  readonly message: string
  readonly origin: Origin
}

/** A value given on the command line, such as `--listen`. */
export interface ConfigOption {
  readonly path: string
  readonly value: string
  /** `--listen` */
  readonly name: string
}

export type ConfigResult =
  | {
      readonly kind: 'loaded'
      readonly config: Config
      /** null: no file, only defaults, environment and options. */
      readonly file: string | null
      readonly entries: readonly ConfigEntry[]
      readonly warnings: readonly string[]
    }
  | {
      readonly kind: 'invalid'
      readonly file: string | null
      readonly problems: readonly ConfigProblem[]
      readonly warnings: readonly string[]
      /** With defaults for what is wrong, for looking at all that is right; null where even that fails. */
      readonly rest: Extract<ConfigResult, { kind: 'loaded' }> | null
    }
  /** The file was named and is not there, or nobody may read it. */
  | { readonly kind: 'missing' | 'unreadable'; readonly file: string; readonly reason: string }

/** Environment names of ours that are not settings. */
const OTHER_NAMES = [
  'CCGATE_CONFIG',
  'CCGATE_DB',
  'CCGATE_JSON',
  'CCGATE_VERBOSE',
  'CCGATE_NO_INPUT',
  'CCGATE_YES',
  'CCGATE_TZ',
  'CCGATE_DEBUG',
  'CCGATE_MASTER_KEY_FILE',
]
const MAX_FILE_BYTES = 1_000_000

/** Reads the config: option over environment over file over default. Repeatable; nothing is cached. */
export async function loadConfig(
  request: {
    readonly file?: string | null
    readonly options?: readonly ConfigOption[]
    readonly place?: Place
  } = {},
): Promise<ConfigResult> {
  const place = request.place ?? processPlace()
  const found = findConfigFile(place, request.file ?? null)
  const tree: Tree = structuredClone(DEFAULTS) as unknown as Tree
  const origins = new Map<string, Origin>()
  let lineOf: (path: readonly string[]) => number | null = () => null
  const warnings = [...unknownNames(place.env)]

  if (found.file !== null) {
    let text: string
    try {
      text = readFileSync(found.file, 'utf8')
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown'
      return { kind: code === 'ENOENT' ? 'missing' : 'unreadable', file: found.file, reason: code }
    }
    const parsed = await readYaml(text)
    if (parsed.kind === 'invalid')
      return { kind: 'invalid', file: found.file, problems: parsed.problems, warnings, rest: null }
    lineOf = parsed.lineOf
    overlay(tree, parsed.tree, [], (path) => {
      origins.set(path.join('.'), { kind: 'file', line: parsed.lineOf(path) ?? 1 })
    })
  }
  for (const path of SETTING_PATHS) {
    const name = environmentName(path)
    const value = place.env[name]
    if (value !== undefined && value !== '') put(tree, path, value, { kind: 'env', name })
  }
  if (place.env.CCGATE_DB)
    put(tree, 'store.path', place.env.CCGATE_DB, { kind: 'env', name: 'CCGATE_DB' })
  for (const option of request.options ?? []) {
    put(tree, option.path, option.value, { kind: 'option', name: option.name })
  }

  const loaded = (settings: Settings, from: Tree): Extract<ConfigResult, { kind: 'loaded' }> => ({
    kind: 'loaded',
    config: toConfig(settings, {
      place,
      configFile: found.file,
      fromFile: (path) => origins.get(path)?.kind === 'file',
      isSet: (path) => origins.has(path),
    }),
    file: found.file,
    entries: SETTING_PATHS.map((path) => ({
      path,
      value: shownValue(path, valueAt(from, path.split('.'))),
      origin: origins.get(path) ?? ({ kind: 'default' } as const),
    })),
    warnings,
  })
  const checked = schema.safeParse(tree)
  if (!checked.success) {
    const { issues } = checked.error
    const problems = issues.flatMap((issue) => describe(issue, { tree, origins, lineOf }))
    const right = withDefaults(tree, issues)
    const again = schema.safeParse(right)
    const rest = again.success ? loaded(again.data, right) : null
    if (rest !== null) {
      const wrong = problems.map(({ path }) => groupOf(path))
      // A limit that fell back to its default contradicts nobody.
      const more = contradictions(rest.config, origins)
      problems.push(...more.filter(({ path }) => !wrong.includes(groupOf(path))))
    }
    problems.sort((a, b) => (a.line ?? 0) - (b.line ?? 0))
    return { kind: 'invalid', file: found.file, problems, warnings, rest }
  }
  const result = loaded(checked.data, tree)
  const problems = contradictions(result.config, origins)
  if (problems.length === 0) return result
  return { kind: 'invalid', file: found.file, problems, warnings, rest: result }

  function put(target: Tree, path: string, value: string, origin: Origin): void {
    const keys = path.split('.')
    let node = target
    for (const key of keys.slice(0, -1)) {
      // A broken group in the file is reported by its own problem; the value here still counts.
      if (!isTree(node[key])) node[key] = {}
      node = node[key] as Tree
    }
    node[keys[keys.length - 1]] = value
    origins.set(path, origin)
  }
}

type Tree = { [key: string]: unknown }
type YamlResult =
  | {
      readonly kind: 'read'
      readonly tree: Tree
      readonly lineOf: (path: readonly string[]) => number | null
    }
  | { readonly kind: 'invalid'; readonly problems: readonly ConfigProblem[] }

async function readYaml(text: string): Promise<YamlResult> {
  const problem = (line: number, message: string): YamlResult => ({
    kind: 'invalid',
    problems: [{ line, path: '', message, origin: { kind: 'file', line } }],
  })
  if (text.length > MAX_FILE_BYTES)
    return problem(1, 'the file is larger than 1 MB; that is no ccgate config')
  const { isMap, isScalar, LineCounter, parseDocument } = await import('yaml')
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const lineAt = (offset: number) => lines.linePos(offset).line
  if (document.errors.length > 0) {
    return {
      kind: 'invalid',
      problems: document.errors.slice(0, 10).map((error) => {
        const line = lineAt(error.pos[0])
        return {
          line,
          path: '',
          message: `not valid YAML: ${error.message}`,
          origin: { kind: 'file', line },
        }
      }),
    }
  }
  let tree: unknown
  try {
    tree = document.toJS({ maxAliasCount: 100 })
  } catch (error) {
    return problem(1, `not valid YAML: ${error instanceof Error ? error.message : 'unreadable'}`)
  }
  if (tree === null || tree === undefined) return { kind: 'read', tree: {}, lineOf: () => null }
  if (!isTree(tree))
    return problem(1, 'the file must hold settings, one per line. Example: listen: 127.0.0.1:8787')
  function lineOf(path: readonly string[]): number | null {
    let node: unknown = document.contents
    let line: number | null = null
    for (const key of path) {
      if (!isMap(node)) break
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === key)
      if (pair === undefined) return line
      if (isScalar(pair.key) && pair.key.range) line = lineAt(pair.key.range[0])
      node = pair.value
    }
    return line
  }
  return { kind: 'read', tree, lineOf }
}

/** Lays the file over the defaults; groups merge, everything else replaces. */
function overlay(
  target: Tree,
  source: Tree,
  path: readonly string[],
  noteLeaf: (path: readonly string[]) => void,
): void {
  for (const [key, value] of Object.entries(source)) {
    const here = [...path, key]
    const old = Object.hasOwn(target, key) ? target[key] : undefined
    // A group of the operator's own names is one setting.
    const isGroup = isTree(old) && !SETTING_PATHS.includes(here.join('.'))
    if (isGroup && isTree(value)) overlay(old, value, here, noteLeaf)
    // `store:` with nothing below it is an empty group, not a mistake.
    else if (!(isTree(old) && value === null)) {
      Object.defineProperty(target, key, {
        value,
        writable: true,
        enumerable: true,
        configurable: true,
      })
      noteLeaf(here)
    }
  }
}

function describe(
  issue: z.core.$ZodIssue,
  facts: {
    readonly tree: Tree
    readonly origins: ReadonlyMap<string, Origin>
    readonly lineOf: (path: readonly string[]) => number | null
  },
): readonly ConfigProblem[] {
  const keys = issue.path.map(String)
  const at = (path: readonly string[], message: string): ConfigProblem => {
    const name = path.join('.')
    const line = facts.lineOf(path)
    const origin =
      originOf(facts.origins, path) ??
      (line === null ? { kind: 'default' as const } : { kind: 'file' as const, line })
    return {
      line: origin.kind === 'file' ? (line ?? origin.line) : null,
      path: name,
      message,
      origin,
    }
  }
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const path = [...keys, key]
      const hint = suggestion(path)
      return at(
        path,
        hint === null
          ? 'unknown key. See: ccgate config example'
          : `unknown key. Did you mean ${hint}?`,
      )
    })
  }
  if (issue.code === 'invalid_type') {
    return [at(keys, 'is a group of settings: write its keys below it, indented')]
  }
  return [at(keys, issue.message)]
}

/** The tree with the default in place of every setting that is wrong, and without what is unknown. */
function withDefaults(tree: Tree, issues: readonly z.core.$ZodIssue[]): Tree {
  const right = structuredClone(tree)
  for (const issue of issues) {
    const keys = issue.path.map(String)
    if (issue.code === 'unrecognized_keys') {
      const group = keys.length === 0 ? right : valueAt(right, keys)
      if (isTree(group)) for (const key of issue.keys) delete group[key]
      continue
    }
    const name = keys.join('.')
    const path = SETTING_PATHS.find((one) => name === one || name.startsWith(`${one}.`)) ?? name
    const parts = path.split('.')
    const group = valueAt(right, parts.slice(0, -1))
    const usual = valueAt(DEFAULTS as unknown as Tree, parts)
    if (isTree(group) && usual !== undefined)
      group[parts[parts.length - 1]] = structuredClone(usual)
  }
  return right
}

function groupOf(path: string): string {
  return path.split('.').slice(0, -1).join('.')
}

/** Who set this, or the setting that it is a member of. */
function originOf(
  origins: ReadonlyMap<string, Origin>,
  path: readonly string[],
): Origin | undefined {
  for (let length = path.length; length > 0; length--) {
    const origin = origins.get(path.slice(0, length).join('.'))
    if (origin !== undefined) return origin
  }
  return undefined
}

/** The known setting or group nearest to an unknown one: first among its siblings, then anywhere. */
function suggestion(path: readonly string[]): string | null {
  const groups = new Set<string>()
  for (const setting of SETTING_PATHS) {
    const keys = setting.split('.')
    for (let depth = 1; depth <= keys.length; depth++) groups.add(keys.slice(0, depth).join('.'))
  }
  const parent = path.slice(0, -1).join('.')
  const key = path[path.length - 1]
  const siblings = [...groups].filter((name) => name.split('.').slice(0, -1).join('.') === parent)
  const sibling = nearest(
    key,
    siblings.map((name) => name.slice(parent === '' ? 0 : parent.length + 1)),
  )
  if (sibling !== null) return parent === '' ? sibling : `${parent}.${sibling}`
  // `timeout` at the top level: someone forgot the group.
  const sameKey = [...groups].find((name) => name.split('.').at(-1) === key)
  return sameKey ?? nearest(path.join('.'), groups)
}

/** Values that are fine alone and impossible together. */
function contradictions(
  config: Config,
  origins: ReadonlyMap<string, Origin>,
): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = []
  for (const [name, span] of [
    ['overloaded', config.cooldown.overloaded],
    ['rate_limited', config.cooldown.rateLimited],
    ['server_error', config.cooldown.serverError],
  ] as const) {
    if (span.firstMs <= span.maxMs) continue
    const path = `cooldown.${name}.first`
    const origin = origins.get(path) ?? origins.get(`cooldown.${name}.max`) ?? { kind: 'default' }
    const line = origin.kind === 'file' ? origin.line : null
    problems.push({ line, path, message: `is longer than cooldown.${name}.max`, origin })
  }
  return problems
}

/** Entries are made to be shown: the one setting that may hold a password shows none. */
function shownValue(path: string, value: unknown): unknown {
  return path === 'upstream.proxy' && typeof value === 'string' ? hideProxyLogin(value) : value
}

function unknownNames(env: Place['env']): readonly string[] {
  const known = [...SETTING_PATHS.map(environmentName), ...OTHER_NAMES]
  const unknown = Object.keys(env).filter(
    (name) => name.startsWith('CCGATE_') && !known.includes(name),
  )
  if (unknown.length === 0) return []
  const parts = unknown.sort().map((name) => {
    // The beginning, which all have, would make everything look alike.
    const short = (text: string) => text.replace(/^CCGATE_/, '')
    const close = nearest(short(name), known.map(short))
    const hint = known.find((one) => short(one) === close) ?? null
    return hint === null ? name : `${name} (did you mean ${hint}?)`
  })
  return [`Unknown in the environment: ${parts.join(', ')}`]
}

function valueAt(tree: Tree, path: readonly string[]): unknown {
  let node: unknown = tree
  for (const key of path) node = isTree(node) ? node[key] : undefined
  return node
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
