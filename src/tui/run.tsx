import { render } from 'ink'
import type { MonitorWriter } from './actions.ts'
import { App } from './app.tsx'
import type { Snapshot } from './facts.ts'
import type { Screen } from './keys.ts'
import { modelOf } from './model.ts'
import type { SnapshotSource } from './use-snapshot.ts'

/** How long the first look may keep the first frame waiting, in ms; after that dashes are shown. */
const FIRST_LOOK_MS = 150

export interface RunOptions {
  readonly source: SnapshotSource
  readonly store: MonitorWriter
  readonly screen: Screen
  /** For the audit: `tui:ann`. */
  readonly actor: string
  readonly isReadOnly: boolean
  readonly hasColour: boolean
  readonly refreshMs: number
  /** IANA time zone of the times shown. */
  readonly zone: string
  readonly version: string
  readonly clock: () => number
  readonly stdin: NodeJS.ReadableStream
  readonly stdout: NodeJS.WritableStream
  /** The look that the caller may have begun while this module was loading. */
  readonly firstLook?: Promise<Snapshot>
}

/**
 * Shows the monitor until q, Ctrl-C, SIGTERM or SIGHUP, and gives the terminal back as it was. Resolves
 * with what was last seen of the daemon, or null when the terminal itself went away; rejects with the error
 * that ended it, once the terminal is back.
 */
export async function runTui(options: RunOptions): Promise<{ readonly isServing: boolean } | null> {
  const { source, stdin, stdout, clock } = options
  let newest = await firstLook(options.firstLook ?? source.read())
  const instance = render(
    <App
      {...options}
      first={newest}
      onSnapshot={(snapshot) => {
        newest = snapshot
      }}
    />,
    {
      stdin,
      stdout,
      alternateScreen: true,
      incrementalRendering: true,
      maxFps: 10,
      // Ink would turn itself off where CI is set, even on a real terminal.
      interactive: true,
      exitOnCtrlC: true,
      patchConsole: true,
    },
  )
  const end: { error: Error | null; isTerminalGone: boolean } = {
    error: null,
    isTerminalGone: false,
  }
  const stop = () => instance.unmount()
  const gone = () => {
    end.isTerminalGone = true
    instance.unmount()
  }
  const crash = (error: unknown) => {
    end.error ??= error instanceof Error ? error : new Error(String(error))
    instance.unmount()
  }
  // A closed window takes the terminal away: that ends the monitor and is nobody's bug. Others that listen
  // would make it one, and nothing can be written any more that could interest them.
  const others = stdout.listeners('error') as ((error: Error) => void)[]
  stdout.removeAllListeners('error')
  stdout.on('error', gone)
  stdin.on('error', gone)
  for (const signal of SIGNALS) process.on(signal, stop)
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
  try {
    await instance.waitUntilExit()
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop)
    process.off('uncaughtException', crash)
    process.off('unhandledRejection', crash)
    if (!end.isTerminalGone) {
      stdout.off('error', gone)
      stdin.off('error', gone)
      for (const listener of others) stdout.on('error', listener)
    }
    // Ink lets the input go on; without this the process would wait for a key after the end.
    stdin.pause()
  }
  if (end.error !== null) throw end.error
  if (end.isTerminalGone) return null
  return { isServing: modelOf(newest, clock()).daemon.kind === 'serving' }
}

const SIGNALS = ['SIGTERM', 'SIGHUP', 'SIGINT'] as const

/** The snapshot if it comes soon; null when it takes longer, and later looks report what went wrong. */
async function firstLook(look: Promise<Snapshot>): Promise<Snapshot | null> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), FIRST_LOOK_MS)
  })
  try {
    return await Promise.race([look.catch(() => null), late])
  } finally {
    clearTimeout(timer)
  }
}
