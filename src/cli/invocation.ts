import type { Parsed } from '../core/quantity.ts'
import { SEE_HELP, usageError } from './errors.ts'

/** A command line after parsing: arguments and options by name, still as text. */
export interface Invocation {
  /** Positional arguments in order. */
  readonly args: readonly string[]
  /** The argument at that place; the declaration made sure that a required one is there. */
  arg(index: number): string
  /** Whether a switch was given; `--no-test` is `flag('test') === false`. */
  flag(name: string): boolean
  /** The option's text, or null when it was not given. */
  text(name: string): string | null
  /** A repeatable option, also split at commas; null when it was not given. */
  list(name: string): readonly string[] | null
  /** The option read by `read`; a bad value ends with a usage error that names the option. */
  read<T>(name: string, read: (text: string) => Parsed<T>): T | null
}

/** Wraps what the parser found; `options` are keyed by camel-case names, as commander does. */
export function createInvocation(
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
): Invocation {
  const value = (name: string) => options[camelCase(name)]
  return {
    args,
    arg: (index) => args[index] ?? '',
    flag: (name) => value(name) === true,
    text(name) {
      const found = value(name)
      return typeof found === 'string' ? found : null
    },
    list(name) {
      const found = value(name)
      if (!Array.isArray(found)) return null
      return found
        .flatMap((item) => String(item).split(','))
        .map((item) => item.trim())
        .filter((item) => item !== '')
    },
    read(name, read) {
      const found = value(name)
      return typeof found === 'string' ? accept(read(found), `--${name}`) : null
    },
  }
}

/** The value, or a usage error that names the option or argument it was given for. */
export function accept<T>(parsed: Parsed<T>, what: string): T {
  if (parsed.kind === 'ok') return parsed.value
  throw usageError(
    `${what.charAt(0).toUpperCase()}${what.slice(1)}: ${parsed.problem}.`,
    SEE_HELP,
    'bad_value',
  )
}

function camelCase(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}
