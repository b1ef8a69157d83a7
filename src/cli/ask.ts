import { safeText } from '../core/text.ts'
import type { CliErrorCode } from './error-codes.ts'
import { CliError, EXIT, usageError } from './errors.ts'
import type { Terminal } from './terminal.ts'

/** Questions to the person at the keyboard; all of them on stderr. */
export interface Asker {
  /** Whether there is anybody to ask. */
  readonly canAsk: boolean
  /** `[y/N]`; without a person and without `--yes` it ends with exit 10 and names the flag. */
  confirm(effect: string): Promise<void>
  /** Severe: the name must be typed, or stand in `--confirm`. */
  confirmName(effect: string, name: string, given: string | null): Promise<void>
  /** A line with a default; without a person the default. */
  line(question: string, fallback: string): Promise<string>
  /** A secret, not echoed; dots show how much arrived. */
  secret(question: string): Promise<string>
}

export interface AskOptions {
  readonly yes: boolean
  readonly noInput: boolean
  /** Nothing will change, so nothing has to be confirmed. */
  readonly dryRun: boolean
}

/** Ends a command because its question was declined or could not be asked. */
function cancelled(message: string, hint: string, code: CliErrorCode): CliError {
  return new CliError({ code, message, hint, exitCode: EXIT.cancelled })
}

/** Asks on the terminal's streams. */
export function createAsker(terminal: Terminal, options: AskOptions): Asker {
  const { stdin, stderr } = terminal
  const canAsk = stdin.isTTY === true && !options.noInput
  return {
    canAsk,
    async confirm(effect) {
      if (options.yes || options.dryRun) return
      if (!canAsk) {
        throw cancelled(
          `This needs a confirmation: ${effect}`,
          'Add --yes to confirm it.',
          'confirmation_needed',
        )
      }
      stderr.write(`${safeText(effect)} [y/N] `)
      const answer = (await readLine(terminal)).trim().toLowerCase()
      if (answer !== 'y' && answer !== 'yes')
        throw cancelled('Nothing was changed.', '', 'cancelled')
    },
    async confirmName(effect, name, given) {
      if (given === name || options.dryRun) return
      if (given !== null) {
        throw usageError(
          `--confirm ${given} does not match.`,
          `Write: --confirm ${name}`,
          'bad_value',
        )
      }
      if (!canAsk) {
        throw cancelled(
          `This needs a confirmation: ${effect}`,
          `Add --confirm ${name}`,
          'confirmation_needed',
        )
      }
      stderr.write(`${safeText(effect)}\nType the name to continue: `)
      if ((await readLine(terminal)).trim() !== name) {
        throw cancelled('Nothing was changed.', '', 'cancelled')
      }
    },
    async line(question, fallback) {
      if (!canAsk) return fallback
      stderr.write(`${safeText(question)}${fallback === '' ? '' : ` [${fallback}]`}: `)
      return (await readLine(terminal)).trim() || fallback
    },
    async secret(question) {
      stderr.write(`${safeText(question)}: `)
      return readHidden(terminal)
    },
  }
}

/** One line of stdin; what follows it stays for the next question. */
function readLine(terminal: Terminal): Promise<string> {
  return readKeys(terminal, (buffer) => {
    const end = buffer.search(/[\r\n]/)
    return end < 0 ? null : { line: buffer.slice(0, end), rest: after(buffer, end) }
  })
}

/** Everything on stdin up to its end, at most `maxBytes`. */
export async function readAll(terminal: Terminal, maxBytes = 65_536): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of terminal.stdin) {
    const bytes = Buffer.from(chunk)
    chunks.push(bytes)
    size += bytes.length
    if (size > maxBytes)
      throw usageError('stdin holds more than a key can be.', 'Pipe the key and nothing else.')
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** One line from a terminal without echo. */
export async function readHidden(terminal: Terminal): Promise<string> {
  const { stdin, stderr } = terminal
  stdin.setRawMode?.(true)
  let shown = 0
  try {
    return await readKeys(terminal, (buffer) => {
      if (buffer.includes('\x03')) {
        throw new CliError({
          code: 'interrupted',
          message: 'Interrupted; nothing was changed.',
          hint: '',
          exitCode: EXIT.interrupted,
        })
      }
      const end = buffer.search(/[\r\n\x04]/)
      const line = edited(end < 0 ? buffer : buffer.slice(0, end))
      if (line.length > shown) stderr.write('●'.repeat(line.length - shown))
      if (line.length < shown) stderr.write('\b \b'.repeat(shown - line.length))
      shown = line.length
      return end < 0 ? null : { line, rest: after(buffer, end) }
    })
  } finally {
    stdin.setRawMode?.(false)
    stderr.write('\n')
  }
}

/** What follows a line's end; `\r\n` is one end. */
function after(buffer: string, end: number): string {
  return buffer.slice(buffer.startsWith('\r\n', end) ? end + 2 : end + 1)
}

/** Applies backspace and Ctrl-U, and drops the marks that terminals put around pasted text. */
function edited(typed: string): string {
  let line = ''
  for (const char of typed.replace(/\x1b\[20[01]~/g, '')) {
    if (char === '\x7f' || char === '\b') line = line.slice(0, -1)
    else if (char === '\x15') line = ''
    else line += char
  }
  return line
}

type Taken = { readonly line: string; readonly rest: string }

function readKeys(terminal: Terminal, take: (buffer: string) => Taken | null): Promise<string> {
  const { stdin } = terminal
  return new Promise((resolve, reject) => {
    let buffer = ''
    const stop = () => {
      stdin.off('data', onData)
      stdin.off('end', onEnd)
      stdin.pause()
    }
    const onData = (chunk: Buffer | string) => {
      buffer += chunk.toString()
      try {
        const taken = take(buffer)
        if (taken === null) return
        stop()
        if (taken.rest !== '') stdin.unshift(Buffer.from(taken.rest))
        resolve(taken.line)
      } catch (error) {
        stop()
        reject(error)
      }
    }
    const onEnd = () => {
      stop()
      resolve(buffer)
    }
    stdin.on('data', onData)
    stdin.on('end', onEnd)
    stdin.resume()
  })
}
