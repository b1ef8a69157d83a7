import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '../../store/store.ts'
import type { Screen } from '../../tui/keys.ts'
import { SCREENS } from '../../tui/keys.ts'
import { modelOf } from '../../tui/model.ts'
import { statusBlock } from '../../tui/plain.ts'
import { Source } from '../../tui/source.ts'

/** What the monitor is asked for. */
export interface MonitorOptions {
  readonly store: Store
  readonly screen: Screen
  readonly refreshMs: number
  readonly isReadOnly: boolean
  /** Print one block and end. */
  readonly isOnce: boolean
  /** Print a block per interval, also on a terminal. */
  readonly isPlain: boolean
  /** Who is at the keyboard. */
  readonly userName: string
  readonly hasColour: boolean
  /** IANA time zone of the times shown. */
  readonly zone: string
  readonly version: string
  readonly stdin: NodeJS.ReadStream
  readonly stdout: NodeJS.WriteStream
  readonly env: NodeJS.ProcessEnv
  readonly clock: () => number
}

/** Shows the live screens, or plain text where there is no screen; resolves when it is over. */
export async function monitor(options: MonitorOptions): Promise<void> {
  const { store, stdin, stdout, env, clock } = options
  const source = new Source(store, clock)
  const hasScreen = stdin.isTTY && stdout.isTTY && env.TERM !== 'dumb'
  if (options.isOnce || options.isPlain || !hasScreen) return printBlocks(source, options)
  // React decides by this while it is loaded; in development it would print warnings into the screen.
  process.env.NODE_ENV = 'production'
  const firstLook = source.read()
  // Looked at when the screen is up; until then it must not count as unhandled.
  firstLook.catch(() => {})
  const { runTui } = await import('../../tui/run.tsx')
  const actor = `tui:${options.userName}`
  const { isServing } = await runTui({ ...options, source, store, actor, firstLook })
  stdout.write(isServing ? 'monitor closed, gateway still serving\n' : 'monitor closed\n')
}

async function printBlocks(source: Source, options: MonitorOptions): Promise<void> {
  const { stdout, clock, zone, refreshMs, isOnce } = options
  const stop = new AbortController()
  const onSignal = () => stop.abort()
  // `ccgate monitor --plain | head` ends when head does.
  stdout.on('error', onSignal)
  for (const signal of SIGNALS) process.once(signal, onSignal)
  try {
    while (!stop.signal.aborted) {
      const nowMs = clock()
      const model = modelOf(await source.read(), nowMs)
      stdout.write(statusBlock(model, { nowMs, zone }))
      if (isOnce) break
      stdout.write('\n')
      await sleep(refreshMs, undefined, { signal: stop.signal }).catch(() => {})
    }
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal)
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** The screen with that name or number; null when there is none. */
export function screenNamed(name: string): Screen | null {
  const found = SCREENS.find(({ id }, i) => id === name.toLowerCase() || String(i + 1) === name)
  return found?.id ?? null
}
