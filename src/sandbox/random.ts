/** A repeatable stream of numbers in [0, 1), from a 32-bit seed (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0
  return function next(): number {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** A 32-bit digest (FNV-1a) of at most the first 512 characters: for choosing, not for security. */
export function hash32(text: string, seed = 0): number {
  let hash = (0x811c9dc5 ^ seed) >>> 0
  const end = Math.min(text.length, 512)
  for (let i = 0; i < end; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return (hash ^ text.length) >>> 0
}

const ID_ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

/** `length` letters and digits as upstream's ids have them. */
export function randomId(random: () => number, length: number): string {
  let text = ''
  for (let i = 0; i < length; i++) text += ID_ALPHABET[Math.floor(random() * ID_ALPHABET.length)]
  return text
}
