// Writes what documents share with the source: all of cli.md and errors.md, and the error table of api.md.
// `npm run docs` after a change; test/e2e/docs.test.ts fails while they differ.

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { CcgateCommand } from '../src/cli/command.ts'
import { CLI_ERRORS } from '../src/cli/error-codes.ts'
import { EXIT } from '../src/cli/errors.ts'
import { buildProgram } from '../src/cli/program.ts'
import { ERRORS } from '../src/core/errors.ts'

const CLI_FILE = fileURLToPath(new URL('cli.md', import.meta.url))
const API_FILE = fileURLToPath(new URL('api.md', import.meta.url))
const ERRORS_FILE = fileURLToPath(new URL('errors.md', import.meta.url))
const TABLE_BEGIN = '<!-- errors: written by docs/generate.ts -->'
const TABLE_END = '<!-- end of errors -->'

const EXIT_TEXTS = {
  ok: 'done; also an empty list and "it is so already"',
  failure: 'something unexpected: a bug, a port in use, a file that cannot be written',
  usage: 'unknown command or option, bad value, a name that means several records',
  notFound: 'no such key, user, account, request or model',
  conflict: 'the name is taken, the state of the record forbids it, or a gateway runs already',
  notReady: 'no config or database yet, wrong master key, a schema that is too old or too new',
  busy: 'the database stayed locked longer than `store.busy_timeout`',
  daemon: 'the gateway does not run (`ccgate status`)',
  upstream: 'an account or the request of the demo got a failing upstream',
  problems: 'the command worked and found problems (`db check`, `config check`)',
  cancelled: 'a confirmation was declined, or needed and nobody was there to ask',
  storeBroken: 'the disk is full or the database failed',
  interrupted: 'Ctrl-C in the middle of a command',
  terminated: 'SIGTERM in the middle of a command',
} as const satisfies Record<keyof typeof EXIT, string>

const INTRO = `# Commands

<!-- Written by docs/generate.ts from the tree of commands: change src/cli/program.ts, then npm run docs. -->

Two words, a noun and a verb: \`ccgate keys create\`. Every command has \`--help\` with examples. Commands
read and write the database themselves, whether the gateway runs or not; what they change is in force from
the next request on.

- The answer goes to stdout, everything else to stderr. \`--json\` makes stdout one JSON document
  (\`demo\`: one per line; help is always text), money in integer micro-dollars (\`…_micro\`), times in RFC 3339 UTC.
- With \`--json\` an error is one line on stderr: \`{"error":{"code","message","hint","exit_code","docs"}}\`; the
  codes are in [errors.md](errors.md).
- \`-q\` prints the one value that a script wants: \`keys create -q\` the secret, \`accounts add -q\` the id,
  \`credit show -q\` micro-dollars.
- Secrets never stand on the command line. Account keys come from a prompt, \`--key-stdin\`, \`--key-file\`
  or \`--key-env\`.
- Questions (\`[y/N]\`) are asked on a terminal only. In scripts say \`--yes\`, or \`--confirm NAME\` where the
  question wants a name typed.
`

const VALUES = `## Values

| kind | examples |
|---|---|
| money | \`25\`, \`25.50\`, \`$25\`, \`25usd\`, \`1_000\`, \`2.5c\` (cents), \`25000000micro\`; at most 6 decimals |
| duration | \`90s\`, \`15m\`, \`2h\`, \`7d\`, \`4w\`, \`1h30m\` |
| time | \`2026-11-22\`, \`2026-11-22 14:00\`, RFC 3339, \`now\`, \`today\`, \`yesterday\`; \`7d\` is ago in \`--since\`, ahead in \`--expires\` |
| count | \`120\`, \`1k\`, \`2.5M\`; where it is a limit also \`none\` (unlimited) and, for keys, \`default\` |
| model | an id or a pattern: \`claude-sonnet-4-6\`, \`claude-haiku-*\`; repeat the option or use commas |
| name | \`alice\`, \`alice/laptop\` for a key, an id, or the first 8 or more characters of an id |

## Environment

| variable | does |
|---|---|
| \`CCGATE_CONFIG\` | as \`--config\` |
| \`CCGATE_DB\` | as \`--db\` |
| \`CCGATE_JSON=1\`, \`CCGATE_VERBOSE=1\`, \`CCGATE_NO_INPUT=1\`, \`CCGATE_YES=1\` | as the options |
| \`CCGATE_TZ\` | time zone of what is shown, \`UTC\` or \`Europe/Berlin\` |
| \`CCGATE_MASTER_KEY_FILE\` | the file with the master key |
| \`CCGATE_DEBUG=1\` | the stack of an unexpected error |
| \`CCGATE_UPSTREAM__TIMEOUTS__CONNECT=5s\` | any setting: its path in capitals, levels joined by two underscores |
| \`NO_COLOR\`, \`FORCE_COLOR\` | colour off, on |
`

