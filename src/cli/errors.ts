import { type CliErrorCode, EXIT } from './error-codes.ts'

export { EXIT }

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
