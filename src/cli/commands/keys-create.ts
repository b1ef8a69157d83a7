import { makeKeySecret } from '../../access/key.ts'
import type { Key } from '../../core/model.ts'
import { formatUsdFull } from '../../core/money.ts'
import { keyDigest } from '../../vault/vault.ts'
import { readTags, warnWhereUnserved } from '../account-options.ts'
import { type Context, expectFound } from '../context.ts'
import { CliError, EXIT } from '../errors.ts'
import { confirmGrant, moveCredit, readGrant, userGone } from '../grant.ts'
import { accept, type Invocation } from '../invocation.ts'
import { limitsText } from '../key-text.ts'
import { readLimit, readModels } from '../limits.ts'
import { readBurnLimit, readMarkup, readOnDisconnect, readSpendLimit } from '../money-limits.ts'
import { parseKeyName, parseName, parseNote } from '../parse/name.ts'
import { keyJson } from '../records.ts'
import { readExpiry } from './keys.ts'

/** Makes a key, and where asked its owner and first credit; the secret is printed once and never stored. */
export async function createKey(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const { user: ownerRef, name } = accept(parseKeyName(call.arg(0)), 'key')
  const { config } = await context.config()
  const rpm = readLimit(call, 'rpm', config.limits.defaultRpm) ?? {
    value: config.limits.defaultRpm,
  }
  const concurrency = readLimit(call, 'concurrency', config.limits.defaultConcurrency) ?? {
    value: config.limits.defaultConcurrency,
  }
  const spendLimit = readSpendLimit(call, config.limits.defaultSpendLimit) ?? {
    value: config.limits.defaultSpendLimit,
  }
  const burnLimitMicro = readBurnLimit(call)?.value ?? null
  const markup = readMarkup(call)?.value ?? null
  const onDisconnect = readOnDisconnect(call)?.value ?? null
  const models = (await readModels(context, call)) ?? ['*']
  const accountTags = readTags(call, 'account-tag', 'any')?.value ?? null
  const expiry = readExpiry(context, call)
  const note = call.read('note', parseNote)
  const credit = call.text('credit')
  const creditMicro = credit === null ? 0 : readGrant(credit, '--credit')

  // Opened first: without the master key nothing may be written.
  const { pepper } = await context.install()
  const store = await context.store()
  const existing = await store.findKey(`${ownerRef}/${name}`)
  if (existing.kind === 'found' && existing.value.revokedAtMs === null) {
    return keyExists(context, call, existing.value)
  }
  await confirmGrant(context, creditMicro, ownerRef)
  const owner = await findOrMakeOwner(context, call, ownerRef)
  const secret = makeKeySecret()
  const made = await store.createKey(
    {
      id: context.makeId('key'),
      userId: owner.id,
      name,
      digest: keyDigest(pepper, secret),
      last4: secret.slice(-4),
      rpmLimit: rpm.value,
      concurrencyLimit: concurrency.value,
      models,
      accountTags,
      spendLimit: spendLimit.value,
      burnLimitMicro,
      markup,
      onDisconnect,
      note,
      expiresAtMs: expiry?.atMs ?? null,
    },
    context.by(),
  )
  if (made.kind === 'exists') return keyExists(context, call, made.key)
  if (made.kind === 'no_user') throw userGone(owner.name)
  await warnWhereUnserved(context, made.key)
  if (creditMicro > 0) {
    await moveCredit(context, {
      type: 'grant',
      userId: owner.id,
      userName: owner.name,
      amountMicro: creditMicro,
      ref: null,
      note: null,
      isRepeatable: false,
    })
  }
  const wallet = await store.getWallet(owner.id)
  if (print.json) {
    const record = keyJson(made.key, {
      userState: owner.state,
      nowMs: context.nowMs,
      timeZone: config.timeZone,
      secret: context.globals.dryRun ? null : secret,
    })
    return print.document({
      ...record,
      balance_micro: wallet?.balanceMicro ?? 0,
      changed: true,
      in_force: 'now',
    })
  }
  const fullName = `${made.key.userName}/${made.key.name}`
  const facts = [limitsText(made.key), `balance ${formatUsdFull(wallet?.balanceMicro ?? 0)}`]
  // A key that is not kept has no secret to show.
  if (context.globals.dryRun) return print.note(`Key ${fullName}, ${facts.join(', ')}.`)
  if (call.flag('env')) {
    print.out(`ANTHROPIC_API_KEY=${secret}`)
    print.out(`ANTHROPIC_BASE_URL=${config.publicUrl}`)
  } else {
    print.out(secret)
  }
  print.note(`Copy it now; it is not shown again. Key ${fullName}, ${facts.join(', ')}.`)
  if ((wallet?.balanceMicro ?? 0) <= 0)
    print.note(`Requests need credit: ccgate credit grant ${owner.name} 25`)
  print.note(`Test it:  curl ${config.publicUrl}/v1/models -H "x-api-key: <the key>"`)
}

async function findOrMakeOwner(context: Context, call: Invocation, ref: string) {
  const store = await context.store()
  const found = await store.findUser(ref)
  if (found.kind !== 'not_found') return expectFound(found, 'user', ref)
  if (!call.flag('create-user')) {
    const closest = found.nearest.length > 0 ? `Closest match: ${found.nearest.join(', ')}. ` : ''
    throw new CliError({
      code: 'user_not_found',
      message: `There is no user named "${ref}".`,
      hint: `${closest}Make the user too: add --create-user`,
      exitCode: EXIT.notFound,
    })
  }
  const name = accept(parseName(ref), 'user')
  const created = await store.createUser(
    { id: context.makeId('user'), name, email: null, note: null },
    context.by(),
  )
  return created.user
}

async function keyExists(context: Context, call: Invocation, key: Key): Promise<void> {
  const { print, nowMs } = context
  const fullName = `${key.userName}/${key.name}`
  if (!call.flag('if-not-exists')) {
    throw new CliError({
      code: 'key_exists',
      message: `There is a key ${fullName} already.`,
      hint: `See it: ccgate keys show ${fullName}   (scripts: --if-not-exists)`,
      exitCode: EXIT.conflict,
    })
  }
  if (print.json) {
    const { timeZone } = (await context.config()).config
    print.document({ ...keyJson(key, { userState: 'active', nowMs, timeZone }), changed: false })
    return
  }
  print.note(`${fullName} exists already, nothing changed. Its secret cannot be shown again.`)
}