/** All of cli.md. */
export function cliText(): string {
  const program = commandTree()
  const sections = [INTRO, exitCodes(), globalOptions(program), VALUES]
  for (const command of childrenOf(program)) {
    if (command.name() === 'help') continue
    sections.push(
      childrenOf(command).length > 0 ? groupText(command, '##') : commandText(command, '##'),
    )
  }
  return `${sections.join('\n').trimEnd()}\n`
}

/** All of errors.md. */
export function cliErrorsText(): string {
  const rows = Object.entries(CLI_ERRORS).map(
    ([code, [exit, meaning]]) =>
      `| <a id="${code}"></a>\`${code}\` | ${EXIT[exit]} | ${cell(meaning)} |`,
  )
  return `# Errors of commands

<!-- Written by docs/generate.ts from src/cli/error-codes.ts; npm run docs. -->

A command that fails says what happened and what to do. With \`--json\` it is one line on stderr, with one of
these codes; \`docs\` in it names the row here. What users of the API get is in [api.md](api.md).

| code | exit code | when |
|---|---|---|
${rows.join('\n')}
`
}

/** The error table: one row per code, without the one that exists in streams only. */
export function errorTable(): string {
  const rows = Object.entries(ERRORS)
    .filter(([, row]) => row.status >= 400)
    .map(
      ([code, row]) =>
        `| ${row.status} | \`${code}\` | \`${row.anthropic}\` | ${row.retryable ? 'yes' : 'no'} | ${cell(row.message)} |`,
    )
  return [
    '| status | code | `error.type` | retry? | message |',
    '|---|---|---|---|---|',
    ...rows,
  ].join('\n')
}

/** api.md with the error table of today. */
export function apiText(current: string): string {
  const begin = current.indexOf(TABLE_BEGIN)
  const end = current.indexOf(TABLE_END)
  if (begin < 0 || end < begin) throw new Error(`api.md has lost its marks: ${TABLE_BEGIN}`)
  return `${current.slice(0, begin)}${TABLE_BEGIN}\n${errorTable()}\n${current.slice(end)}`
}

/** The tree as it is declared, for looking only. */
function commandTree(): CcgateCommand {
  return buildProgram(async () => {}, { out: () => {}, err: () => {} })
}

function groupText(group: CcgateCommand, marks: string): string {
  const parts = [`${marks} \`ccgate ${group.path()}\`\n\n${sentence(group.description())}\n`]
  for (const command of childrenOf(group)) {
    parts.push(
      childrenOf(command).length > 0
        ? groupText(command, `${marks}#`)
        : commandText(command, `${marks}#`),
    )
  }
  return parts.join('\n')
}

function commandText(command: CcgateCommand, marks: string): string {
  const usage = command.registeredArguments.map((argument) => {
    const name = argument.name() + (argument.variadic ? '...' : '')
    return argument.required ? ` <${name}>` : ` [${name}]`
  })
  const { examples } = command.facts.help
  const lines = [
    `${marks} \`ccgate ${command.path()}${usage.join('')}\``,
    '',
    sentence(command.description()),
    '',
    '```sh',
    ...examples,
    '```',
    '',
  ]
  if (command.options.length > 0) lines.push(...optionTable(command), '')
  return lines.join('\n')
}

function globalOptions(program: CcgateCommand): string {
  return ['## Options of every command', '', ...optionTable(program), ''].join('\n')
}

function optionTable(command: CcgateCommand): readonly string[] {
  return [
    '| option | does |',
    '|---|---|',
    ...command.options.map((option) => `| \`${option.flags}\` | ${cell(option.description)} |`),
  ]
}

function exitCodes(): string {
  const rows = Object.entries(EXIT_TEXTS).map(([name, text]) => {
    const code = EXIT[name as keyof typeof EXIT] // a name of EXIT_TEXTS is one of EXIT
    return `| ${code} | ${text} |`
  })
  return ['## Exit codes', '', '| code | when |', '|---|---|', ...rows, ''].join('\n')
}

function childrenOf(command: CcgateCommand): readonly CcgateCommand[] {
  return command.commands as readonly CcgateCommand[] // createCommand makes no other kind
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}

/** A table's cell: what Markdown would take for its own stays what it is. */
function cell(text: string): string {
  return text.replace(/[|*]/g, '\\$&').replaceAll('<', '&lt;')
}

if (import.meta.main) {
  writeFileSync(CLI_FILE, cliText())
  writeFileSync(ERRORS_FILE, cliErrorsText())
  writeFileSync(API_FILE, apiText(readFileSync(API_FILE, 'utf8')))
}
