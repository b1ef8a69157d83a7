import { homedir, userInfo } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import type { Place } from '../config/place.ts'

/** An output stream that may be a terminal. */
export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number }
/** An input stream that may be a terminal. */
export type Input = Readable & { readonly isTTY?: boolean; setRawMode?(raw: boolean): unknown }

/** All that a command touches outside itself; tests give their own. */
export interface Terminal {
  readonly stdin: Input
  readonly stdout: Output
  readonly stderr: Output
  readonly place: Place
  /** The person at the keyboard, for the audit log. */
  readonly userName: string
  nowMs(): number
}

/** The terminal of this process. */
export function processTerminal(): Terminal {
  const isRoot = process.geteuid?.() === 0
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    place: { env: process.env, home: homedir(), cwd: process.cwd(), isRoot },
    userName: (isRoot ? process.env.SUDO_USER : undefined) || loginName(),
    nowMs: () => Date.now(),
  }
}

function loginName(): string {
  try {
    return userInfo().username
  } catch {
    // A uid without an entry in the user database, as in many containers.
    return process.env.USER || `uid-${process.getuid?.() ?? 'unknown'}`
  }
}
