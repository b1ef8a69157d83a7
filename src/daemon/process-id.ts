import { readFileSync, readlinkSync } from 'node:fs'
import type { Boot } from '../core/model.ts'

/** What tells this process from every other one, now and later. */
export function ownProcess(): Pick<Boot, 'pid' | 'pidStartedAt' | 'pidSpace'> {
  return { pid: process.pid, pidStartedAt: startOf(process.pid), pidSpace: pidSpace() }
}

/** A boot that stopped without a heartbeat for this long is dead wherever it ran. */
const SILENT_MS = 30_000

/**
 * Whether a boot can no longer settle its holds. Where its pid means something here, a process that is gone
 * proves it at once; elsewhere (another container, after a reboot) only a long silence does.
 */
export function isDead(boot: Boot, nowMs: number): boolean {
  if (boot.state === 'stopped') return true
  const space = pidSpace()
  if (boot.pidSpace !== null && space !== null) {
    if (boot.pidSpace === space) return !isRunning(boot)
    // Another machine boot: whatever ran then is gone. Another container on this one: only silence tells.
    if (boot.pidSpace.split(' ')[0] !== space.split(' ')[0])
      return nowMs - boot.heartbeatAtMs > SILENT_MS
  }
  return nowMs - boot.heartbeatAtMs > SILENT_MS && !isRunning(boot)
}

/** Whether the very process of a boot is there: its pid means something here, and nobody took it over. */
export function provablyRuns(boot: Boot, nowMs: number): boolean {
  return boot.pidSpace !== null && boot.pidSpace === pidSpace() && !isDead(boot, nowMs)
}

function isRunning(boot: Boot): boolean {
  const startedAt = startOf(boot.pid)
  if (startedAt !== null) return boot.pidStartedAt === null || boot.pidStartedAt === startedAt
  if (pidSpace() !== null) return false
  try {
    process.kill(boot.pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' // kill throws system errors only
  }
}

/** Field 22 of `/proc/<pid>/stat`: clock ticks since the machine started; null where there is no such file. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name in parentheses may hold anything, blanks and parentheses too.
    const afterName = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A zombie has ended; it only waits for its parent.
    return afterName[0] === 'Z' ? null : (afterName[19] ?? null)
  } catch {
    return null
  }
}

function pidSpace(): string | null {
  try {
    const machineBoot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    return `${machineBoot} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return null
  }
}
