/** A secret of this installation: four random 32-bit integers. Who knows it can make prompts collide. */
export type HashKey = Int32Array

/**
 * The key from 16 random bytes. Chance is the caller's, for this file is pure; the same bytes again after a
 * restart make the same hashes.
 */
export function hashKey(random: Uint8Array): HashKey {
  if (random.length !== 16) throw new RangeError('a hash key is 16 random bytes')
  const view = new DataView(random.buffer, random.byteOffset, 16)
  return Int32Array.from([0, 4, 8, 12], (at) => view.getInt32(at, true))
}

/**
 * Writes the 128-bit keyed hash of the bytes `[start, end)` to `out` at `at`. `tag` keeps apart equal bytes
 * of different meaning.
 *
 * Chaskey's permutation (8 rounds of additions, rotations and exclusive ors of 32-bit words: what JavaScript
 * computes natively) in CBC-MAC, made prefix-free by the length in its first block. Not for signatures: the
 * worst that a collision can do is described in docs/routing.md. About 1 ns per byte.
 */
export function hashBytes(
  key: HashKey,
  bytes: { readonly view: DataView; readonly start: number; readonly end: number; tag: number },
  out: Int32Array,
  at: number,
): void {
  const { view, start, end } = bytes
  let v0 = key[0]
  let v1 = key[1] ^ bytes.tag
  let v2 = key[2] ^ (end - start)
  let v3 = key[3]
  let pos = start
  // The first turn mixes key, tag and length; each further one takes 16 bytes; the last the rest.
  for (let isLast = false; ; ) {
    for (let round = 0; round < ROUNDS; round++) {
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 13) | (v3 >>> 19)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 7) | (v1 >>> 25)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
    }
    if (isLast) break
    if (pos + 16 <= end) {
      v0 ^= view.getInt32(pos, true)
      v1 ^= view.getInt32(pos + 4, true)
      v2 ^= view.getInt32(pos + 8, true)
      v3 ^= view.getInt32(pos + 12, true)
      pos += 16
    } else {
      isLast = true
      v0 ^= wordAt(view, pos, end) ^ key[0]
      v1 ^= wordAt(view, pos + 4, end) ^ key[1]
      v2 ^= wordAt(view, pos + 8, end) ^ key[2]
      v3 ^= wordAt(view, pos + 12, end) ^ key[3]
    }
  }
  out[at] = v0 ^ key[0]
  out[at + 1] = v1 ^ key[1]
  out[at + 2] = v2 ^ key[2]
  out[at + 3] = v3 ^ key[3]
}

/** Takes the hash at `from[fromAt]` into the chain at `chain[at]`, in place. */
export function chainHash(
  chain: Int32Array,
  at: number,
  next: { readonly from: Int32Array; readonly fromAt: number },
): void {
  const { from, fromAt } = next
  let v0 = chain[at] ^ from[fromAt]
  let v1 = chain[at + 1] ^ from[fromAt + 1]
  let v2 = chain[at + 2] ^ from[fromAt + 2]
  let v3 = chain[at + 3] ^ from[fromAt + 3]
  for (let round = 0; round < ROUNDS; round++) {
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 13) | (v3 >>> 19)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 7) | (v1 >>> 25)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
  }
  chain[at] = v0
  chain[at + 1] = v1
  chain[at + 2] = v2
  chain[at + 3] = v3
}

const ROUNDS = 8

/** Four bytes as a little-endian word; beyond the end there are zeros. */
function wordAt(view: DataView, pos: number, end: number): number {
  if (pos + 4 <= end) return view.getInt32(pos, true)
  let word = 0
  for (let k = 0; pos + k < end && k < 4; k++) word |= view.getUint8(pos + k) << (8 * k)
  return word
}
