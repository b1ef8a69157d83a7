import { ACCOUNT_WIDE } from './errors.ts'
import type { Fault } from './faults.ts'
import type { Script, ScriptRule } from './script.ts'

/** What kind of day upstream has. `broke` is the gateway's matter: here it is a good day. */
export const SCENARIOS = ['ok', 'busy', 'flaky', 'down', 'slow', 'broke'] as const
export type Scenario = (typeof SCENARIOS)[number]

/** What is known of a request when its fault is chosen. */
export interface FaultFacts {
  readonly account: string
  readonly path: string
  /** null: not known, or the body has none. */
  readonly model: string | null
  readonly stream: boolean
}

/** Narrows a fault that was set by hand. */
export interface FaultLimits {
  /** Used up after so many requests. */
  readonly times?: number
  readonly model?: string
  /** Part of a path, `*` for all; by default messages only, and all for account-wide errors. */
  readonly path?: string
}

/** Decides which fault a request gets: by hand, then by script, then by scenario. */
export interface FaultBoard {
  /** For one account or all (`*`); replaces what was set for the same account, model and path. */
  set(account: string, fault: Fault | null, limits?: FaultLimits): void
  clear(): void
  setScenario(scenario: Scenario): void
  /** The fault, counted as used; null: none. */
  choose(facts: FaultFacts): Fault | null
  /** The hand-set fault that breaks connections before a request is read, counted as used. */
  chooseAtConnect(account: string): Fault | null
}

interface SetFault {
  readonly account: string
  readonly fault: Fault
  readonly limits: FaultLimits
  left: number
}

interface LiveRule {
  readonly rule: ScriptRule
  seen: number
  left: number
}

/** A board with the rules of `script`; `random` decides what scenarios leave to chance. */
export function createFaultBoard(
  script: Script,
  scenario: Scenario,
  random: () => number,
): FaultBoard {
  let faults: SetFault[] = []
  let today = scenario
  const rules: LiveRule[] = script.map((rule) => ({
    rule,
    seen: 0,
    left: rule.times ?? Number.POSITIVE_INFINITY,
  }))

  function byHand(facts: FaultFacts): Fault | null {
    const fits = (item: SetFault) => item.left > 0 && handFits(item, facts)
    const found =
      faults.find((item) => item.account !== '*' && fits(item)) ??
      faults.find((item) => item.account === '*' && fits(item))
    if (!found) return null
    found.left--
    return found.fault
  }

  function byScript(facts: FaultFacts): Fault | null {
    for (const live of rules) {
      const { match } = live.rule
      if (!pathFits(match.path, live.rule.fault, facts.path)) continue
      if (match.account !== undefined && match.account !== facts.account) continue
      if (match.model !== undefined && match.model !== facts.model) continue
      if (match.stream !== undefined && match.stream !== facts.stream) continue
      live.seen++
      if (match.nth !== undefined && match.nth !== live.seen) continue
      if (live.left <= 0) continue
      live.left--
      return live.rule.fault
    }
    return null
  }

  return {
    set(account, fault, limits = {}) {
      faults = faults.filter(
        (item) =>
          item.account !== account ||
          item.limits.model !== limits.model ||
          item.limits.path !== limits.path,
      )
      const left = limits.times ?? Number.POSITIVE_INFINITY
      if (fault) faults.push({ account, fault, limits, left })
    },
    clear() {
      faults = []
    },
    setScenario(next) {
      today = next
    },
    choose: (facts) => byHand(facts) ?? byScript(facts) ?? byScenario(today, facts.path, random),
    chooseAtConnect(account) {
      const found = faults.find(
        (item) =>
          item.fault.at === 'connect' &&
          item.limits.model === undefined &&
          item.limits.path === undefined &&
          item.left > 0 &&
          (item.account === account || item.account === '*'),
      )
      if (!found) return null
      found.left--
      return found.fault
    },
  }
}

function handFits(item: SetFault, facts: FaultFacts): boolean {
  if (item.account !== '*' && item.account !== facts.account) return false
  if (item.limits.model !== undefined && item.limits.model !== facts.model) return false
  return pathFits(item.limits.path, item.fault, facts.path)
}

function pathFits(wanted: string | undefined, fault: Fault, path: string): boolean {
  if (wanted === undefined) {
    return path === '/v1/messages' || ACCOUNT_WIDE.has(fault.error ?? '')
  }
  return wanted === '*' || path.includes(wanted)
}

const BUSY_SHARE = 0.3
const FLAKY_SHARE = 0.2
const SLOW_MS = 3_000
const DOWN_STATUSES = [500, 502, 503, 504, 529]

function byScenario(scenario: Scenario, path: string, random: () => number): Fault | null {
  if (scenario === 'down') {
    return { status: DOWN_STATUSES[Math.floor(random() * DOWN_STATUSES.length)] }
  }
  if (path !== '/v1/messages') return null
  switch (scenario) {
    case 'busy':
      if (random() >= BUSY_SHARE) return null
      return { status: 429, retryAfter: String(1 + Math.floor(random() * 5)) }
    case 'flaky':
      return random() < FLAKY_SHARE ? { status: 529 } : null
    case 'slow':
      return { firstByteMs: SLOW_MS }
    default:
      return null
  }
}
