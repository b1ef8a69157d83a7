import { existsSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Config } from '../../config/config.ts'
import {
  type ConfigEntry,
  type ConfigProblem,
  type ConfigResult,
  loadConfig,
  type Origin,
} from '../../config/load.ts'
import { findConfigFile } from '../../config/place.ts'
import { environmentName, SETTING_PATHS, settingValues } from '../../config/schema.ts'
import { nearestFew } from '../../core/nearest.ts'
import { safeText } from '../../core/text.ts'
import type { PriceChange } from '../../store/store.ts'
import { type MasterKeyPlaces, masterKeyFile, readMasterKey } from '../../vault/master-key.ts'
import { type Context, notReady, problemLine } from '../context.ts'
import { CliError, EXIT, fileTrouble } from '../errors.ts'
import type { Invocation } from '../invocation.ts'
import { listJson } from '../records.ts'
import { PACKAGE_ROOT } from '../version.ts'

export async function checkConfig(context: Context, _call: Invocation): Promise<number> {
  const { print, terminal, globals } = context
  const options =
    globals.databaseFile === null
      ? []
      : [
          {
            path: 'store.path',
            value: resolve(terminal.place.cwd, globals.databaseFile),
            name: '--db',
          },
        ]
  const result = await loadConfig({ file: globals.configFile, options, place: terminal.place })
  const { file, problems: written } = problemsOf(result)
  const rest = result.kind === 'loaded' ? result : result.kind === 'invalid' ? result.rest : null
  const found = rest === null ? [] : await fileProblems(rest, terminal.nowMs())
  const wrong = written.map(({ path }) => path.split('.')[0])
  // What follows from a group with a mistake in it may be its consequence.
  const problems = [...written, ...found.filter(({ path }) => !wrong.includes(path.split('.')[0]))]
  const warnings = result.kind === 'loaded' || result.kind === 'invalid' ? result.warnings : []
  const ok = problems.length === 0
  if (print.json) {
    const failures = problems.map((problem) => ({
      id: 'config',
      result: 'fail',
      message: problem.message,
      command: null,
      line: problem.line,
      path: problem.path,
    }))
    const remarks = warnings.map((message) => ({
      id: 'environment',
      result: 'warn',
      message,
      command: null,
      line: null,
      path: null,
    }))
    print.document({ object: 'report', ok, file, checks: [...failures, ...remarks] })
  } else if (!print.quiet) {
    print.out(file ?? 'no config file: defaults and environment')
    for (const warning of warnings) print.out(`  ${safeText(warning)}`)
    for (const problem of problems) print.out(`  ${safeText(problemLine(problem))}`)
    print.out(ok ? 'ok' : `${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}`)
  }
  return ok ? EXIT.ok : EXIT.problems
}

/** What `serve` would refuse to start with; silent about what `init` has not made yet. */
async function fileProblems(
  { config, file: configFile, entries }: Extract<ConfigResult, { kind: 'loaded' }>,
  nowMs: number,
): Promise<readonly ConfigProblem[]> {
  const problem = (path: string, message: string): ConfigProblem => ({
    line: null,
    path,
    message,
    origin: { kind: 'default' },
  })
  const problems: ConfigProblem[] = []
  const places: MasterKeyPlaces = {
    explicitFile: config.store.masterKeyFile,
    configFile,
    databaseFile: config.store.path,
  }
  const database = statSync(config.store.path, { throwIfNoEntry: false })
  if (database !== undefined || existsSync(masterKeyFile(places))) {
    const key = readMasterKey(places)
    if (key.kind === 'unusable')
      problems.push(problem('store.master_key_file', `${key.message} ${key.hint}`))
  }
  const aboutModels = async (changes: readonly PriceChange[]) => {
    const { modelProblems } = await import('../../config/model-problems.ts')
    return modelProblems(config.models, changes, nowMs).map(({ path, message }): ConfigProblem => {
      const setting = entries.find((entry) => `${path}.`.startsWith(`${entry.path}.`))
      const origin = setting?.origin ?? { kind: 'default' }
      return { line: origin.kind === 'file' ? origin.line : null, path, message, origin }
    })
  }
  if (database === undefined) return [...problems, ...(await aboutModels([]))]
  const { path } = config.store
  if ((database.mode & 0o077) !== 0) {
    problems.push(
      problem('store.path', `Other users can open ${path}. Close it: chmod 600 ${path}`),
    )
  }
  const { openStore } = await import('../../store/open.ts')
  const opened = await openStore({ path, mode: 'read' })
  if (opened.kind === 'opened') {
    problems.push(...(await aboutModels(await opened.store.loadPriceChanges())))
    await opened.store.close()
  }
  // A gateway migrates an older schema itself, and waits for a lock.
  else if (opened.kind !== 'schema_older' && opened.kind !== 'busy') {
    const { openError } = await import('../open-store.ts')
    const { message, hint } = openError(opened)
    problems.push(problem('store.path', `${message} ${hint}`))
  }
  return problems
}

function problemsOf(result: ConfigResult) {
  switch (result.kind) {
    case 'loaded':
      return { file: result.file, problems: [] }
    case 'invalid':
      return { file: result.file, problems: result.problems }
    case 'missing':
      throw notReady(
        'config_missing',
        `There is no config file ${result.file}.`,
        'Run: ccgate init   (or correct --config and CCGATE_CONFIG)',
      )
    case 'unreadable':
      throw notReady(
        'config_unreadable',
        `Cannot read ${result.file}: ${fileTrouble({ code: result.reason })}.`,
        'Check its owner and mode, or try with sudo.',
      )
  }
}

