import { Command, type ErrorOptions } from 'commander'
import { nearest } from '../core/nearest.ts'
import type { Context } from './context.ts'
import { type CliError, usageError } from './errors.ts'
import type { Invocation } from './invocation.ts'
import { secretInArguments } from './secret-input.ts'

/** What a command does; a number is its exit code, anything else is 0. */
export type Run = (context: Context, call: Invocation) => Promise<unknown>

/** A command as it is declared, once: parsing, help and documents all come from here. */
export interface Declaration {
  /** Name and arguments: `create <user/name>`. */
  readonly usage: string
  readonly summary: string
  readonly examples: readonly string[]
  /** Commander's flags and a text; `list` options may be repeated. */
  readonly options?: readonly (readonly [flags: string, text: string, kind?: 'list'])[]
  readonly see?: readonly string[]
  /** It changes records: `--dry-run` rehearses it. */
  readonly isChange?: boolean
  /** Runs without a name when its group is called alone. */
  readonly isDefault?: boolean
  readonly run: Run
}

/** Help that commander does not know: examples and neighbours. */
export interface HelpFacts {
  readonly examples: readonly string[]
  readonly see: readonly string[]
}

/** Commander's command with our error texts: what happened, then what to do. */
export class CcgateCommand extends Command {
  readonly facts: { help: HelpFacts } = { help: { examples: [], see: [] } }

  override createCommand(name?: string): CcgateCommand {
    return new CcgateCommand(name)
  }

  override error(message: string, options?: ErrorOptions): never {
    throw explain(this, message, options?.code ?? '')
  }

  /** `keys create`, without the program's own name. */
  path(): string {
    const above = this.parent instanceof CcgateCommand ? this.parent.path() : ''
    if (this.parent === null) return ''
    return above === '' ? this.name() : `${above} ${this.name()}`
  }
}

const DRY_RUN = ['--dry-run', 'show what would change; write nothing'] as const

/** Adds a noun that holds commands. */
export function group(parent: CcgateCommand, name: string, summary: string): CcgateCommand {
  const command = parent.createCommand(name)
  command.copyInheritedSettings(parent)
  command.description(summary).helpCommand(false)
  parent.addCommand(command)
  return command
}

/** Adds a command; `invoke` connects commander's call with our context. */
export function declare(
  parent: CcgateCommand,
  declaration: Declaration,
  invoke: (command: CcgateCommand, run: Run) => Promise<void>,
): void {
  const [name, ...args] = declaration.usage.split(' ')
  const command = parent.createCommand(name)
  command.copyInheritedSettings(parent)
  for (const argument of args) command.argument(argument)
  command.description(declaration.summary).helpCommand(false)
  command.facts.help = { examples: declaration.examples, see: declaration.see ?? [] }
  for (const [flags, text, kind] of declaration.options ?? []) {
    if (kind === 'list') command.option(flags, text, collect)
    else command.option(flags, text)
  }
  if (declaration.isChange === true) command.option(...DRY_RUN)
  command.action(() => invoke(command, declaration.run))
  parent.addCommand(command, { isDefault: declaration.isDefault ?? false })
}

function collect(value: string, earlier: readonly string[] | undefined): readonly string[] {
  return [...(earlier ?? []), value]
}

/** Commander's complaint in our words. */
function explain(command: CcgateCommand, message: string, code: string): CliError {
  const path = command.path()
  const help = `See: ccgate help${path === '' ? '' : ` ${path}`}`
  const quoted = /'([^']*)'/.exec(message)?.[1] ?? ''
  switch (code) {
    case 'commander.unknownCommand': {
      const typed = command.args[0] ?? quoted
      const close = nearest(
        typed,
        command.commands.map((known) => known.name()),
      )
      const full = (name: string) => (path === '' ? name : `${path} ${name}`)
      const hint = close === null ? '' : ` Did you mean "${full(close)}"?`
      return usageError(`Unknown command "${full(typed)}".${hint}`, help, 'unknown_command')
    }
    case 'commander.unknownOption': {
      // Where --key is no option it would be a credential, of whatever form.
      if (quoted.split('=')[0] === '--key') return secretInArguments('--key')
      const known = [...command.options, ...rootOf(command).options].flatMap(
        (option) => option.long ?? [],
      )
      const close = quoted.startsWith('--') ? nearest(quoted, known) : null
      return usageError(
        `Unknown option ${quoted}.${close === null ? '' : ` Did you mean ${close}?`}`,
        help,
        'unknown_option',
      )
    }
    case 'commander.missingArgument':
      return usageError(`Missing: <${quoted}>.`, help, 'missing_argument')
    case 'commander.optionMissingArgument':
      return usageError(
        `The option ${quoted.split(' ').find((word) => word.startsWith('--')) ?? quoted} needs a value.`,
        help,
        'missing_value',
      )
    case 'commander.excessArguments':
      return usageError(
        `Too many arguments: ${command.args.slice(command.registeredArguments.length).join(' ')}`,
        help,
        'excess_arguments',
      )
    default:
      return usageError(message.replace(/^error: /, '').split('\n')[0], help)
  }
}

function rootOf(command: Command): Command {
  return command.parent === null ? command : rootOf(command.parent)
}
