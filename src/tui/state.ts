import { isUsable } from '../core/account-state.ts'
import type { AccountView } from './facts.ts'
import { type Action, actionOf, type KeyContext, SCREENS, type Screen } from './keys.ts'
import type { Tone } from './lines.ts'

/** How long the result of an action stays in the message line, in ms. */
export const MESSAGE_MS = 8_000

/** What the person at the keyboard has made of the screen. */
export interface UiState {
  readonly screen: Screen
  /** By id, so that a re-sorted list keeps it; null: the first account. */
  readonly selectedId: string | null
  readonly isPaused: boolean
  readonly overlay: Overlay | null
  readonly message: Message | null
}

export type Overlay =
  | { readonly kind: 'help' }
  | {
      readonly kind: 'disable'
      readonly accountId: string
      readonly name: string
      readonly inFlight: number
      /** What was typed so far where the name must be typed; null where y is enough. */
      readonly typed: string | null
    }

export interface Message {
  readonly text: string
  readonly tone: Extract<Tone, 'ok' | 'warn' | 'bad'>
  readonly untilMs: number
}

/** Something to be done outside: the state itself never changes the database. */
export type Effect = { readonly kind: 'quit' } | { readonly kind: 'refresh' } | AccountEffect

/** A change of one account. */
export interface AccountEffect {
  readonly kind: 'disable' | 'enable' | 'clear'
  readonly account: AccountRef
}

export interface AccountRef {
  readonly id: string
  readonly name: string
}

/** What the key press meets. */
export interface PressContext {
  readonly accounts: readonly AccountView[]
  readonly isReadOnly: boolean
  readonly isDown: boolean
  readonly nowMs: number
}

/** The state at the start. */
export function initialState(screen: Screen): UiState {
  return { screen, selectedId: null, isPaused: false, overlay: null, message: null }
}

/** Where the selection is in the list; 0 when its account is gone. */
export function selectedIndex(ui: UiState, accounts: readonly AccountView[]): number {
  return Math.max(
    0,
    accounts.findIndex((account) => account.id === ui.selectedId),
  )
}

/** What one key press makes of the state, and what is to be done. */
export interface Pressed {
  readonly ui: UiState
  readonly effect: Effect | null
}

/** Presses one key. */
export function press(ui: UiState, name: string, context: PressContext): Pressed {
  if (ui.overlay !== null) return pressInOverlay(ui, ui.overlay, name)
  const action = actionOf(name, keyContext(ui, context))
  return action === null ? { ui, effect: null } : act(ui, action, context)
}

/**
 * One event of the keyboard: a key, or a key that repeated faster than the terminal delivered. Other text
 * in one piece was pasted; it may be the name that is asked for, but it never works the keys.
 */
export function pressAll(ui: UiState, input: string, context: PressContext): Pressed {
  if (!/^(j{2,}|k{2,})$/.test(input) || ui.overlay !== null) return press(ui, input, context)
  let moved = ui
  for (const key of input) moved = press(moved, key, context).ui
  return { ui: moved, effect: null }
}

/** What the table of keys asks about a state. */
export function keyContext(
  ui: UiState,
  { accounts, isReadOnly, isDown }: Omit<PressContext, 'nowMs'>,
): KeyContext {
  return { screen: ui.screen, isReadOnly, isDown, hasAccounts: accounts.length > 0 }
}

function act(ui: UiState, action: Action, context: PressContext): Pressed {
  const { accounts } = context
  const index = selectedIndex(ui, accounts)
  const selected = accounts[index]
  switch (action.kind) {
    case 'screen':
      return { ui: { ...ui, screen: screenAfter(ui.screen, action.to) }, effect: null }
    case 'select': {
      const last = accounts.length - 1
      const to = { up: index - 1, down: index + 1, first: 0, last }[action.to]
      const account = accounts[Math.min(last, Math.max(0, to))]
      return { ui: { ...ui, selectedId: account?.id ?? null }, effect: null }
    }
    case 'pause':
      return { ui: { ...ui, isPaused: !ui.isPaused }, effect: null }
    case 'help':
      return { ui: { ...ui, overlay: { kind: 'help' } }, effect: null }
    case 'disable':
      return { ui: askToDisable(ui, selected, context), effect: null }
    case 'enable':
    case 'clear':
      return {
        ui,
        effect: { kind: action.kind, account: { id: selected.id, name: selected.name } },
      }
    case 'refresh':
      return { ui, effect: { kind: 'refresh' } }
    case 'quit':
      return { ui, effect: { kind: 'quit' } }
  }
}

function screenAfter(screen: Screen, to: Screen | 'next' | 'previous'): Screen {
  if (to !== 'next' && to !== 'previous') return to
  const step = to === 'next' ? 1 : SCREENS.length - 1
  const index = SCREENS.findIndex(({ id }) => id === screen)
  return SCREENS[(index + step) % SCREENS.length].id
}

function askToDisable(ui: UiState, account: AccountView, context: PressContext): UiState {
  if (account.state.word === 'disabled') {
    const untilMs = context.nowMs + MESSAGE_MS
    return {
      ...ui,
      message: { text: `${account.name} is already disabled`, tone: 'warn', untilMs },
    }
  }
  const isServing = ({ state }: AccountView) => isUsable(state)
  const others = context.accounts.filter((each) => each.id !== account.id && isServing(each))
  const isLastHealthy = isServing(account) && others.length === 0
  const { id: accountId, name, inFlight } = account
  const typed = isLastHealthy ? '' : null
  // The question is about what was selected when it was asked, wherever the list goes meanwhile.
  return {
    ...ui,
    selectedId: accountId,
    overlay: { kind: 'disable', accountId, name, inFlight, typed },
  }
}

function pressInOverlay(ui: UiState, overlay: Overlay, name: string): Pressed {
  const closed = { ...ui, overlay: null }
  if (overlay.kind === 'help') return { ui: name === '' ? ui : closed, effect: null }
  const { accountId, name: accountName, typed } = overlay
  const disable: Effect = { kind: 'disable', account: { id: accountId, name: accountName } }
  if (name === 'escape') return { ui: closed, effect: null }
  if (typed === null) {
    if (name === 'y' || name === 'Y') return { ui: closed, effect: disable }
    return { ui: name === 'n' || name === 'N' || name === 'q' ? closed : ui, effect: null }
  }
  if (name === 'return') {
    return typed === accountName ? { ui: closed, effect: disable } : { ui, effect: null }
  }
  const next = name === 'backspace' ? typed.slice(0, -1) : typed + namePart(name)
  return { ui: { ...ui, overlay: { ...overlay, typed: next.slice(0, 64) } }, effect: null }
}

/** The characters that a name may hold; a pasted name arrives as one key press. */
function namePart(input: string): string {
  return /^[a-z0-9._-]+$/.test(input) && !NAMED_KEYS.has(input) ? input : ''
}

const NAMED_KEYS = new Set(['up', 'down', 'left', 'right', 'home', 'end', 'return', 'escape'])