export async function printConfig(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const { entries, config } = await context.config()
  const isChangedOnly = call.flag('changed')
  const rows = isChangedOnly ? entries.filter((entry) => entry.origin.kind !== 'default') : entries
  const value = (entry: ConfigEntry) =>
    call.flag('effective') ? effective(config, entry) : entry.value
  if (print.json) {
    return print.document(
      listJson(
        rows.map((entry) => ({
          object: 'setting',
          path: entry.path,
          value: value(entry),
          origin: originText(entry.origin),
        })),
      ),
    )
  }
  if (rows.length === 0) return print.note('Everything is at its default.')
  const withOrigin = call.flag('origin') || isChangedOnly
  const lines = rows.map((entry) => `${entry.path}: ${valueText(value(entry))}`)
  const width = Math.max(...lines.map((line) => line.length))
  for (const [i, entry] of rows.entries()) {
    print.out(
      safeText(withOrigin ? `${lines[i].padEnd(width)}  # ${originText(entry.origin)}` : lines[i]),
    )
  }
}

/** Paths as they resolve; everything else as written. */
function effective(config: Config, entry: ConfigEntry): unknown {
  switch (entry.path) {
    case 'public_url':
      return config.publicUrl
    case 'store.path':
      return config.store.path
    case 'store.master_key_file':
      return config.store.masterKeyFile ?? entry.value
    case 'logging.file':
      return config.logging.file ?? entry.value
    default:
      return entry.value
  }
}

export async function configPath(context: Context, _call: Invocation): Promise<void> {
  const { print, terminal, globals } = context
  const found = findConfigFile(terminal.place, globals.configFile)
  const { config } = await context.config()
  const key = masterKeyFile({
    explicitFile: config.store.masterKeyFile,
    configFile: found.file,
    databaseFile: config.store.path,
  })
  if (print.json)
    return print.document({
      object: 'paths',
      config: found.file,
      db: config.store.path,
      master_key_file: key,
    })
  if (print.quiet) return print.out(found.file ?? '')
  print.out(`Config     ${found.file ?? 'none (defaults)'}`)
  print.out(`Database   ${config.store.path}`)
  print.out(`Master key ${key}`)
}

export async function explainConfig(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const path = call.arg(0)
  if (!SETTING_PATHS.includes(path)) {
    const close = nearestFew(path, SETTING_PATHS, 3)
    throw new CliError({
      code: 'setting_not_found',
      message: `There is no setting "${path}".`,
      hint:
        close.length > 0 ? `Closest: ${close.join(', ')}` : 'All of them: ccgate config example',
      exitCode: EXIT.notFound,
    })
  }
  const { entries } = await context.config()
  const entry = entries.find((candidate) => candidate.path === path)
  if (entry === undefined) return
  const about = aboutSetting(exampleText(), path)
  if (print.json) {
    return print.document({
      object: 'setting',
      path,
      value: entry.value,
      origin: originText(entry.origin),
      environment: environmentName(path),
      about,
      values: settingValues(path),
    })
  }
  print.out(path)
  if (about !== '') print.wrapped(`  ${about}`, 2)
  const value = `${valueText(entry.value)}   (${originText(entry.origin)})`
  print.wrapped(safeText(`  Value        ${value}`), 15)
  print.wrapped(`  Possible     ${settingValues(path)}`, 15)
  print.out(`  Environment  ${environmentName(path)}`)
  print.out('  In force     after ccgate serve is started again')
}

/** What the example file says beside and above a setting. */
function aboutSetting(example: string, path: string): string {
  const keys = path.split('.')
  const lines = example.split('\n')
  let at = -1
  for (const [depth, key] of keys.entries()) {
    const next = lines.findIndex(
      (line, i) => i > at && new RegExp(`^ {${2 * depth}}${key}:`).test(line),
    )
    if (next < 0) break
    at = next
  }
  // A hash between quotes belongs to a value.
  const remark = (line: string) => /^(?:[^"#]|"[^"]*")*#\s?(.*)$/.exec(line)?.[1].trimEnd() ?? ''
  const beside = [remark(lines[at] ?? '').trim()]
  for (let i = at + 1; /^\s{20,}#/.test(lines[i] ?? ''); i++) beside.push(remark(lines[i]).trim())
  const above: string[] = []
  for (let i = at - 1; /^\s*#/.test(lines[i] ?? '') && !/^\s{20,}#/.test(lines[i]); i--)
    above.unshift(remark(lines[i]))
  // Lines of an example say nothing in a sentence: `prices:` and what is indented below it.
  const prose = above.filter((text) => !/^\s|^\S+:$/.test(text))
  return [...prose, ...beside].filter((text) => text !== '').join(' ')
}

export async function exampleConfig({ print }: Context, _call: Invocation): Promise<void> {
  if (print.json) print.document({ object: 'config_example', text: exampleText() })
  else print.out(exampleText().trimEnd())
}

function exampleText(): string {
  return readFileSync(join(PACKAGE_ROOT, 'config.example.yaml'), 'utf8')
}

function valueText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => JSON.stringify(item)).join(', ')}]`
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function originText(origin: Origin): string {
  switch (origin.kind) {
    case 'default':
      return 'default'
    case 'file':
      return `file line ${origin.line}`
    case 'env':
      return `env ${origin.name}`
    case 'option':
      return `option ${origin.name}`
  }
}
