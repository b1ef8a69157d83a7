import { GatewayError } from '../core/errors.ts'
import { secondsUp } from '../core/quantity.ts'
import type { FailureCounter } from './failures.ts'
import { checkKeyForm, KEY_LENGTH, KEY_PREFIX, type KeyForm } from './key.ts'
import type { Keyring, LiveKey } from './keyring.ts'

/** What a request presents, as it stands in its headers. */
export interface Presented {
  readonly apiKey: string | undefined
  readonly authorization: string | undefined
  /** null: not counted (loopback without a proxy in front). */
  readonly countedAddress: string | null
}

/** What `authenticate` needs of its surroundings. */
export interface Gate {
  readonly keyring: Keyring
  readonly failures: FailureCounter
  readonly digest: (secret: string) => Buffer
}

/** The key that was presented; throws `GatewayError` with the reason when none works. */
export function authenticate(presented: Presented, gate: Gate, nowMs: number): LiveKey {
  const secret = readSecret(presented)
  const form = checkKeyForm(secret)
  if (form.kind === 'ok') {
    const live = gate.keyring.find(gate.digest(secret))
    const refusal = live === null ? unknownKey(secret) : refusalOf(live, nowMs)
    if (refusal === null) return live as LiveKey // `live` null makes a refusal above
    throw counted(refusal, presented, gate, nowMs)
  }
  const refusal =
    form.kind === 'anthropic_key'
      ? new GatewayError('anthropic_key_sent')
      : new GatewayError('malformed_api_key', { facts: { problem: malformation(form) } })
  throw counted(refusal, presented, gate, nowMs)
}

/** Never quotes what was sent: it may be somebody's secret for another service. */
function malformation(form: Exclude<KeyForm, { kind: 'ok' | 'anthropic_key' }>): string {
  switch (form.kind) {
    case 'bad_checksum':
      return 'a ccgate key: its checksum is wrong, so a character was changed. Copy the whole key again'
    case 'foreign':
      return `a ccgate key: it does not start with ${KEY_PREFIX}`
    default:
      return `a complete ccgate key (${form.length} characters, expected ${KEY_LENGTH}). It may have been cut off when copied`
  }
}

function readSecret(presented: Presented): string {
  const bearer = presented.authorization
  const fromBearer =
    bearer !== undefined && /^bearer /i.test(bearer)
      ? bearer.slice(7).trim() || undefined
      : undefined
  const fromKey = presented.apiKey?.trim() || undefined
  if (fromKey !== undefined && fromBearer !== undefined && fromKey !== fromBearer) {
    throw new GatewayError('conflicting_credentials')
  }
  const secret = fromKey ?? fromBearer
  if (secret === undefined) throw new GatewayError('missing_api_key')
  return secret
}

function refusalOf(live: LiveKey, nowMs: number): GatewayError | null {
  const { key } = live
  if (key.revokedAtMs !== null) {
    return new GatewayError('revoked_api_key', {
      facts: { last4: key.last4, date: dayOf(key.revokedAtMs) },
    })
  }
  if (key.expiresAtMs !== null && key.expiresAtMs <= nowMs) {
    return new GatewayError('expired_api_key', {
      facts: { last4: key.last4, date: dayOf(key.expiresAtMs) },
    })
  }
  return live.userState === 'suspended' ? new GatewayError('user_suspended') : null
}

/** Counts a failure of this address; when it has had too many, that is the answer instead. */
function counted(
  refusal: GatewayError,
  presented: Presented,
  gate: Gate,
  nowMs: number,
): GatewayError {
  const address = presented.countedAddress
  if (address === null || refusal.code === 'user_suspended') return refusal
  const waitMs = gate.failures.waitMs(address, nowMs)
  if (waitMs > 0) {
    const seconds = secondsUp(waitMs)
    return new GatewayError('too_many_attempts', { facts: { seconds }, retryAfterMs: waitMs })
  }
  gate.failures.note(address, nowMs)
  return refusal
}

function unknownKey(secret: string): GatewayError {
  return new GatewayError('invalid_api_key', { facts: { last4: secret.slice(-4) } })
}

function dayOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10)
}
