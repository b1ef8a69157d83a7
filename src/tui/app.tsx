import { useApp, useInput, useWindowSize } from 'ink'
import { useMemo, useRef, useState } from 'react'
import { type MonitorWriter, perform } from './actions.ts'
import type { Snapshot } from './facts.ts'
import { frame, layoutOf } from './frame.ts'
import { keyName, type Screen } from './keys.ts'
import { modelOf } from './model.ts'
import { ScreenLines } from './screen.tsx'
import { type AccountRef, type Effect, initialState, pressAll, type UiState } from './state.ts'
import { themeFor } from './theme.ts'
import { type SnapshotSource, useSnapshot } from './use-snapshot.ts'

export interface AppProps {
  readonly source: SnapshotSource
  readonly store: MonitorWriter
  /** Read before the first frame; null when that took too long. */
  readonly first: Snapshot | null
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
  /** Told the newest snapshot, for what is said after the end. */
  readonly onSnapshot?: (snapshot: Snapshot | null) => void
}

/** The monitor: draws the newest snapshot, and does what keys ask for. */
export function App(props: AppProps) {
  const { source, store, actor, isReadOnly, refreshMs, zone, version, clock } = props
  const { columns, rows } = useWindowSize()
  const { exit } = useApp()
  const [ui, setUi] = useState(() => initialState(props.screen))
  // Keys may arrive faster than frames are drawn, so they work on the newest state, not the drawn one.
  const newest = useRef(ui)
  const { snapshot, nowMs, staleSinceMs, look } = useSnapshot(source, {
    first: props.first,
    refreshMs,
    isPaused: ui.isPaused,
    clock,
  })
  props.onSnapshot?.(snapshot)
  const model = useMemo(() => modelOf(snapshot, nowMs), [snapshot, nowMs])
  const theme = themeFor(props.hasColour)

  function update(next: UiState): void {
    newest.current = next
    setUi(next)
  }

  async function carryOut(effect: Effect): Promise<void> {
    switch (effect.kind) {
      case 'quit':
        return exit()
      case 'refresh':
        return look()
      default: {
        const by = { actor, nowMs: clock() }
        const message = await perform(store, effect, by, before(effect.account))
        update({ ...newest.current, message })
        look()
      }
    }
  }

  function before({ id }: AccountRef) {
    const account = model.accounts.find((each) => each.id === id)
    const rests = account?.rests ?? []
    return {
      inFlight: account?.inFlight ?? 0,
      isResting: rests.length > 0,
      untilMs: rests[0]?.untilMs ?? null,
    }
  }

  useInput((input, key) => {
    const name = keyName(input, key)
    const isFull = layoutOf({ columns, rows }) === 'full'
    // Nobody should act on an account that the compact view does not let them choose.
    if (!isFull && name !== 'q') return
    const { accounts, daemon } = model
    const context = { accounts, isReadOnly, isDown: daemon.kind === 'down', nowMs: clock() }
    const state = isFull ? newest.current : { ...newest.current, overlay: null }
    const { ui: next, effect } = pressAll(state, name, context)
    update(next)
    if (effect !== null) {
      carryOut(effect).catch((error: unknown) => exit(error instanceof Error ? error : undefined))
    }
  })

  const lines = frame({
    model,
    ui,
    nowMs,
    columns,
    rows,
    zone,
    isReadOnly,
    version,
    staleSinceMs,
    refreshMs,
  })
  return <ScreenLines lines={lines} columns={columns} theme={theme} />
}
