import type { Line, Span, Tone } from './lines.ts'

/** The props of Ink's `Text` that a theme may set. */
export interface Look {
  readonly color?: string
  readonly bold?: boolean
  readonly dimColor?: boolean
  readonly inverse?: boolean
}

/** How tones look; 16-colour names, so that the terminal's own theme applies. */
export type Theme = Readonly<Record<Tone, Look>>

const COLOUR: Theme = {
  ok: { color: 'green' },
  warn: { color: 'yellow' },
  bad: { color: 'red' },
  dim: { dimColor: true },
  accent: { color: 'cyan', bold: true },
  bold: { bold: true },
  inverse: { inverse: true },
}

// Words and glyphs carry the meaning; weight and reverse video are no colours and stay.
const MONOCHROME: Theme = {
  ok: {},
  warn: {},
  bad: { bold: true },
  dim: {},
  accent: { bold: true },
  bold: { bold: true },
  inverse: { inverse: true },
}

/** Ink does not heed `NO_COLOR`, so the theme does: without colour it sets no colour prop at all. */
export function themeFor(hasColour: boolean): Theme {
  return hasColour ? COLOUR : MONOCHROME
}

/** How one piece of a line looks. */
export function lookOf(theme: Theme, { look }: Line, { tone }: Span): Look {
  if (look === 'selected') return { inverse: true }
  if (look === 'dimmed') return theme.dim
  return tone === undefined ? {} : theme[tone]
}
