import { maskCredential } from '../../access/key.ts'
import type { Account } from '../../core/model.ts'
import type { SealedCredential } from '../../store/store.ts'
import { credentialFingerprint } from '../../vault/install.ts'
import { credentialPlace } from '../../vault/vault.ts'
import {
  openProxy,
  readCacheScope,
  readHours,
  readProxy,
  readTags,
  readTpm,
  sealProxy,
} from '../account-options.ts'
import { type Context, expectFound } from '../context.ts'
import { CliError, EXIT } from '../errors.ts'
import { countOf } from '../format.ts'
import { accept, type Invocation } from '../invocation.ts'
import { readLimit, readModels } from '../limits.ts'
import { readCap } from '../money-limits.ts'
import { parseName, parseNote } from '../parse/name.ts'
import { accountJson, idleSummary } from '../records.ts'
import { readCredential } from '../secret-input.ts'
import {
  readBaseUrl,
  TEST_MODEL,
  type TestResult,
  type TestTarget,
  testAccount,
} from '../upstream-test.ts'
import { readRank } from './accounts-update.ts'

const TEST_TIMEOUT_MS = 20_000

/** Adds an account; its key is tried first, and a failed try stores nothing. */
export async function addAccount(context: Context, call: Invocation): Promise<void> {
  await addNamedAccount(context, call, accept(parseName(call.arg(0)), 'name'))
}

/** As `addAccount`, for `init --account`. */
export async function addNamedAccount(
  context: Context,
  call: Invocation,
  name: string,
): Promise<void> {
  const { print } = context
  const { config } = await context.config()
  const allowPrivate = call.flag('allow-private')
  const baseUrl = readBaseUrl(
    call.text('base-url') ?? config.upstream.baseUrl,
    allowPrivate,
    call.text('base-url') === null ? 'upstream.base_url of the config' : '--base-url',
  )
  const priority = call.read('priority', readRank) ?? 1
  const weight = call.read('weight', readRank) ?? 1
  const rpmLimit = readLimit(call, 'rpm', null)?.value ?? null
  const concurrencyLimit = readLimit(call, 'concurrency', null)?.value ?? null
  const models = (await readModels(context, call)) ?? ['*']
  const policy = {
    tpmLimit: readTpm(call)?.value ?? null,
    tags: readTags(call, 'tag', 'none')?.value ?? [],
    cacheScope: readCacheScope(call)?.value ?? null,
    hours: readHours(call)?.value ?? null,
    dayCapMicro: readCap(call, 'day-cap')?.value ?? null,
    monthCapMicro: readCap(call, 'month-cap')?.value ?? null,
  }
  const note = call.read('note', parseNote)
  const { vault } = await context.install()
  const store = await context.store()
  const existing = await store.findAccount(name)
  if (existing.kind === 'found' && existing.value.name === name) {
    return accountExists(context, call, existing.value)
  }
  const proxy = (await readProxy(context, call))?.value ?? null
  const credential = await readCredential(context, call)
  const id = context.makeId('account')
  const target = {
    account: { id, baseUrl, allowPrivate },
    credential,
    proxy: proxy?.url ?? config.upstream.proxy,
    anthropicVersion: config.upstream.anthropicVersion,
    connectMs: config.upstream.timeouts.connectMs,
    timeoutMs: TEST_TIMEOUT_MS,
  }
  await warnOfTwins(context, credential, id)
  if (call.flag('test')) await tryOrRefuse(context, target, `Testing with ${TEST_MODEL}`)
  const added = await store.addAccount(
    {
      id,
      name,
      provider: 'anthropic',
      baseUrl,
      allowPrivate,
      credential: seal(vault, id, credential),
      priority,
      weight,
      rpmLimit,
      concurrencyLimit,
      models,
      ...policy,
      proxy: proxy === null ? null : sealProxy(vault, id, proxy),
      note,
      disabled: call.flag('disabled'),
    },
    context.by(),
  )
  if (added.kind === 'exists') return accountExists(context, call, added.account)
  const { account } = added
  const isRunning = (await context.daemon()) !== null
  if (print.json) {
    const inForce = isRunning ? 'now' : 'next_start'
    return print.document({
      ...accountJson(idleSummary(account), await context.now()),
      changed: true,
      in_force: inForce,
    })
  }
  if (print.quiet) return print.out(account.id)
  const masked = maskCredential(account.credentialLast4)
  print.out(`Added ${name}   ${account.id}   ${masked}   priority ${priority}, weight ${weight}`)
  if (account.hours !== null) {
    print.note(`Hours are those of ${config.timeZone} (timezone in the config).`)
  }
  if (account.disabledAtMs !== null)
    print.note(`It is disabled. Use it: ccgate accounts enable ${name}`)
  else if (isRunning) print.note('In use now: the running gateway picked it up.')
  else print.note('It is used as soon as the gateway runs: ccgate serve')
}

