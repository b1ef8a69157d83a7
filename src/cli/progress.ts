import { formatBytes, formatCount } from './format.ts'
import type { Printer } from './print.ts'
import type { Terminal } from './terminal.ts'

/** Tells on stderr how far a long work is; nothing for what takes less than 300 ms. */
export interface Progress {
  /** So many of the total are done, and so many bytes were written. */
  update(done: number, bytes: number): void
  /** Takes the bar away; what was made is for the caller to say. */
  end(): void
}

const QUIET_MS = 300
const REPAINT_MS = 100
const LINE_MS = 30_000
const REMAINING_AFTER_MS = 2_000
const WIDTH = 24

/** A bar on a terminal, a line now and then elsewhere; silent with `--quiet` and `--json`. */
export function createProgress(
  { terminal, print }: { readonly terminal: Terminal; readonly print: Printer },
  what: { readonly verb: string; readonly total: number; readonly unit: string },
): Progress {
  const { stderr } = terminal
  const beganMs = terminal.nowMs()
  let paintedMs: number | null = null
  if (print.quiet || print.json) return { update: () => {}, end: () => {} }

  function text(done: number, bytes: number, nowMs: number): string {
    const share = what.total === 0 ? 1 : Math.min(1, done / what.total)
    const full = Math.round(share * WIDTH)
    const spentMs = nowMs - beganMs
    const leftMs = share > 0 ? spentMs / share - spentMs : 0
    const time =
      spentMs > REMAINING_AFTER_MS && share < 1 ? `${seconds(leftMs)} left` : seconds(spentMs)
    const bar = `${'━'.repeat(full)}${'─'.repeat(WIDTH - full)}`
    return `${what.verb}  ${formatCount(what.total)} ${what.unit} ${bar} ${Math.floor(share * 100)}%  ${formatBytes(bytes)}  ${time}`
  }

  return {
    update(done, bytes) {
      const nowMs = terminal.nowMs()
      if (nowMs - beganMs < QUIET_MS) return
      const everyMs = stderr.isTTY ? REPAINT_MS : LINE_MS
      if (paintedMs !== null && nowMs - paintedMs < everyMs) return
      paintedMs = nowMs
      const line = text(done, bytes, nowMs)
      stderr.write(stderr.isTTY ? `\r${line}\x1b[K` : `${line}\n`)
    },
    end() {
      if (paintedMs !== null && stderr.isTTY) stderr.write('\r\x1b[K')
    },
  }
}

/** `1.4 s`. */
function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
