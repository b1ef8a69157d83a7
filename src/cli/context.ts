import { resolve } from 'node:path'
import type { ConfigOption, ConfigProblem, ConfigResult } from '../config/load.ts'
import type { Now } from '../core/account-state.ts'
import { isTimeZone } from '../core/calendar.ts'
import { createIdMaker, type IdMaker } from '../core/ids.ts'
import type { Boot } from '../core/model.ts'
import type { By, Found, Store } from '../store/store.ts'
import { type Asker, createAsker } from './ask.ts'
import type { CliErrorCode } from './error-codes.ts'
import { CliError, EXIT, fileTrouble, SEE_HELP, usageError } from './errors.ts'
import { type Calendar, createCalendar } from './format.ts'
import { createPrinter, type Printer } from './print.ts'
import type { Terminal } from './terminal.ts'

type Loaded = Extract<ConfigResult, { kind: 'loaded' }>
type Install = import('../vault/install.ts').OpenInstall

/** Options that every command takes. */
export interface Globals {
  readonly configFile: string | null
  readonly databaseFile: string | null
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
  readonly color: 'auto' | 'always' | 'never'
  readonly noInput: boolean
  readonly yes: boolean
  /** `--dry-run` of a command that changes something: the store forgets what was written. */
  readonly dryRun: boolean
  readonly utc: boolean
}

/** What a command works with. Config, store and secrets are opened when first asked for. */
export interface Context {
  readonly terminal: Terminal
  readonly globals: Globals
  readonly print: Printer
  readonly ask: Asker
  /** The instant at which the command began. */
  readonly nowMs: number
  /** That instant, and the config's time zone. */
  now(): Promise<Now>
  calendar(): Calendar
  /** The resolved config; `options` are values from the command's own options. */
  config(options?: readonly ConfigOption[]): Promise<Loaded>
  store(access?: 'read' | 'write'): Promise<Store>
  /** Master key, vault and pepper of the open store. */
  install(): Promise<Install>
  by(): By
  makeId: IdMaker
  /** The daemon's newest boot when it still lives, else null. */
  daemon(): Promise<Boot | null>
  close(): Promise<void>
}

