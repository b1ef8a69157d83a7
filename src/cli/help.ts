import type { Help } from 'commander'
import { keepWhole, wrapText } from '../core/text.ts'
import { CcgateCommand } from './command.ts'
import { usageError } from './errors.ts'

const OVERVIEW = `ccgate - run your own Claude API gateway

Usage: ccgate <command> [options]

Start here
  demo         try everything now: simulated upstream, no key, no internet
  init         create config, database and master key
  serve        run the gateway

Manage
  accounts     upstream Anthropic accounts (the pool)
  users        people who own keys and credit
  keys         API keys (cc_user_…)
  credit       prepaid balances and the ledger
  models       prices and which models are served

Watch
  status       one-screen summary        monitor     live terminal dashboard
  usage        requests and their cost

Keep
  config       check, print, explain     db          check the file and the ledger
  sandbox      simulated upstream only   simulate    what a pool would cost
  version      what runs here

Options for every command
`

const END = `
First time? Run:  ccgate demo
More: ccgate help <command>
`

/** Help of one command: what it does, usage, examples, arguments, options, neighbours. */
export function formatHelp(command: CcgateCommand, helper: Help): string {
  if (command.parent === null) return OVERVIEW + optionLines(command, helper) + END
  const path = command.path()
  const lines = [`${command.description()}`, '', `Usage: ${helper.commandUsage(command)}`]
  const { examples, see } = command.facts.help
  const subcommands = helper.visibleCommands(command)
  if (subcommands.length > 0) {
    const width = Math.max(...subcommands.map((sub) => usageOf(sub as CcgateCommand).length))
    lines.push('', 'Commands')
    for (const sub of subcommands) {
      lines.push(`  ${usageOf(sub as CcgateCommand).padEnd(width)}  ${sub.description()}`)
    }
    const first = subcommands.flatMap((sub) =>
      sub instanceof CcgateCommand ? sub.facts.help.examples.slice(0, 1) : [],
    )
    if (first.length > 0)
      lines.push('', 'Examples', ...first.slice(0, 3).map((example) => `  ${example}`))
  }
  if (examples.length > 0) lines.push('', 'Examples', ...examples.map((example) => `  ${example}`))
  const own = optionLines(command, helper)
  if (own !== '') lines.push('', `Options\n${own.trimEnd()}`)
  lines.push('', 'Options for every command: ccgate help')
  if (see.length > 0) lines.push(`See also: ${see.map((other) => `ccgate ${other}`).join(', ')}`)
  else if (subcommands.length > 0) lines.push(`See also: ccgate help ${path} <command>`)
  return `${lines.join('\n')}\n`
}

/** Help for a screen: descriptions go on below where they begin, examples stay whole. */
export function wrapHelp(text: string, columns: number): string {
  return text
    .split('\n')
    .flatMap((line) => {
      const column = /^ {2}\S.*? {2,}(?=\S)/.exec(line)?.[0].length
      if (column === undefined && line.startsWith('  ')) return [line]
      return wrapText(keepWhole(line), columns, column ?? 0)
    })
    .join('\n')
}

function usageOf(command: CcgateCommand): string {
  const args = command.registeredArguments.map((argument) => {
    const name = argument.name() + (argument.variadic ? '...' : '')
    return argument.required ? `<${name}>` : `[${name}]`
  })
  return [command.name(), ...args].join(' ')
}

function optionLines(command: CcgateCommand, helper: Help): string {
  const options = helper
    .visibleOptions(command)
    .filter((option) => option.long !== '--help' || command.parent === null)
  if (options.length === 0) return ''
  const width = Math.max(...options.map((option) => helper.optionTerm(option).length))
  return options
    .map((option) => `  ${helper.optionTerm(option).padEnd(width)}  ${option.description}\n`)
    .join('')
}

/** The command at a path such as `['keys', 'create']`. */
export function commandAt(root: CcgateCommand, path: readonly string[]): CcgateCommand {
  let command = root
  for (const name of path) {
    const next = command.commands.find((sub) => sub.name() === name)
    if (!(next instanceof CcgateCommand)) {
      throw usageError(
        `Unknown command "${path.join(' ')}".`,
        'See: ccgate help',
        'unknown_command',
      )
    }
    command = next
  }
  return command
}
