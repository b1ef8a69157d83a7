import { ID_PREFIX } from '../../core/ids.ts'
import type { Parsed } from '../../core/quantity.ts'

const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/
const PREFIXES = Object.values(ID_PREFIX)

/** A name for a new user, key or account: `[a-z0-9][a-z0-9._-]{0,62}`, and nothing that looks like an id. */
export function parseName(text: string): Parsed<string> {
  const shown = `"${text.slice(0, 70)}"`
  if (PREFIXES.some((prefix) => text.startsWith(prefix))) {
    return bad(`${shown} looks like an id; choose another name`)
  }
  if (NAME.test(text)) return { kind: 'ok', value: text }
  if (NAME.test(text.toLowerCase()))
    return bad(`${shown} has capitals: write ${text.toLowerCase()}`)
  if (text.length > 63) return bad(`${shown}… is longer than 63 characters`)
  return bad(
    `${shown} is not a name: use a-z, 0-9, dot, dash and underscore, beginning with a letter or digit`,
  )
}

/** `user/key`, the full name of a key. */
export function parseKeyName(
  text: string,
): Parsed<{ readonly user: string; readonly name: string }> {
  const parts = text.split('/')
  if (parts.length !== 2 || parts[0] === '' || parts[1] === '') {
    return bad(`"${text.slice(0, 130)}" needs an owner and a name. Example: alice/laptop`)
  }
  const name = parseName(parts[1])
  if (name.kind === 'bad') return name
  return { kind: 'ok', value: { user: parts[0], name: name.value } }
}

/** An e-mail address as far as a program can tell. */
export function parseEmail(text: string): Parsed<string> {
  return /^[^\s@<>",;:]{1,64}@[^\s@<>",;:]{1,190}$/.test(text)
    ? { kind: 'ok', value: text }
    : bad(`"${text.slice(0, 70)}" is not an e-mail address. Example: alice@example.com`)
}

/** A free text for people, at most `max` characters. */
export function parseNote(text: string, max = 500): Parsed<string> {
  return text.length <= max
    ? { kind: 'ok', value: text }
    : bad(`the text has ${text.length} characters; at most ${max} fit`)
}

/** A reference that makes a grant safe to repeat: 1 to 100 printable characters. */
export function parseRef(text: string): Parsed<string> {
  return /^[\x21-\x7e]{1,100}$/.test(text)
    ? { kind: 'ok', value: text }
    : bad('a reference has 1 to 100 printable characters without spaces. Example: bank-118')
}

function bad<T>(problem: string): Parsed<T> {
  return { kind: 'bad', problem }
}
