import { formatLeft } from '../core/account-state.ts'
import { type By, type Store, StoreError } from '../store/store.ts'
import { type AccountEffect, MESSAGE_MS, type Message } from './state.ts'

/** The part of the store that the monitor changes. */
export type MonitorWriter = Pick<Store, 'setAccountDisabled' | 'clearCooldown'>

/** What the account was like when the key was pressed, for the sentence about the result. */
export interface Before {
  readonly inFlight: number
  /** It had something to be cleared. */
  readonly isResting: boolean
  readonly untilMs: number | null
}

/**
 * Does it and says what came of it. Nothing is shown before the database has it; a refusal of the
 * database becomes a message, anything unexpected rejects.
 */
export async function perform(
  store: MonitorWriter,
  effect: AccountEffect,
  by: By,
  before: Before,
): Promise<Message> {
  const say = (text: string, tone: Message['tone']) => ({
    text,
    tone,
    untilMs: by.nowMs + MESSAGE_MS,
  })
  const { id, name } = effect.account
  try {
    const result = await change(store, effect.kind, id, by)
    if (result.kind === 'not_found') return say(`${name} is gone: it was removed`, 'bad')
    return result.kind === 'unchanged'
      ? say(unchangedText(effect.kind, name), 'warn')
      : say(changedText(effect.kind, name, before, by.nowMs), 'ok')
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    const why = error.reason === 'busy' ? 'the database is busy' : error.message
    return say(`! ${name} was not changed: ${why}. Try again.`, 'bad')
  }
}

function change(store: MonitorWriter, kind: 'disable' | 'enable' | 'clear', id: string, by: By) {
  switch (kind) {
    case 'disable':
      return store.setAccountDisabled(id, { reason: null }, by)
    case 'enable':
      return store.setAccountDisabled(id, null, by)
    case 'clear':
      return store.clearCooldown(id, by)
  }
}

function changedText(
  kind: 'disable' | 'enable' | 'clear',
  name: string,
  { inFlight, isResting, untilMs }: Before,
  nowMs: number,
): string {
  switch (kind) {
    case 'disable': {
      const running =
        inFlight === 0
          ? ''
          : inFlight === 1
            ? ' 1 request is still finishing.'
            : ` ${inFlight} requests are still finishing.`
      return `${name} disabled.${running} Undo: e`
    }
    case 'enable':
      return `${name} enabled. The next request may use it.`
    case 'clear': {
      if (!isResting) return `${name} had no cooldown`
      const left =
        untilMs === null || untilMs <= nowMs ? '' : ` (was ${formatLeft(untilMs - nowMs)} left)`
      return `${name}: cooldown ended${left}. The next request may try it.`
    }
  }
}

function unchangedText(kind: 'disable' | 'enable' | 'clear', name: string): string {
  if (kind === 'clear') return `${name} has no cooldown`
  return `${name} is already ${kind === 'disable' ? 'disabled' : 'enabled'}`
}