/** Replaces a key. The new one is tried first; on failure the old one stays. */
export async function rotateAccount(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const { config } = await context.config()
  const { vault } = await context.install()
  const store = await context.store()
  const account = expectFound(await store.findAccount(call.arg(0)), 'account', call.arg(0))
  const credential = await readCredential(context, call)
  if (isKeyOf(account, credential)) {
    if (print.json) {
      return print.document({ ...accountJson(account, await context.now()), changed: false })
    }
    return print.note(`${account.name} has this key already, nothing changed.`)
  }
  await warnOfTwins(context, credential, account.id)
  const stored = (await store.loadAccounts()).find((row) => row.account.id === account.id)
  const target = {
    account,
    credential,
    proxy: openProxy(vault, account.id, stored?.sealedProxy ?? null) ?? config.upstream.proxy,
    anthropicVersion: config.upstream.anthropicVersion,
    connectMs: config.upstream.timeouts.connectMs,
    timeoutMs: TEST_TIMEOUT_MS,
  }
  if (call.flag('test')) await tryOrRefuse(context, target, 'Testing the new key')
  const result = await store.rotateCredential(
    account.id,
    seal(vault, account.id, credential),
    context.by(),
  )
  if (result.kind === 'not_found') {
    throw new CliError({
      code: 'account_not_found',
      message: `The account ${account.name} was removed meanwhile.`,
      hint: 'List them with: ccgate accounts list',
      exitCode: EXIT.notFound,
    })
  }
  if (print.json) {
    const previous = {
      key_masked: maskCredential(result.before.credentialLast4),
      key_fingerprint: result.before.credentialFingerprint,
    }
    return print.document({
      ...accountJson({ ...account, ...result.after }, await context.now()),
      changed: result.kind === 'changed',
      in_force: 'now',
      previous,
    })
  }
  if (print.quiet) return
  const [before, after] = [result.before, result.after].map((state) =>
    maskCredential(state.credentialLast4),
  )
  print.out(`${account.name}: ${before} → ${after}. In force now. No request was interrupted.`)
}

/** Anthropic counts limits per key and organisation; two accounts with one key only seem to be more. */
async function warnOfTwins(context: Context, credential: string, ownId: string): Promise<void> {
  const accounts = await (await context.store()).listAccounts(context.nowMs)
  const twin = accounts.find((other) => other.id !== ownId && isKeyOf(other, credential))
  if (twin === undefined) return
  context.print.warn(
    `The account ${twin.name} has the same key: together they have the limits of one.`,
  )
}

function isKeyOf(account: Account, credential: string): boolean {
  return (
    account.credentialFingerprint === credentialFingerprint(credential) &&
    account.credentialLast4 === credential.slice(-4)
  )
}

async function tryOrRefuse(context: Context, target: TestTarget, title: string): Promise<void> {
  const { print, terminal } = context
  const isTold = !print.json && !print.quiet
  if (isTold) terminal.stderr.write(`${title} … `)
  const result = await testAccount(target)
  if (isTold)
    terminal.stderr.write(
      `${result.ok ? `ok in ${result.latencyMs} ms${limitText(result)}` : 'failed'}\n`,
    )
  if (result.ok) return
  throw new CliError({
    code: 'upstream_test_failed',
    message:
      result.status === 401
        ? `The key does not work: ${result.error}.`
        : result.status === null
          ? `The key could not be tried: ${result.error}.`
          : `The account does not work: ${result.error}.`,
    hint: `Nothing was stored. Check the ${result.status === 401 ? 'key' : 'address and the way there'}, or add --no-test to store it untried.`,
    exitCode: EXIT.upstream,
  })
}

function limitText(result: TestResult): string {
  const limit = result.limits.requests_limit
  return limit === null
    ? ''
    : ` (limit ${typeof limit === 'number' ? countOf(limit, 'request') : limit}/min)`
}

function seal(
  vault: { seal(plain: string, place: ReturnType<typeof credentialPlace>): Uint8Array },
  accountId: string,
  credential: string,
): SealedCredential {
  return {
    sealed: vault.seal(credential, credentialPlace(accountId)),
    last4: credential.slice(-4),
    fingerprint: credentialFingerprint(credential),
  }
}

async function accountExists(context: Context, call: Invocation, account: Account): Promise<void> {
  const { print } = context
  const now = await context.now()
  if (!call.flag('if-not-exists')) {
    throw new CliError({
      code: 'account_exists',
      message: `There is an account ${account.name} already.`,
      hint: `New key for it: ccgate accounts rotate ${account.name}   (scripts: --if-not-exists)`,
      exitCode: EXIT.conflict,
    })
  }
  if (print.json) print.document({ ...accountJson(idleSummary(account), now), changed: false })
  else if (print.quiet) print.out(account.id)
  else print.out(`${account.name} exists already, nothing changed.`)
}
