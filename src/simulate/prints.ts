import { isUtf8 } from 'node:buffer'
import type { Fingerprint } from '../core/fingerprint.ts'
import { fingerprint } from '../wire/fingerprint.ts'
import { inspect } from '../wire/inspect.ts'
import { hashKey } from '../wire/keyed-hash.ts'
import type { Turn } from './workload.ts'

const KEY = hashKey(Uint8Array.from({ length: 16 }, (_, k) => k * 37 + 5))
const prints = new WeakMap<Turn, Fingerprint>()

/** The fingerprint that the gateway takes of a turn's body, taken once. */
export function printOf(turn: Turn): Fingerprint {
  const known = prints.get(turn)
  if (known !== undefined) return known
  const bytes = Buffer.from(JSON.stringify(turn.body))
  const seen = inspect(bytes, { isUtf8 })
  if (seen.kind !== 'ok') throw new Error(`a simulated body is ${seen.kind}`)
  const print = fingerprint(bytes, seen.facts, KEY)
  prints.set(turn, print)
  return print
}
