/** Kinds of records and the prefix of their ids: prefix + 26 characters of lower-case ULID. */
export const ID_PREFIX = {
  user: 'usr_',
  key: 'key_',
  account: 'acct_',
  entry: 'led_',
  request: 'ccr_',
  boot: 'boot_',
  event: 'evt_',
} as const

export type IdKind = keyof typeof ID_PREFIX

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const CODES = Array.from(ALPHABET, (letter) => letter.charCodeAt(0))

/** Ten characters of time, so that ids sort by `timeMs` (Crockford's base 32, lower case). */
export function ulidTime(timeMs: number): string {
  let rest = timeMs
  let text = ''
  for (let i = 0; i < 10; i++) {
    text = ALPHABET[rest % 32] + text
    rest = Math.floor(rest / 32)
  }
  return text
}

/** A maker of ids whose order is the order of making, also within one millisecond. */
export function createIdMaker(random: (bytes: number) => Uint8Array, nowMs: () => number) {
  let lastMs = -1
  let timeText = ''
  const digits = new Uint8Array(16)
  const codes: number[] = new Array(16).fill(0)
  return function makeId(kind: IdKind): string {
    const timeMs = Math.max(nowMs(), lastMs)
    if (timeMs === lastMs) {
      increment(digits)
    } else {
      lastMs = timeMs
      timeText = ulidTime(timeMs)
      const bytes = random(16)
      for (let i = 0; i < 16; i++) digits[i] = bytes[i] & 31
      // The top digit starts low, so that counting up within a millisecond never overflows.
      digits[0] &= 15
    }
    for (let i = 0; i < 16; i++) codes[i] = CODES[digits[i]]
    // In one piece: a string grown letter by letter stays a chain of 16 pieces for as long as it lives.
    return ID_PREFIX[kind] + timeText + String.fromCharCode(...codes)
  }
}

export type IdMaker = ReturnType<typeof createIdMaker>

/** The instant that an id of ours carries, in ms since the epoch; null when it is not such an id. */
export function idTimeMs(id: string): number | null {
  const match = /^[a-z]+_([0-9a-hjkmnp-tv-z]{10})[0-9a-hjkmnp-tv-z]{16}$/.exec(id)
  if (!match) return null
  let value = 0
  for (const char of match[1]) value = value * 32 + ALPHABET.indexOf(char)
  return value
}

/** The smallest id of `kind` that was made at or after `timeMs`: a bound for range reads. */
export function idFloor(kind: IdKind, timeMs: number): string {
  return ID_PREFIX[kind] + ulidTime(timeMs) + '0'.repeat(16)
}

function increment(digits: Uint8Array): void {
  for (let i = digits.length - 1; i >= 0; i--) {
    if (digits[i] < 31) {
      digits[i]++
      return
    }
    digits[i] = 0
  }
}
