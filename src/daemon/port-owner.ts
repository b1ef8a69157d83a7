import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** The process that listens on a TCP port, as far as `/proc` lets us see; null when it does not. */
export function ownerOfPort(port: number): { readonly pid: number; readonly name: string } | null {
  try {
    const inode = inodeOf(port)
    if (inode === null) return null
    for (const pid of readdirSync('/proc')) {
      if (/^\d+$/.test(pid) && holds(pid, `socket:[${inode}]`)) {
        return { pid: Number(pid), name: readFileSync(`/proc/${pid}/comm`, 'utf8').trim() }
      }
    }
  } catch {
    // No /proc here, or not for us: the message does without.
  }
  return null
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
