import { CommanderError } from 'commander'
import { nearest } from '../core/nearest.ts'
import { StoreError } from '../store/store.ts'
import type { CcgateCommand, Run } from './command.ts'
import { type Context, createContext, type Globals } from './context.ts'
import { CliError, EXIT, SEE_HELP, usageError } from './errors.ts'
import { wrapHelp } from './help.ts'
import { createInvocation } from './invocation.ts'
import { columnsOf, createPrinter } from './print.ts'
import { buildProgram } from './program.ts'
import { refuseSecrets } from './secret-input.ts'
import type { Terminal } from './terminal.ts'

/** Stands before a value that begins with a minus while the parser works: `-4.50`, `-$4.50`, `-7d`. */
const MINUS_MARK = '\ue000'

/** Runs one command line (without node and script) and answers the exit code; never throws. */
export async function runCli(argv: readonly string[], terminal: Terminal): Promise<number> {
  let exitCode: number = EXIT.ok
  const invoke = async (command: CcgateCommand, run: Run) => {
    const options = unmarked(command.optsWithGlobals())
    const context = createContext(terminal, globalsOf(options, terminal))
    // A command's own option wins: `--input` of `models set` is not the opposite of `--no-input`.
    const own = { ...options, ...unmarked(command.opts()) }
    const call = createInvocation(command.args.map(unmark), own)
    try {
      exitCode = await runAndClose(context, () => run(context, call))
    } catch (error) {
      if (!(error instanceof CliError) || error.hint !== SEE_HELP || command.name() === 'help')
        throw error
      const { code, message, exitCode } = error
      throw new CliError({ code, message, hint: `${SEE_HELP} ${command.path()}`, exitCode })
    }
  }
  try {
    refuseSecrets(argv)
    const program = buildProgram(invoke, {
      out: (text) => terminal.stdout.write(wrapHelp(text, columnsOf(terminal.stdout))),
      err: (text) => terminal.stderr.write(text),
    })
    if (
      argv.every((argument) => argument.startsWith('-')) &&
      !/^(-h|--help|--version)$/m.test(argv.join('\n'))
    ) {
      const stray = argv.find(
        (argument) => argument.startsWith('-') && !isKnownOption(program, argument),
      )
      if (stray !== undefined) {
        throw usageError(`Unknown option ${stray}.`, SEE_HELP, 'unknown_option')
      }
      program.outputHelp()
      return EXIT.ok
    }
    await program.parseAsync(argv.map(mark), { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) {
      // Help and version are no errors; a group without a command gets its help and exit 2.
      return error.code === 'commander.help' ? EXIT.usage : error.exitCode
    }
    return report(error, argv, terminal)
  }
}

async function runAndClose(context: Context, run: () => ReturnType<Run>): Promise<number> {
  try {
    const exitCode = await run()
    if (context.globals.dryRun) context.print.note('Nothing written (--dry-run).')
    return typeof exitCode === 'number' ? exitCode : EXIT.ok
  } finally {
    await context.close()
  }
}

/** Prints what went wrong in the form that was asked for. */
function report(error: unknown, argv: readonly string[], terminal: Terminal): number {
  const { env } = terminal.place
  const known = toCliError(error)
  const print = createPrinter(terminal, {
    json: argv.includes('--json') || isOn(env.CCGATE_JSON),
    quiet: false,
    verbose: false,
    dryRun: false,
    color: argv.includes('--no-color') ? 'never' : 'auto',
  })
  if (known.code === 'cancelled' && !print.json) terminal.stderr.write(`${known.message}\n`)
  else print.error(known)
  if (isOn(env.CCGATE_DEBUG) && error instanceof Error) terminal.stderr.write(`${error.stack}\n`)
  return known.exitCode
}

function toCliError(error: unknown): CliError {
  if (error instanceof CliError) return error
  if (error instanceof StoreError) return fromStore(error)
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return new CliError({
    code: 'internal_error',
    message,
    hint: 'This is a bug. Please report it; CCGATE_DEBUG=1 shows where it happened.',
    exitCode: EXIT.failure,
  })
}

function fromStore(error: StoreError): CliError {
  const known = (exitCode: CliError['exitCode'], message: string, hint: string) =>
    new CliError({ code: `store_${error.reason}`, message, hint, exitCode })
  switch (error.reason) {
    case 'busy':
    case 'overloaded':
      return known(
        EXIT.busy,
        'The database is locked by another program.',
        'Try again, or allow more time: CCGATE_STORE__BUSY_TIMEOUT=30s',
      )
    case 'full':
      return known(
        EXIT.storeBroken,
        'The disk is full; nothing was changed.',
        'Make room, then repeat the command.',
      )
    case 'corrupt':
      return known(EXIT.storeBroken, 'The database is damaged.', 'Look closer: ccgate db check')
    case 'io':
    case 'closed':
      return known(
        EXIT.storeBroken,
        `The database failed: ${error.message}`,
        'Check the disk and the file, then: ccgate db check',
      )
  }
}

function globalsOf(options: Readonly<Record<string, unknown>>, terminal: Terminal): Globals {
  const { env } = terminal.place
  const text = (name: string) =>
    typeof options[name] === 'string' ? (options[name] as string) : null
  const color = options.color === false ? 'never' : (text('color') ?? 'auto')
  if (color !== 'auto' && color !== 'always' && color !== 'never') {
    const close = nearest(color, ['auto', 'always', 'never'])
    throw usageError(
      `--color: "${color}" is not possible.`,
      `Use ${close ?? 'auto, always or never'}.`,
      'bad_value',
    )
  }
  return {
    configFile: text('config'),
    databaseFile: text('db'),
    json: options.json === true || isOn(env.CCGATE_JSON),
    quiet: options.quiet === true,
    verbose: options.verbose === true || isOn(env.CCGATE_VERBOSE),
    color,
    noInput: options.input === false || isOn(env.CCGATE_NO_INPUT),
    yes: options.yes === true || isOn(env.CCGATE_YES),
    dryRun: options.dryRun === true,
    utc: options.utc === true,
  }
}

function isKnownOption(program: CcgateCommand, argument: string): boolean {
  const name = argument.split('=')[0]
  return program.options.some((option) => option.long === name || option.short === name)
}

function isOn(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== '0' && value !== 'false'
}

function mark(argument: string): string {
  return /^-[\d$]/.test(argument) ? MINUS_MARK + argument : argument
}

function unmark(text: string): string {
  return text.startsWith(MINUS_MARK) ? text.slice(1) : text
}

function unmarked(options: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const entries = Object.entries(options).map(([name, value]): readonly [string, unknown] => {
    if (typeof value === 'string') return [name, unmark(value)]
    return [name, Array.isArray(value) ? value.map((item) => unmark(String(item))) : value]
  })
  return Object.fromEntries(entries)
}
