import type { Fraction } from '../core/model.ts'
import { matchesModel } from '../core/model-glob.ts'

/** One change of a setting, in force from `sinceMs` until the next one of its subject; null: as before any. */
export interface Setting<T> {
  readonly value: T | null
  readonly sinceMs: number
  readonly seq: number
}

/** The changes of one kind by subject (a model id or glob; for aliases the alias), newest first. */
export type SettingsBySubject<T> = ReadonlyMap<string, readonly Setting<T>[]>

/** What people decided about models, besides prices: with its history, so that any past instant can be asked for. */
export interface ModelPolicy {
  /** Ids or globs that may be called; `['*']` allows all. */
  readonly allow: readonly string[]
  readonly deny: readonly string[]
  readonly markups: SettingsBySubject<Fraction>
  readonly served: SettingsBySubject<boolean>
  /** Our own names of models, besides those that upstream knows. */
  readonly aliases: SettingsBySubject<string>
  /** The model that unknown ones are priced as, newest first; empty: unknown models are refused. */
  readonly unknownAs: readonly Setting<string>[]
  /** Every change by the time it came into force: `seq` is the highest one until then. */
  readonly sequence: readonly { readonly sinceMs: number; readonly seq: number }[]
}

/** Nobody decided anything. */
export const NO_POLICY: ModelPolicy = {
  allow: ['*'],
  deny: [],
  markups: new Map(),
  served: new Map(),
  aliases: new Map(),
  unknownAs: [],
  sequence: [],
}

/** The newest of these settings that is in force at that time; null when there is none, or it was taken back. */
export function inForce<T>(settings: readonly Setting<T>[] | undefined, atMs: number): T | null {
  if (settings === undefined) return null
  for (const setting of settings) if (setting.sinceMs <= atMs) return setting.value
  return null
}

/**
 * What is set for a model at that time: by its id, else by the glob that says most of it (the one with the
 * most letters besides `*`); null when nothing is.
 */
export function settingFor<T>(
  settings: SettingsBySubject<T>,
  modelId: string,
  atMs: number,
): T | null {
  if (settings.size === 0) return null
  const exact = inForce(settings.get(modelId), atMs)
  if (exact !== null) return exact
  let found: { readonly value: T; readonly letters: number } | null = null
  for (const [subject, changes] of settings) {
    const letters = subject.replaceAll('*', '').length
    if (letters === subject.length || (found !== null && letters <= found.letters)) continue
    const value = inForce(changes, atMs)
    if (value !== null && matchesModel([subject], modelId)) found = { value, letters }
  }
  return found === null ? null : found.value
}
