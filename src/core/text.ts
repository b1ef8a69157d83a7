/*
 * Text from outside, made safe for a terminal: an account's note or an upstream message must not move
 * the cursor, change colours, reorder what stands beside it or hide itself.
 */

// C0, DEL, C1, soft hyphen, Arabic and Mongolian marks, zero-width and bidi controls, separators,
// invisible operators, variation selectors, interlinear marks, tags, lone surrogates.
const UNSAFE =
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: single code points are meant, marks included.
  /[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{e0000}-\u{e0fff}\ud800-\udfff]/gu

/** Replaces what could steer a terminal or deceive a reader by `�`; tabs and line breaks by a space. */
export function safeText(text: string): string {
  return text.replace(UNSAFE, (char) =>
    char === '\n' || char === '\t' || char === '\r' ? ' ' : '\ufffd',
  )
}

/** How many terminal columns the text takes: wide East Asian characters and emoji take two, marks none. */
export function textWidth(text: string): number {
  let width = 0
  for (const char of text) width += charWidth(char)
  return width
}

/** The text in at most `width` columns; what is left out is marked by `…` at the end or in the middle. */
export function cutText(text: string, width: number, place: 'end' | 'middle' = 'end'): string {
  if (textWidth(text) <= width) return text
  if (width < 1) return ''
  const room = width - 1
  const head = place === 'end' ? room : Math.ceil(room / 2)
  const start = takeWidth(text, head)
  if (place === 'end') return `${start}…`
  return `${start}…${takeWidthFromEnd(text, room - textWidth(start))}`
}

/** The text in exactly `width` columns, cut or filled with spaces. */
export function fitText(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const cut = cutText(text, width)
  const fill = ' '.repeat(Math.max(0, width - textWidth(cut)))
  return align === 'left' ? cut + fill : fill + cut
}

/**
 * The text in lines of at most `width` columns, broken at spaces; lines after the first begin with `indent`
 * blank columns. A single word that is wider than a line stays whole. Our own colours take no columns.
 */
export function wrapText(text: string, width: number, indent = 0): readonly string[] {
  if (shownWidth(text) <= width) return [text.replaceAll(JOINT, ' ')]
  const lines: string[] = []
  let current = ''
  for (const [, gap, word] of text.matchAll(/( *)([^ ]+)/g)) {
    const longer = current + gap + word
    if (current.trim() === '' || shownWidth(longer) <= width) current = longer
    else {
      lines.push(current)
      current = ' '.repeat(Math.min(indent, Math.max(0, width - shownWidth(word)))) + word
    }
  }
  return [...lines, current].map((line) => line.replaceAll(JOINT, ' '))
}

/** A blank at which no line is broken; it is printed as a usual one. */
const JOINT = '\u00a0'
const COMMAND = /(?<=^ *|: +|\()(?:curl .*$|ccgate [^·()]*?(?= {2}|$| ·| \(|\)|, |\. ))/gm

/**
 * Where a line must not be broken: in commands that it offers (`See: ccgate keys list`), which could not be pasted,
 * between a figure and its unit, and before the dot between two facts.
 */
export function keepWhole(text: string): string {
  return text
    .replace(COMMAND, (command) => command.replaceAll(' ', JOINT))
    .replace(/(?<=\d) (?=(?:%|ms|s|min|h|d)(?![\w%]))| (?=· )/g, JOINT)
}

function shownWidth(text: string): number {
  return textWidth(text.replace(/\x1b\[[\d;]*m/g, ''))
}

function takeWidth(text: string, width: number): string {
  let used = 0
  let taken = ''
  for (const char of text) {
    used += charWidth(char)
    if (used > width) break
    taken += char
  }
  return taken
}

function takeWidthFromEnd(text: string, width: number): string {
  const chars = [...text]
  let used = 0
  let from = chars.length
  // A mark belongs to the character before it, so it is only taken together with that one.
  for (let i = chars.length - 1; i >= 0; i--) {
    used += charWidth(chars[i])
    if (used > width) break
    if (charWidth(chars[i]) > 0) from = i
  }
  return chars.slice(from).join('')
}

const MARK = /^[\p{Mn}\p{Me}]$/u
const EMOJI = /^\p{Emoji_Presentation}$/u

function charWidth(char: string): number {
  const code = char.codePointAt(0) ?? 0
  if (code < 0x300) return 1
  if (MARK.test(char)) return 0
  return isWide(code) || EMOJI.test(char) ? 2 : 1
}

function isWide(code: number): boolean {
  return (
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0x303e) ||
    (code >= 0x3041 && code <= 0x33ff) ||
    (code >= 0x3400 && code <= 0x4dbf) ||
    (code >= 0x4e00 && code <= 0x9fff) ||
    (code >= 0xa000 && code <= 0xa4cf) ||
    (code >= 0xa960 && code <= 0xa97f) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff01 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x17000 && code <= 0x18dff) ||
    (code >= 0x1b000 && code <= 0x1b2ff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  )
}
