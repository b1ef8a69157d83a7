import { createWriteStream, existsSync, linkSync, renameSync, rmSync } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { CliError, EXIT } from './errors.ts'
import type { Output } from './terminal.ts'

/** Where an export goes. */
export type Target =
  | { readonly kind: 'stdout'; readonly stream: Output }
  | { readonly kind: 'file'; readonly path: string; readonly name: string; readonly force: boolean }

/**
 * Writes the pieces as they come, however many there are. A file is written beside its place as
 * `name.partial` and moved there when it is whole; whatever stops it before, the partial file goes.
 * Resolves with the bytes of the file; null for stdout.
 */
export async function writeExport(
  pieces: AsyncIterable<string>,
  target: Target,
  options: { readonly gzip: boolean; readonly signal: AbortSignal },
): Promise<number | null> {
  const { signal } = options
  const steps = options.gzip ? [createGzip()] : []
  if (target.kind === 'stdout') {
    await pipeline([Readable.from(pieces), ...steps, target.stream], { signal, end: false })
    return null
  }
  refuseExisting(target)
  const partial = `${target.path}.partial`
  const file = createWriteStream(partial, { flags: target.force ? 'w' : 'wx' })
  try {
    await pipeline([Readable.from(pieces), ...steps, file], { signal })
  } catch (error) {
    // Another export's partial file is not ours to delete.
    if (!isCode(error, 'EEXIST')) rmSync(partial, { force: true })
    throw fileError(error, target.name)
  }
  moveInPlace(partial, target)
  return file.bytesWritten
}

/** Nothing is overwritten unless that was asked for: said before any work is done. */
function refuseExisting(target: Extract<Target, { kind: 'file' }>): void {
  if (target.force || !existsSync(target.path)) return
  throw new CliError({
    code: 'file_exists',
    message: `${target.name} is there already.`,
    hint: 'Choose another name, or replace it with --force.',
    exitCode: EXIT.conflict,
  })
}

/** A link refuses what a rename would replace: a file that came meanwhile stays. */
function moveInPlace(partial: string, target: Extract<Target, { kind: 'file' }>): void {
  if (target.force) {
    renameSync(partial, target.path)
    return
  }
  try {
    linkSync(partial, target.path)
    rmSync(partial)
  } catch (error) {
    if (isCode(error, 'EEXIST')) {
      rmSync(partial, { force: true })
      refuseExisting(target)
    }
    // File systems without links.
    renameSync(partial, target.path)
  }
}

function fileError(error: unknown, name: string): unknown {
  if (isCode(error, 'EEXIST')) {
    return new CliError({
      code: 'file_exists',
      message: `${name}.partial is there: another export writes it, or one was killed.`,
      hint: 'Delete it when nobody writes it, or use --force.',
      exitCode: EXIT.conflict,
    })
  }
  const code = (error as NodeJS.ErrnoException).code ?? ''
  if (!/^E[A-Z]+$/.test(code)) return error
  return new CliError({
    code: 'cannot_write_file',
    message: `${name} cannot be written (${code}).`,
    hint: 'Check the folder, its owner and the room on the disk.',
    exitCode: EXIT.failure,
  })
}

function isCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException).code === code
}
