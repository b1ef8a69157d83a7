import type { DisconnectPolicy } from './model.ts'
import { formatDuration, type Parsed, parseCount, parseDuration } from './quantity.ts'

/** No answer is longer, in output tokens or in time. */
const MOST_TOKENS = 1_000_000
const MOST_MS = 60 * 60_000

/**
 * Reads `cancel`, `finish`, `30s`, `2000tokens`, or both joined by a comma (`30s,2000tokens`): the answer is
 * then read on until the first of the two.
 */
export function parseDisconnectPolicy(text: string): Parsed<DisconnectPolicy> {
  const word = text.trim().toLowerCase()
  if (word === 'cancel' || word === 'finish') return { kind: 'ok', value: { kind: word } }
  let tokens: number | null = null
  let ms: number | null = null
  for (const part of word.split(',').map((piece) => piece.trim())) {
    const count = /^(.*\d[km]?)\s?tokens?$/.exec(part)?.[1]
    const read = count === undefined ? parseDuration(part) : parseCount(count.replace('m', 'M'))
    if (read.kind === 'bad' || (count === undefined ? ms : tokens) !== null) {
      return bad(
        `"${text.slice(0, 40)}" is not possible. Use cancel, finish, 30s, 2000tokens or 30s,2000tokens`,
      )
    }
    const most = count === undefined ? MOST_MS : MOST_TOKENS
    if (read.value < 1 || read.value > most) {
      return bad(`"${part}" is out of range: 1ms to 60m, or 1 to 1000000 tokens`)
    }
    if (count === undefined) ms = read.value
    else tokens = read.value
  }
  return { kind: 'ok', value: { kind: 'finish_up_to', tokens, ms } }
}

/** As `parseDisconnectPolicy` reads it back; `default` for null. */
export function disconnectPolicyText(policy: DisconnectPolicy | null): string {
  if (policy === null) return 'default'
  if (policy.kind !== 'finish_up_to') return policy.kind
  const parts = [
    ...(policy.ms === null ? [] : [formatDuration(policy.ms)]),
    ...(policy.tokens === null ? [] : [`${policy.tokens}tokens`]),
  ]
  return parts.join(',')
}

function bad<T>(problem: string): Parsed<T> {
  return { kind: 'bad', problem }
}
