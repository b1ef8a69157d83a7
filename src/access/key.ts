import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** What every key of a customer begins with. */
export const KEY_PREFIX = 'cc_user_'
/** `cc_user_` + 32 random base62 + 6 base62 of the CRC32 of all before. */
export const KEY_LENGTH = 46

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const RANDOM_LENGTH = 32
const CHECKED_LENGTH = KEY_PREFIX.length + RANDOM_LENGTH
const KEY_FORM = /^cc_user_[0-9A-Za-z]{38}$/

/** Whether a text can be one of our keys at all, decided without the store. */
export type KeyForm =
  | { readonly kind: 'ok' }
  /** Cut off or with something added; `length` is that of the text, 46 is right. */
  | { readonly kind: 'too_short' | 'too_long'; readonly length: number }
  /** The right length, but a character was changed. */
  | { readonly kind: 'bad_checksum'; readonly length: number }
  /** An upstream key was sent to us: it is exposed and must be replaced. */
  | { readonly kind: 'anthropic_key' }
  | { readonly kind: 'foreign'; readonly length: number }

/** A new secret with 190 random bits, every character equally likely. */
export function makeKeySecret(random: (bytes: number) => Uint8Array = randomBytes): string {
  let body = ''
  while (body.length < RANDOM_LENGTH) {
    for (const byte of random(RANDOM_LENGTH)) {
      // 248 is the largest multiple of 62 in a byte; keeping higher bytes would favour some digits.
      if (byte < 248 && body.length < RANDOM_LENGTH) body += BASE62[byte % 62]
    }
  }
  const checked = KEY_PREFIX + body
  return checked + checksum(checked)
}

/** Judges the form of a presented key, before any look-up. */
export function checkKeyForm(text: string): KeyForm {
  if (KEY_FORM.test(text)) {
    return checksum(text.slice(0, CHECKED_LENGTH)) === text.slice(CHECKED_LENGTH)
      ? { kind: 'ok' }
      : { kind: 'bad_checksum', length: text.length }
  }
  if (text.startsWith('sk-ant-')) return { kind: 'anthropic_key' }
  if (!text.startsWith(KEY_PREFIX)) {
    // The start of a key that was cut inside its prefix still is one of ours.
    const cut = text.length > 0 && KEY_PREFIX.startsWith(text)
    return cut
      ? { kind: 'too_short', length: text.length }
      : { kind: 'foreign', length: text.length }
  }
  if (text.length < KEY_LENGTH) return { kind: 'too_short', length: text.length }
  if (text.length > KEY_LENGTH) return { kind: 'too_long', length: text.length }
  return { kind: 'bad_checksum', length: text.length }
}

/** `cc_user_…9fQ2`: the only form of a key that is ever shown again. */
export function maskKey(last4: string): string {
  return `${KEY_PREFIX}…${last4}`
}

/** `sk-ant-…Xk4A`: the only form of an upstream credential that is ever shown. */
export function maskCredential(last4: string): string {
  return `sk-ant-…${last4}`
}

function checksum(text: string): string {
  let value = crc32(text)
  let digits = ''
  for (let i = 0; i < 6; i++) {
    digits = BASE62[value % 62] + digits
    value = Math.floor(value / 62)
  }
  return digits
}
