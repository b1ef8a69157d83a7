import type { Fingerprint } from '../../src/core/fingerprint.ts'

const SYSTEM_POSITIONS = 2
const LOOKBACK = 20
const SYSTEM_BYTES = 24_000
const TURN_BYTES = 1_500
const TTL_MS = 300_000
const NONE = new Int32Array(0)

/**
 * The fingerprint of a conversation's turn without its text: two positions of system that all of one kind share, then
 * two per turn, with marks on the system and on the last position.
 */
export function madePrint(kind: number, conversation: number, turn: number): Fingerprint {
  const positions = SYSTEM_POSITIONS + 1 + 2 * turn
  const prefixes = new Int32Array(4 * positions)
  const sizes = new Int32Array(positions)
  for (let at = 0; at < positions; at++) {
    const isShared = at < SYSTEM_POSITIONS
    const seed = isShared ? kind : conversation
    for (let k = 0; k < 4; k++) prefixes[4 * at + k] = mixed(seed, at * 4 + k, isShared ? 1 : 2)
    sizes[at] = isShared
      ? (SYSTEM_BYTES / SYSTEM_POSITIONS) * (at + 1)
      : SYSTEM_BYTES + TURN_BYTES * (at - SYSTEM_POSITIONS + 1)
  }
  const last = positions - 1
  const probes = new Set<number>()
  for (let at = last; at >= Math.max(0, last - LOOKBACK); at--) probes.add(at)
  for (let at = SYSTEM_POSITIONS - 1; at >= 0; at--) probes.add(at)
  return {
    positions,
    prefixes,
    sizes,
    breakpoints: [
      { at: SYSTEM_POSITIONS - 1, ttlMs: TTL_MS },
      { at: last, ttlMs: TTL_MS },
    ],
    probes: Int32Array.from(probes),
    conversation: prefixes.subarray(4 * last, 4 * positions),
    answered: NONE,
  }
}

function mixed(a: number, b: number, c: number): number {
  let hash = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 1, 0xc2b2ae35) ^ c
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39)
  return hash ^ (hash >>> 15)
}
