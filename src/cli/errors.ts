import type { CliErrorCode } from './error-codes.ts'

/** Exit codes: a stable contract for scripts. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  notFound: 3,
  conflict: 4,
  notReady: 5,
  busy: 6,
  daemon: 7,
  upstream: 8,
  problems: 9,
  cancelled: 10,
  storeBroken: 70,
  interrupted: 130,
  terminated: 143,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** A command's expected "no": one line of what happened, one of what to do, and how the process ends. */
export class CliError extends Error {
  override readonly name = 'CliError'
  /** For scripts: `key_not_found`. */
  readonly code: CliErrorCode
  readonly hint: string
  readonly exitCode: ExitCode

  constructor(facts: { code: CliErrorCode; message: string; hint: string; exitCode: ExitCode }) {
    super(facts.message)
    this.code = facts.code
    this.hint = facts.hint
    this.exitCode = facts.exitCode
  }
}

/** The hint where help is all that helps; `runCli` completes it with the command's name. */
export const SEE_HELP = 'See: ccgate help'

/** A wrong command line: exit 2. */
export function usageError(message: string, hint: string, code: CliErrorCode = 'usage'): CliError {
  return new CliError({ code, message, hint, exitCode: EXIT.usage })
}
