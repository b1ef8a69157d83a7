import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'

/** The process that listens on a TCP port, as far as `/proc` lets us see; null when it does not. */
export function ownerOfPort(port: number): { readonly pid: number; readonly name: string } | null {
  try {
    const inode = inodeOf(port)
    if (inode === null) return null
    for (const pid of readdirSync('/proc')) {
      if (/^\d+$/.test(pid) && holds(pid, `socket:[${inode}]`)) {
        return { pid: Number(pid), name: nameOf(pid) }
      }
    }
  } catch {
    // No /proc here, or not for us: the message does without.
  }
  return null
}

/** `comm` is the name of a thread (Node calls its own MainThread); the command line has the program's. */
function nameOf(pid: string): string {
  const [program, ...args] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  const ours = /(^|\/)(ccgate(\.js)?|(src|dist)\/main\.[jt]s)$/
  if ([program, ...args].some((argument) => ours.test(argument))) return 'ccgate'
  const name = basename(program.split(' ')[0])
  return name === '' ? readFileSync(`/proc/${pid}/comm`, 'utf8').trim() : name
}

function inodeOf(port: number): string | null {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of readFileSync(file, 'latin1').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/)
      // Field 3 is the state; 0A is LISTEN.
      if (fields[1]?.endsWith(`:${hex}`) && fields[3] === '0A') return fields[9]
    }
  }
  return null
}

function holds(pid: string, link: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some(
      (fd) => readlinkSync(`/proc/${pid}/fd/${fd}`) === link,
    )
  } catch {
    return false
  }
}
