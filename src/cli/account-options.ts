import type { Key } from '../core/model.ts'
import type { ProxyUrl } from '../core/proxy-url.ts'
import { parseProxyUrl } from '../core/proxy-url.ts'
import { type Parsed, parseCount } from '../core/quantity.ts'
import { parseWorkingHours } from '../core/working-hours.ts'
import type { SealedProxy } from '../store/store.ts'
import { proxyPlace, type Vault } from '../vault/vault.ts'
import type { Context } from './context.ts'
import { usageError } from './errors.ts'
import { accept, type Invocation } from './invocation.ts'
import { passwordInArguments, readSecretText } from './secret-input.ts'
import { unservedKeys, unservedText } from './unserved-keys.ts'

/** An option that was given, null where it takes something away; the whole is null when it was not given. */
type Given<T> = { readonly value: T | null } | null

const WORD = /^[a-z0-9][a-z0-9_-]{0,31}$/
const RESERVED = ['none', 'any', 'all', 'default']
const MAX_TAGS = 16
const MAX_TPM = 1_000_000_000

/** `--tag eu,fast` or `--account-tag eu`: sorted words; `clear` alone (`none` or `any`) takes them away. */
export function readTags(
  call: Invocation,
  option: 'tag' | 'account-tag',
  clear: 'none' | 'any',
): Given<readonly string[]> {
  const words = call.list(option)
  if (words === null) return null
  if (words.length === 1 && words[0] === clear) return { value: null }
  const tags = [...new Set(words.map((word) => accept(parseWord(word, 'a tag'), `--${option}`)))]
  if (tags.length === 0 || tags.length > MAX_TAGS) {
    const problem = tags.length === 0 ? 'no tag was named' : `${tags.length} are too many`
    throw usageError(`--${option}: ${problem}.`, `Give 1 to ${MAX_TAGS}, or ${clear}.`, 'bad_value')
  }
  return { value: tags.sort() }
}

/** Says so where a key that was made or changed has no account: such a key gets no answer until one may serve it. */
export async function warnWhereUnserved(
  context: Context,
  { id, accountTags: tags }: Pick<Key, 'id' | 'accountTags'>,
): Promise<void> {
  const accounts = await (await context.store()).listAccounts(context.nowMs)
  const enabled = accounts.filter(({ disabledAtMs }) => disabledAtMs === null)
  const isTagged = enabled.some((account) => account.tags.some((tag) => tags?.includes(tag)))
  if (tags === null || isTagged) {
    const unserved = (await unservedKeys(context, accounts)).filter((key) => key.id === id)
    if (unserved.length > 0)
      context.print.warn(`${unservedText(unserved)}. Its requests are refused until one may.`)
    return
  }
  const [first] = enabled
  // The option replaces what an account has: a new tag alone would take it away from other keys.
  const hint =
    first === undefined
      ? ''
      : ` --tag replaces the tags of an account, so name them all: ccgate accounts update ${first.name} --tag ${[...first.tags, tags[0]].join(',')}`
  context.print.warn(
    `No enabled account is tagged ${tags.join(' or ')}: nothing serves this key until one is.${hint}`,
  )
}

/** `--cache-scope research`: accounts of one name share a prompt cache. */
export function readCacheScope(call: Invocation): Given<string> {
  return readOrNone(call, 'cache-scope', (text) => parseWord(text, 'a name'))
}

/** `--hours "mon-fri 08:00-18:00"`, in its one spelling. */
export function readHours(call: Invocation): Given<string> {
  return readOrNone(call, 'hours', parseWorkingHours)
}

/** `--tpm 400k`: tokens per minute. */
export function readTpm(call: Invocation): Given<number> {
  return readOrNone(call, 'tpm', (text) => {
    const count = parseCount(text)
    if (count.kind === 'bad' || (count.value >= 1 && count.value <= MAX_TPM)) return count
    return { kind: 'bad', problem: `${count.value} is out of range: use 1 to ${MAX_TPM}, or none` }
  })
}

/** `--proxy URL`, which must hold no password, or `--proxy-file FILE`, which may. */
export async function readProxy(context: Context, call: Invocation): Promise<Given<ProxyUrl>> {
  const file = call.text('proxy-file')
  const text = call.text('proxy')
  if (file === null) {
    // A user alone may be a token: some proxies take it there.
    if (text?.includes('@')) throw passwordInArguments('--proxy')
    return readOrNone(call, 'proxy', parseProxyUrl)
  }
  if (text !== null) {
    throw usageError('The proxy was given in two ways.', 'Use --proxy or --proxy-file, not both.')
  }
  if (file === '-' && (call.flag('key-stdin') || call.text('key-file') === '-')) {
    throw usageError(
      'Key and proxy cannot both come from stdin.',
      'Put one of them into a file: --key-file FILE or --proxy-file FILE.',
    )
  }
  const given = await readSecretText(context, { file, what: 'proxy' })
  return { value: accept(parseProxyUrl(given), '--proxy-file') }
}

/** What the store keeps of a proxy: the whole URL sealed for this account, and what people may see. */
export function sealProxy(
  vault: Pick<Vault, 'seal'>,
  accountId: string,
  proxy: ProxyUrl,
): SealedProxy {
  return { sealed: vault.seal(proxy.url, proxyPlace(accountId)), text: proxy.text }
}

/** The whole URL of an account's own proxy; null where it has none. */
export function openProxy(
  vault: Pick<Vault, 'open'>,
  accountId: string,
  sealed: Uint8Array | null,
): string | null {
  if (sealed === null) return null
  return Buffer.from(vault.open(sealed, proxyPlace(accountId))).toString('utf8')
}

function readOrNone<T>(
  call: Invocation,
  option: string,
  parse: (text: string) => Parsed<T>,
): Given<T> {
  return call.read(option, (text): Parsed<{ readonly value: T | null }> => {
    if (text.trim() === 'none') return { kind: 'ok', value: { value: null } }
    const parsed = parse(text)
    return parsed.kind === 'bad' ? parsed : { kind: 'ok', value: { value: parsed.value } }
  })
}

function parseWord(text: string, what: string): Parsed<string> {
  const shown = `"${text.slice(0, 40)}"`
  if (RESERVED.includes(text)) {
    return { kind: 'bad', problem: `${shown} means something here and cannot be ${what}` }
  }
  if (WORD.test(text)) return { kind: 'ok', value: text }
  if (WORD.test(text.toLowerCase())) {
    return { kind: 'bad', problem: `${shown} has capitals: write ${text.toLowerCase()}` }
  }
  const rule = 'at most 32 of a-z, 0-9, dash and underscore, beginning with a letter or digit'
  return { kind: 'bad', problem: `${shown} is not ${what}: use ${rule}` }
}
