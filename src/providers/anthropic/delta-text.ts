/** Measures the text of a delta event without parsing it. */

/** No delta was seen yet, or none that can be measured. */
export const NO_HEAD: Buffer = Buffer.alloc(0)

/** The bytes of a delta event before its text; empty where measuring behind them does not give `bytes`. */
export function deltaHead(event: Buffer, bytes: number): Buffer {
  for (const name of ['"text":"', '"partial_json":"']) {
    // The name might occur earlier in some field yet to come: the measure decides.
    const at = event.indexOf(name)
    if (at === -1) continue
    const length = at + name.length
    if (textBytes(event, length, event.length) === bytes)
      return Buffer.from(event.subarray(0, length))
  }
  return NO_HEAD
}

/** Whether the event in `buffer[start, end)` begins with `head`. */
export function beginsWith(buffer: Buffer, start: number, end: number, head: Buffer): boolean {
  if (end - start < head.length) return false
  // From its end: what differs at all differs there first.
  for (let k = head.length - 1; k >= 0; k--) {
    if (buffer[start + k] !== head[k]) return false
  }
  return true
}

/** UTF-8 length of the JSON string whose content begins at `from`, unescaped; -1 when it does not end. */
export function textBytes(buffer: Buffer, from: number, end: number): number {
  let bytes = 0
  let p = from
  while (p < end) {
    const c = buffer[p]
    if (c === 0x22) return bytes
    if (c !== 0x5c) {
      bytes += 1
      p += 1
    } else if (buffer[p + 1] === 0x75) {
      bytes += utf8LengthOf(Number.parseInt(buffer.toString('latin1', p + 2, p + 6), 16))
      p += 6
    } else {
      bytes += 1
      p += 2
    }
  }
  return -1
}

/** Of a UTF-16 code unit; two surrogates make one character of four bytes. */
function utf8LengthOf(unit: number): number {
  if (unit < 0x80) return 1
  return unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 2 : 3
}
