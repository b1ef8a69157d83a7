import { useCallback, useEffect, useRef, useState } from 'react'
import { StoreError } from '../store/store.ts'
import type { Snapshot } from './facts.ts'

/** Where snapshots come from. */
export interface SnapshotSource {
  read(how?: 'now' | 'when_due'): Promise<Snapshot>
}

/** What is known now. */
export interface Watched {
  readonly snapshot: Snapshot | null
  readonly nowMs: number
  /** Since when the database does not answer; null: it does. */
  readonly staleSinceMs: number | null
}

export interface WatchOptions {
  readonly first: Snapshot | null
  readonly refreshMs: number
  readonly isPaused: boolean
  readonly clock: () => number
}

/** Looks again every `refreshMs`, and lets the clock tick in between; `look` looks at once. */
export function useSnapshot(
  source: SnapshotSource,
  { first, refreshMs, isPaused, clock }: WatchOptions,
): Watched & { readonly look: () => void } {
  const [watched, setWatched] = useState<Watched>(() => ({
    snapshot: first,
    nowMs: clock(),
    staleSinceMs: null,
  }))
  const run = useRef({ isReading: false, isWanted: false, isOver: false, readAtMs: 0 })

  const lookWhen = useCallback(
    (how: 'now' | 'when_due') => {
      const state = run.current
      if (state.isReading) {
        // What is being read may be older than what the caller wants to see.
        state.isWanted ||= how === 'now'
        return
      }
      state.isReading = true
      source
        .read(how)
        .then((snapshot) => {
          state.readAtMs = clock()
          if (!state.isOver) setWatched({ snapshot, nowMs: state.readAtMs, staleSinceMs: null })
        })
        .catch((error: unknown) => {
          if (state.isOver) return
          setWatched((before) => {
            // Only the database's own refusals are waited out; a bug goes to Ink, which ends the screen.
            if (!(error instanceof StoreError)) throw error
            const staleSinceMs = before.staleSinceMs ?? (state.readAtMs || clock())
            return { ...before, nowMs: clock(), staleSinceMs }
          })
        })
        .finally(() => {
          state.isReading = false
          if (state.isWanted && !state.isOver) {
            state.isWanted = false
            lookWhen('now')
          }
        })
    },
    [source, clock],
  )

  useEffect(() => {
    if (isPaused) return
    const state = run.current
    state.isOver = false
    let sinceLookMs = 0
    const tickMs = Math.min(refreshMs, 1000)
    if (first === null || state.readAtMs > 0) lookWhen('when_due')
    const timer = setInterval(() => {
      sinceLookMs += tickMs
      if (sinceLookMs >= refreshMs && !state.isReading) {
        sinceLookMs = 0
        lookWhen('when_due')
      } else {
        setWatched((before) => ({ ...before, nowMs: clock() }))
      }
    }, tickMs)
    return () => clearInterval(timer)
  }, [isPaused, refreshMs, first, lookWhen, clock])

  useEffect(() => {
    const state = run.current
    state.isOver = false
    return () => {
      state.isOver = true
    }
  }, [])

  const look = useCallback(() => lookWhen('now'), [lookWhen])
  return { ...watched, look }
}
