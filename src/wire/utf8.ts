/** Where bytes stop being UTF-8, without decoding them. */

/**
 * Offset of the first byte that is not part of well-formed UTF-8 (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF), or -1 when all is well.
 */
export function utf8ErrorAt(bytes: Uint8Array): number {
  const end = bytes.length
  let p = 0
  while (p < end) {
    const lead = bytes[p] as number
    if (lead < 0x80) {
      p += 1
      continue
    }
    const length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0
    if (length === 0 || p + length > end) return p
    const second = bytes[p + 1] as number
    // The second byte alone tells overlong forms, surrogates and values beyond the last plane.
    const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
    const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
    if (second < low || second > high) return p
    for (let k = 2; k < length; k++) {
      if (((bytes[p + k] as number) & 0xc0) !== 0x80) return p
    }
    p += length
  }
  return -1
}
