import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import type { Server } from 'node:http'
import { connect } from 'node:net'
import type { ListenAddress } from '../config/schema.ts'

/** An address cannot be had: its port is taken, or the socket's path is. */
export class ListenError extends Error {
  override readonly name = 'ListenError'
  readonly code: string
  readonly at: ListenAddress
  constructor(code: string, at: ListenAddress, message: string) {
    super(message)
    this.code = code
    this.at = at
  }
}

/** `127.0.0.1:8787`, `[::1]:8787`, or a socket's path. */
export function addressText(at: ListenAddress): string {
  if (at.kind === 'unix') return at.path
  return at.host.includes(':') ? `[${at.host}]:${at.port}` : `${at.host}:${at.port}`
}

/** Listens, a socket for its owner alone, and answers where. Throws `ListenError`. */
export async function listenAt(server: Server, at: ListenAddress): Promise<string> {
  if (at.kind === 'unix') await removeStaleSocket(at)
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(new ListenError(error.code ?? 'EUNKNOWN', at, error.message))
    })
    const ready = () => {
      if (at.kind === 'unix') {
        chmodSync(at.path, 0o600)
        resolve(at.path)
        return
      }
      const bound = server.address()
      const port = typeof bound === 'object' && bound !== null ? bound.port : at.port
      resolve(addressText({ ...at, port }))
    }
    if (at.kind === 'unix') {
      // The socket is made in this call: nobody else may open it, not even before the chmod.
      const umask = process.umask(0o177)
      server.listen(at.path, ready)
      process.umask(umask)
    } else server.listen(at.port, at.host, ready)
  })
}

/** A socket that nobody answers on is left over from a crash; a living one stays. */
async function removeStaleSocket(at: Extract<ListenAddress, { kind: 'unix' }>): Promise<void> {
  const { path } = at
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return
  const answered = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
  if (answered) throw new ListenError('EADDRINUSE', at, `${path} is in use`)
  unlinkSync(path)
}
