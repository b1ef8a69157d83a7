// The simulation and the real daemon, with the same conversations.

import { type DaemonFigures, playDaemon } from './daemon.ts'
import { lineUpOf, type Play, playOurs, type Scenario } from './scenarios.ts'

/** Both ways of one scenario, each cost by that of one account with unlimited room. */
export interface SideBySide {
  readonly scenario: Scenario
  readonly play: Play
  /** How many times as fast the daemon's clients and answers went. */
  readonly scale: number
  readonly simulated: { readonly ratio: number; readonly readShare: number; readonly share: number }
  readonly daemon: DaemonFigures & { readonly ratio: number }
}

/** The most by which the two may differ, as a share of the simulated. */
export const DIFFERENCE_GOAL = 0.05

/** Plays a scenario both ways; the daemon's takes about `seconds`. Only scenarios without trouble are made for it. */
export async function playSideBySide(
  scenario: Scenario,
  play: Play,
  seconds: number,
): Promise<SideBySide> {
  const { ratio, ours, yardstick } = await playOurs(scenario, play)
  const scale = ours.lastedMs / (seconds * 1_000)
  const daemon = await playDaemon(lineUpOf(scenario, play), scale)
  return {
    scenario,
    play,
    scale,
    simulated: { ratio, readShare: ours.readShare, share: ours.largestShare },
    daemon: { ...daemon, ratio: daemon.costMicro / yardstick.costMicro },
  }
}

/** By how much a figure of the daemon differs, as a share of the simulated one. */
export function differencesOf({ simulated, daemon }: SideBySide): {
  readonly cost: number
  readonly reads: number
} {
  return {
    cost: daemon.ratio / simulated.ratio - 1,
    reads: daemon.readShare / simulated.readShare - 1,
  }
}

/** True when cost and reads differ by no more than the goal, and no request failed. */
export function agrees(figures: SideBySide): boolean {
  const { cost, reads } = differencesOf(figures)
  const most = Math.max(Math.abs(cost), Math.abs(reads))
  return most <= DIFFERENCE_GOAL && figures.daemon.errors === 0
}

/** The two beside each other, for people. */
export function sideBySideText(figures: SideBySide): string {
  const { scenario, play, scale, simulated, daemon } = figures
  const { cost, reads } = differencesOf(figures)
  const percent = (value: number) => `${(value * 100).toFixed(1)} %`
  const signed = (value: number) => `${value < 0 ? '' : '+'}${percent(value)}`
  const row = (...cells: readonly string[]) =>
    cells.map((cell, k) => (k === 0 ? cell.padEnd(12) : cell.padStart(14))).join('')
  const tokens = play.promptTokens.toLocaleString('en')
  return [
    `${scenario.name}; first prompts of ${tokens} tokens; seed ${play.seed}`,
    `the daemon ${scale.toFixed(1)} times as fast: ${daemon.requests} requests in ${(daemon.lastedMs / 1_000).toFixed(0)} s, ${daemon.errors} failed`,
    '',
    row('', 'cost', 'cache reads', 'largest share'),
    row(
      'simulated',
      `${simulated.ratio.toFixed(3)} x`,
      percent(simulated.readShare),
      percent(simulated.share),
    ),
    row(
      'daemon',
      `${daemon.ratio.toFixed(3)} x`,
      percent(daemon.readShare),
      percent(daemon.largestShare),
    ),
    row('difference', signed(cost), signed(reads)),
    '',
    `goal: cost and reads within ${percent(DIFFERENCE_GOAL)}, nothing failed: ${agrees(figures) ? 'met' : 'MISSED'}`,
    `charged by the gateway ${daemon.chargedMicro}, billed by the sandbox ${daemon.billedMicro} micro-dollars: each request is rounded up`,
    '',
  ].join('\n')
}
