import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { KEY_PREFIX } from '../access/key.ts'
import { readAll, readHidden } from './ask.ts'
import type { Context } from './context.ts'
import { CliError, EXIT, fileTrouble, usageError } from './errors.ts'
import type { Invocation } from './invocation.ts'

const WAYS = 'Use --key-stdin, --key-file FILE or --key-env NAME.'
// A secret of ours or of Anthropic's: the prefix alone begins an argument, or the prefix goes on inside one.
const SECRET = /^(sk-ant-|cc_user_)|(sk-ant-|cc_user_)[\w-]{8}/
/** An address with user and password. */
const LOGIN = /[a-z][a-z\d+.-]*:\/\/[^\s/?#@:]*:[^\s/?#]+@/i

/** Refuses a command line that holds a secret, before anything can print or keep it. */
export function refuseSecrets(argv: readonly string[]): void {
  for (const [i, argument] of argv.entries()) {
    const value = /^--?[a-z-]+=(.*)$/s.exec(argument)?.[1] ?? argument
    if (SECRET.test(value)) throw secretInArguments(`argument ${i + 1}`)
    if (LOGIN.test(value)) throw passwordInArguments(`argument ${i + 1}`)
  }
}

/** The answer to a secret on the command line; `place` says where it stood, not what it was. */
export function secretInArguments(place: string): CliError {
  return usageError(
    `Keys on the command line leak into shell history (${place}).`,
    `${WAYS} Then replace the key: others may have seen it.`,
    'secret_in_arguments',
  )
}

/** The answer to an address with a password on the command line, which is that of a proxy. */
export function passwordInArguments(place: string): CliError {
  return usageError(
    `Passwords on the command line leak into shell history (${place}).`,
    'Give a proxy by --proxy-file FILE (- is stdin). Then change the password: others may have seen it.',
    'secret_in_arguments',
  )
}

/** A text that nobody else may see, from a file that others cannot read, or `-` for stdin; trimmed. */
export async function readSecretText(
  context: Context,
  { file, what }: { readonly file: string; readonly what: 'key' | 'proxy' },
): Promise<string> {
  const text =
    file === '-'
      ? await fromStdin(context, what)
      : fromFile(resolve(context.terminal.place.cwd, file), what)
  return text.trim()
}

/** An account's credential from where the operator says: prompt, stdin, file or environment. */
export async function readCredential(context: Context, call: Invocation): Promise<string> {
  const file = call.text('key-file')
  const name = call.text('key-env')
  const given = [call.flag('key-stdin'), file !== null, name !== null].filter(Boolean).length
  if (given > 1) throw usageError('The key was given in more than one way.', WAYS)
  if (call.flag('key-stdin') || file === '-')
    return checkCredential(await fromStdin(context, 'key'))
  if (file !== null)
    return checkCredential(fromFile(resolve(context.terminal.place.cwd, file), 'key'))
  if (name !== null) return checkCredential(fromEnvironment(context, name))
  if (!context.ask.canAsk) {
    throw new CliError({
      code: 'key_needed',
      message: 'No key was given, and there is nobody to ask.',
      hint: WAYS,
      exitCode: EXIT.usage,
    })
  }
  return checkCredential(await context.ask.secret('Anthropic API key (input hidden)'))
}

async function fromStdin(context: Context, what: 'key' | 'proxy'): Promise<string> {
  if (context.terminal.stdin.isTTY !== true) return readAll(context.terminal)
  context.terminal.stderr.write(`Paste the ${what}, then Enter: `)
  return readHidden(context.terminal)
}

function fromFile(file: string, what: 'key' | 'proxy'): string {
  let fd: number
  try {
    fd = openSync(file, 'r')
  } catch (error) {
    throw usageError(
      `The ${what} file ${file} cannot be read: ${fileTrouble(error)}.`,
      'Check the path and its permissions.',
    )
  }
  try {
    const stat = fstatSync(fd)
    if ((stat.mode & 0o004) !== 0) {
      throw usageError(
        `Everybody on this machine can read ${file}.`,
        `Close it first: chmod 600 ${file}`,
        'key_file_open',
      )
    }
    if (!stat.isFile() || stat.size > 65_536)
      throw usageError(
        `${file} is not a ${what} file.`,
        `It must hold the ${what} and nothing else.`,
      )
    return readFileSync(fd, 'utf8')
  } finally {
    closeSync(fd)
  }
}

function fromEnvironment(context: Context, name: string): string {
  const value = context.terminal.place.env[name]
  if (value === undefined || value === '') {
    throw usageError(
      `The environment has no ${name}.`,
      'Give --key-env the name of the variable, not the key.',
    )
  }
  return value
}

/** Trims and judges a credential; complaints never quote it. */
export function checkCredential(text: string): string {
  const key = text.trim()
  const refuse = (message: string, hint: string) => usageError(message, hint, 'bad_key')
  const paste = 'Paste the key and nothing else.'
  if (key === '') throw refuse('The key is empty.', paste)
  if (/["'`]/.test(key)) throw refuse('The key has quotes in it.', paste)
  if (/[\r\n]/.test(key)) throw refuse('The key has more than one line.', paste)
  if (/[\x00-\x1f\x7f-\x9f]/.test(key)) throw refuse('The key has control characters in it.', paste)
  if (/\s/.test(key)) throw refuse('The key has spaces in it.', paste)
  if (!/^[\x21-\x7e]+$/.test(key)) throw refuse('The key has characters that no key has.', paste)
  if (key.startsWith(KEY_PREFIX)) {
    throw refuse(
      'This is a key of ccgate (cc_user_…), not one of Anthropic.',
      'Make an Anthropic key at https://platform.claude.com/settings/keys',
    )
  }
  if (key.startsWith('sk-ant-oat')) {
    throw refuse(
      'This is the login of a claude.ai plan, not an API key.',
      'ccgate pools API keys only: https://platform.claude.com/settings/keys',
    )
  }
  if (key.length < 8 || key.length > 256) {
    throw refuse(
      `The key has ${key.length} characters; 8 to 256 are possible.`,
      'It may have been cut off when copied.',
    )
  }
  return key
}
