import { statSync } from 'node:fs'
import { userInfo } from 'node:os'
import { type OpenFailure, openStore } from '../store/open.ts'
import type { Store } from '../store/store.ts'
import { CliError, EXIT } from './errors.ts'

/** Opens the store for a command, or says why not, what to do, and with which exit code. */
export async function openForCommand(
  options: { readonly path: string; readonly busyTimeoutMs: number },
  mode: 'read' | 'write' | 'rehearse',
  nowMs: () => number,
): Promise<Store> {
  const { path, busyTimeoutMs } = options
  const isRehearsal = mode === 'rehearse'
  const result = await openStore({
    path,
    busyTimeoutMs,
    mode: isRehearsal ? 'write' : mode,
    nowMs,
    isRehearsal,
  })
  if (result.kind === 'opened') return result.store
  throw openError(result)
}

/** A database that cannot be opened, in words. */
export function openError(failure: OpenFailure): CliError {
  const error = (
    exitCode: CliError['exitCode'],
    code: CliError['code'],
    message: string,
    hint: string,
  ) => new CliError({ code, message, hint, exitCode })
  const { path } = failure
  switch (failure.kind) {
    case 'missing':
      return error(
        EXIT.notReady,
        'not_initialised',
        `Nothing here yet: there is no database ${path}.`,
        'Run: ccgate init   (or try: ccgate demo)',
      )
    case 'permission':
      return error(
        EXIT.notReady,
        'permission_denied',
        `Cannot read ${path}${ownerOf(path)}.`,
        'Try with sudo, or as the user that runs the gateway.',
      )
    case 'not_a_database':
      return error(
        EXIT.notReady,
        'not_a_database',
        `${path} is not a database of ccgate.`,
        'Check --db, CCGATE_DB and store.path in the config.',
      )
    case 'corrupt':
      return error(
        EXIT.storeBroken,
        'store_corrupt',
        `The database ${path} is damaged: ${failure.problem}`,
        'Stop the gateway, keep a copy of the file, and go back to a backup.',
      )
    case 'schema_newer':
      return error(
        EXIT.notReady,
        'schema_newer',
        `The database has schema ${failure.found}; this ccgate knows ${failure.known}.`,
        'Install the newer ccgate that wrote it.',
      )
    case 'schema_older':
      return error(
        EXIT.notReady,
        'schema_older',
        `The database has schema ${failure.found}; this ccgate needs ${failure.known}.`,
        'Start the gateway once, it migrates: ccgate serve',
      )
    case 'sqlite_too_old':
      return error(
        EXIT.notReady,
        'sqlite_too_old',
        `SQLite ${failure.found} can damage databases that two programs write.`,
        `ccgate needs ${failure.needed} or newer: run npm install again.`,
      )
    case 'busy':
      return error(
        EXIT.busy,
        'store_busy',
        'The database is locked by another program.',
        'Try again, or allow more time: CCGATE_STORE__BUSY_TIMEOUT=30s',
      )
    case 'io':
      return error(
        EXIT.storeBroken,
        'store_io',
        `The database ${path} cannot be opened: ${failure.problem}`,
        'Check the disk and the path.',
      )
  }
}

function ownerOf(path: string): string {
  try {
    const { uid } = statSync(path)
    return uid === userInfo().uid ? '' : ` (owner uid ${uid})`
  } catch {
    return ''
  }
}
