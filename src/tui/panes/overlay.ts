import { isUsable, KEYS } from '../keys.ts'
import { BLANK, beside, cell, type Line, line, type Part, span } from '../lines.ts'
import { keyContext, type Overlay } from '../state.ts'
import type { View } from '../view.ts'

/** The lines with the overlay in their middle, everything else dimmed. */
export function withOverlay(lines: readonly Line[], overlay: Overlay, view: View): Line[] {
  const box = overlay.kind === 'help' ? helpBox(view) : disableBox(overlay)
  const top = Math.max(3, Math.floor((lines.length - box.length) / 2))
  const left = Math.max(2, Math.floor((view.columns - 60) / 2) - 2)
  return lines.map((under, i) => {
    const part = box[i - top]
    return part === undefined ? { ...under, look: 'dimmed' } : beside(BLANK, part, left)
  })
}

/** What the last row says while the overlay is open. */
export function overlayHint(overlay: Overlay): string {
  if (overlay.kind === 'help') return ' any key goes back'
  return overlay.typed === null ? ' y disable   n keep it' : ' ⏎ disable   esc keep it'
}

function helpBox(view: View): Line[] {
  const context = keyContext(view.ui, {
    accounts: view.model.accounts,
    isReadOnly: view.isReadOnly,
    isDown: view.model.daemon.kind === 'down',
  })
  const rows = KEYS.filter((row) => row.help !== '' && isUsable(row, context))
  return boxed('Keys', [
    ...rows.map((row): Part[] => [row.help]),
    [''],
    ['Overhead     what ccgate adds before a request leaves'],
    ['First token  until a streamed answer begins (TTFT)'],
    ['Errors       5xx and cut answers of 5 min; refused are 4xx'],
    ['!            beside a balance: little is left'],
    [''],
    ['Everything else is a command: ', span('ccgate help', 'bold')],
  ])
}

function disableBox(overlay: Extract<Overlay, { kind: 'disable' }>): Line[] {
  const { name, inFlight, typed } = overlay
  const running = inFlight === 1 ? '1 request is' : `${inFlight} requests are`
  const facts: Part[][] = [
    [`${cell(name, Math.min(30, name.length))} gets no new requests from now on.`],
    [
      inFlight === 0
        ? 'Nothing is in flight on it.'
        : `${running} in flight on it and will finish.`,
    ],
    ['Undo: e enables it again.'],
    [''],
  ]
  if (typed === null) {
    return boxed(`Disable ${name}?`, [...facts, [span('y disable       n keep it', 'bold')]])
  }
  return boxed(`Disable ${name}?`, [
    [span('! The last healthy account: requests will be refused.', 'warn')],
    ...facts,
    [
      'Type the account name to confirm: ',
      span(`${cell(typed, Math.min(20, typed.length))}_`, 'bold'),
    ],
    [''],
    [span('⏎ disable       esc keep it', 'bold')],
  ])
}

const INNER = 60

function boxed(title: string, rows: readonly (readonly Part[])[]): Line[] {
  const heading = cell(title, Math.min(INNER - 4, title.length))
  const fill = '─'.repeat(INNER - heading.length - 1)
  return [
    line('┌─ ', span(heading, 'bold'), ` ${fill.slice(2)}┐`),
    ...rows.map((parts) => beside(line('│ ', ...parts), line('│'), INNER + 1)),
    line(`└${'─'.repeat(INNER)}┘`),
  ]
}
