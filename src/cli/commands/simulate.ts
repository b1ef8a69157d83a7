import { playStrategy, playYardstick, STRATEGY_NAMES, USUAL_PACE } from '../../simulate/compare.ts'
import { makeDay } from '../../simulate/day.ts'
import type { RunFigures } from '../../simulate/tally.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../errors.ts'
import { formatCount } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import { readSimulateOptions } from '../simulate-options.ts'
import { printSimulation, simulationJson } from '../simulate-text.ts'

/** `ccgate simulate`: a synthetic day through the real choice, once per strategy. Sends and changes nothing. */
export async function simulate(context: Context, call: Invocation): Promise<number> {
  const { print } = context
  const options = await readSimulateOptions(context, call)
  const workload = makeDay(options)
  const lineUp = { ...options, workload, pace: USUAL_PACE }
  const yardstick = await playYardstick(lineUp)
  print.note(`Playing ${formatCount(yardstick.requests)} requests, four times over.`)
  const runs: RunFigures[] = []
  for (const name of STRATEGY_NAMES) runs.push(await playStrategy(lineUp, name))
  const played = { options, yardstick, runs }
  const own = runs[runs.length - 1]
  if (print.json) print.document(simulationJson(played))
  else if (print.quiet) print.out((own.costMicro / yardstick.costMicro).toFixed(3))
  else printSimulation(print, played)
  return EXIT.ok
}
