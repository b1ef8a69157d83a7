import { type Burst, type Conversation, makeWorkload, Writer } from './workload.ts'

const HOUR_MS = 3_600_000
const HOURS = 24
/** How many of a hundred conversations begin in each hour of a day: nights are quiet, lunch is seen. */
const BY_HOUR = [1, 1, 1, 1, 1, 1, 2, 3, 6, 8, 9, 8, 6, 7, 8, 8, 7, 6, 4, 3, 3, 2, 2, 2] as const
const TURNS = [6, 24] as const
/** Share of turns after which a client goes away for minutes, and comes back when caches may be gone. */
const AWAY_SHARE = 0.06
const BURSTS = 6
const BURST_AGENTS = 12
const BURST_TURNS = 8

/** What a synthetic day is made of. */
export interface DayOptions {
  readonly seed: number
  readonly model: string
  readonly conversations: number
  readonly promptTokens: readonly number[]
}

/**
 * A day of conversations that share their system prompts: most of them in working hours, half by agents that now
 * and then start helpers, and six jobs in which a dozen agents begin at once.
 */
export function makeDay(options: DayOptions): readonly Conversation[] {
  const writer = new Writer(options.seed ^ 0xda7)
  const bursts = Array.from(
    { length: BURSTS },
    (): Burst => ({
      startMs: someTime(writer),
      agents: BURST_AGENTS,
      turns: BURST_TURNS,
    }),
  )
  return makeWorkload({ ...options, turns: TURNS, startMs: someTime, thinkMs: someThought, bursts })
}

function someTime(writer: Writer): number {
  let left = writer.between(
    1,
    BY_HOUR.reduce((sum, share) => sum + share, 0),
  )
  const hour = BY_HOUR.findIndex((share) => {
    left -= share
    return left <= 0
  })
  return Math.min(hour, HOURS - 1) * HOUR_MS + writer.between(0, HOUR_MS - 1)
}

function someThought(writer: Writer): number {
  return writer.chance(AWAY_SHARE)
    ? writer.between(90, 1_200) * 1_000
    : writer.between(3, 75) * 1_000
}
