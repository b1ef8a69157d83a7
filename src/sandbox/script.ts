import { parse } from 'yaml'
import { type Fault, parseFault, readFault } from './faults.ts'
import { asObject, type JsonObject } from './json.ts'

/** What a rule looks at; everything that is given must fit. */
export interface ScriptMatch {
  readonly account?: string
  readonly model?: string
  /** Part of the path, such as `count_tokens`; by default all `/v1/messages`. */
  readonly path?: string
  readonly stream?: boolean
  /** Only the nth request (from 1) among those that fit the rest. */
  readonly nth?: number
}

/** When a request fits `match`, its answer gets `fault`. */
export interface ScriptRule {
  readonly match: ScriptMatch
  readonly fault: Fault
  /** The rule is used up after so many requests. */
  readonly times?: number
}

/** Rules in order; the first that fits and is not used up decides. */
export type Script = readonly ScriptRule[]

/**
 * Reads a script from YAML or JSON text, or from what a parser made of it. A script is a list of
 * rules, or an object with `rules`; throws an Error that names the rule and says what is wrong.
 *
 *     - match: { account: demo-a, nth: 3 }
 *       fault: status=529
 *     - match: { model: claude-opus-5-5 }
 *       fault: { at: mid_event, how: reset }
 *       times: 2
 */
export function parseScript(source: unknown): Script {
  const value = typeof source === 'string' ? parseText(source) : source
  const list = Array.isArray(value) ? value : asObject(value)?.rules
  if (!Array.isArray(list)) {
    throw new Error('script: expected a list of rules, each {match, fault, times}')
  }
  return list.map((item, index) => {
    try {
      return readRule(item)
    } catch (error) {
      throw new Error(
        `script, rule ${index + 1}: ${error instanceof Error ? error.message : error}`,
      )
    }
  })
}

function parseText(text: string): unknown {
  try {
    return parse(text)
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error)
    throw new Error(`script: neither YAML nor JSON: ${reason}`)
  }
}

function readRule(value: unknown): ScriptRule {
  const rule = asObject(value)
  if (!rule) throw new Error('expected {match, fault, times}')
  refuseOthers(rule, ['match', 'fault', 'times'], 'a rule')
  const times = rule.times
  if (times !== undefined && !isCount(times)) throw new Error('times must be a whole number from 1')
  return {
    match: readMatch(rule.match),
    fault: readRuleFault(rule.fault),
    ...(times === undefined ? {} : { times }),
  }
}

function readRuleFault(value: unknown): Fault {
  if (typeof value === 'string') return parseFault(value)
  const fields = asObject(value)
  if (!fields) throw new Error('fault must be text (status=529) or an object ({status: 529})')
  return readFault(fields)
}

function readMatch(value: unknown): ScriptMatch {
  if (value === undefined || value === null) return {}
  const match = asObject(value)
  if (!match) throw new Error('match must be an object')
  refuseOthers(match, ['account', 'model', 'path', 'stream', 'nth'], 'match')
  for (const name of ['account', 'model', 'path']) {
    const text = match[name]
    if (text !== undefined && typeof text !== 'string') throw new Error(`${name} must be text`)
  }
  if (match.stream !== undefined && typeof match.stream !== 'boolean') {
    throw new Error('stream must be true or false')
  }
  if (match.nth !== undefined && !isCount(match.nth)) {
    throw new Error('nth must be a whole number from 1')
  }
  return match as ScriptMatch // every member was checked above
}

function refuseOthers(value: JsonObject, known: readonly string[], where: string): void {
  const other = Object.keys(value).find((name) => !known.includes(name))
  if (other) throw new Error(`unknown key ${other} in ${where} (known: ${known.join(' ')})`)
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1
}