/** The context of one command. */
export function createContext(terminal: Terminal, globals: Globals): Context {
  const print = createPrinter(terminal, globals)
  const nowMs = terminal.nowMs()
  refuseUnknownZone(terminal)
  let calendar: Calendar | null = null
  let loaded: Loaded | null = null
  let opened: { readonly store: Store; readonly access: 'read' | 'write' } | null = null

  const context: Context = {
    terminal,
    globals,
    print,
    nowMs,
    ask: createAsker(terminal, globals),
    makeId: createIdMaker(
      (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
      () => terminal.nowMs(),
    ),
    calendar() {
      calendar ??= calendarOf(globals, terminal)
      return calendar
    },
    async config(options = []) {
      if (loaded !== null && options.length === 0) return loaded
      const { loadConfig } = await import('../config/load.ts')
      const all = [...options]
      if (globals.databaseFile !== null) {
        all.push({
          path: 'store.path',
          value: resolve(terminal.place.cwd, globals.databaseFile),
          name: '--db',
        })
      }
      const result = await loadConfig({
        file: globals.configFile,
        options: all,
        place: terminal.place,
      })
      if (result.kind !== 'loaded') throw configError(result)
      if (loaded === null) for (const warning of result.warnings) print.warn(warning)
      loaded = result
      return result
    },
    async store(access = 'write') {
      if (opened !== null && (opened.access === 'write' || access === 'read')) return opened.store
      if (opened !== null) await opened.store.close()
      opened = null
      const { config } = await context.config()
      const { openForCommand } = await import('./open-store.ts')
      const mode = access === 'write' && globals.dryRun ? 'rehearse' : access
      opened = { store: await openForCommand(config.store, mode, () => terminal.nowMs()), access }
      return opened.store
    },
    async install() {
      const { config, file } = await context.config()
      const store = await context.store()
      const { readMasterKey } = await import('../vault/master-key.ts')
      const { openInstall } = await import('../vault/install.ts')
      const key = readMasterKey({
        explicitFile: config.store.masterKeyFile,
        configFile: file,
        databaseFile: config.store.path,
      })
      if (key.kind === 'unusable') throw notReady('master_key_unusable', key.message, key.hint)
      const install = await openInstall(store, key.key)
      if (install.kind === 'opened') return install
      if (install.kind === 'not_initialised') {
        throw notReady(
          'not_initialised',
          `The database ${config.store.path} was never set up.`,
          'Run: ccgate init',
        )
      }
      throw notReady('wrong_master_key', install.message, install.hint)
    },
    async now() {
      return { nowMs, timeZone: (await context.config()).config.timeZone }
    },
    by: () => ({ actor: `cli:${terminal.userName}`, nowMs: terminal.nowMs() }),
    async daemon() {
      const boots = await (await context.store('read')).listBoots()
      const { isDead } = await import('../daemon/process-id.ts')
      return boots.find((boot) => !isDead(boot, terminal.nowMs())) ?? null
    },
    async close() {
      await opened?.store.close()
      opened = null
    },
  }
  return context
}

/** Something must be set up, or repaired, first: exit 5. */
export function notReady(code: CliErrorCode, message: string, hint: string): CliError {
  return new CliError({ code, message, hint, exitCode: EXIT.notReady })
}

/** The record that was named, or exit 3 with the nearest, or exit 2 with the candidates. */
export function expectFound<T>(found: Found<T>, what: 'key' | 'user' | 'account', ref: string): T {
  switch (found.kind) {
    case 'found':
      return found.value
    case 'ambiguous':
      throw usageError(
        `"${ref}" means more than one ${what}.`,
        `Say which: ${found.candidates.join(', ')}`,
        'ambiguous',
      )
    case 'not_found': {
      const list = `List them with: ccgate ${what}s list`
      const closest =
        found.nearest.length > 0 ? `Closest match: ${found.nearest.join(', ')}. ${list}` : list
      throw new CliError({
        code: `${what}_not_found`,
        message: `There is no ${what} named "${ref}".`,
        hint: closest,
        exitCode: EXIT.notFound,
      })
    }
  }
}

/** One line per problem: where, which setting, what is wrong. */
export function problemLine(problem: ConfigProblem): string {
  // An option says by its name which setting it is.
  if (problem.origin.kind === 'option') return `${problem.origin.name}: ${problem.message}`
  const place =
    problem.origin.kind === 'env'
      ? `${problem.origin.name}  `
      : problem.line === null
        ? ''
        : `line ${problem.line}  `
  return `${place}${problem.path === '' ? '' : `${problem.path}: `}${problem.message}`
}

function configError(result: Exclude<ConfigResult, { kind: 'loaded' }>): CliError {
  if (result.kind === 'missing') {
    return notReady(
      'config_missing',
      `There is no config file ${result.file}.`,
      'Run: ccgate init   (or correct --config and CCGATE_CONFIG)',
    )
  }
  if (result.kind !== 'invalid') {
    return notReady(
      'config_unreadable',
      `Cannot read ${result.file}: ${fileTrouble({ code: result.reason })}.`,
      'Check its owner and mode, or try with sudo.',
    )
  }
  const [first] = result.problems
  const more = result.problems.length > 1 ? ` (and ${result.problems.length - 1} more)` : ''
  // A wrong option is a wrong command line, a wrong file is a machine that is not ready.
  if (first.origin.kind === 'option')
    return usageError(`${problemLine(first)}${more}`, SEE_HELP, 'config_invalid')
  return new CliError({
    code: 'config_invalid',
    message: `${result.file === null ? '' : `${result.file}: `}${problemLine(first)}${more}`,
    hint: 'See all of it: ccgate config check',
    exitCode: EXIT.notReady,
  })
}

/** Before anything is printed or written, and also by commands that show no time. */
function refuseUnknownZone({ place }: Terminal): void {
  const zone = place.env.CCGATE_TZ
  if (!zone || isTimeZone(zone)) return
  throw usageError(
    `CCGATE_TZ: "${zone}" is not a time zone.`,
    'Example: Europe/Berlin or UTC',
    'bad_value',
  )
}

function calendarOf({ utc }: Globals, { place }: Terminal): Calendar {
  const { CCGATE_TZ: own, TZ: system } = place.env
  if (utc) return createCalendar('UTC')
  if (own) return createCalendar(own)
  // TZ has spellings of its own (`:/etc/localtime`, `CET-1CEST`): those are the system's to read.
  return createCalendar(system && isTimeZone(system) ? system : undefined)
}
