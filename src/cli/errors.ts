import { type CliErrorCode, EXIT } from './error-codes.ts'

export { EXIT }

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** One mistake of a file: `data[3].id`, and one phrase that says what is wrong there. */
export interface FileProblem {
  readonly path: string
  readonly message: string
}

/** A command's expected "no": one line of what happened, one of what to do, and how the process ends. */
export class CliError extends Error {
  override readonly name = 'CliError'
  /** For scripts: `key_not_found`. */
  readonly code: CliErrorCode
  readonly hint: string
  readonly exitCode: ExitCode
  /** Mistakes of a file one by one, for `--json`; null where there is one thing to say. */
  readonly problems: readonly FileProblem[] | null

  constructor(facts: {
    code: CliErrorCode
    message: string
    hint: string
    exitCode: ExitCode
    problems?: readonly FileProblem[]
  }) {
    super(facts.message)
    this.problems = facts.problems ?? null
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

const FILE_TROUBLES: Readonly<Record<string, string>> = {
  ENOENT: 'it is not there',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is no folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ENOSPC: 'the disk is full',
  EROFS: 'its disk is read-only',
}

/** Why a file could not be read or written, in words; the system's own where it has no words here. */
export function fileTrouble(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null
  const known = typeof code === 'string' ? FILE_TROUBLES[code] : undefined
  return known ?? (error instanceof Error ? error.message : String(code ?? 'unknown trouble'))
}
