import type { InferenceRequest } from '../dialects/dialect.ts'
import type { MadeObjects } from '../providers/anthropic/made-objects.ts'
import type { ObjectRef, UpstreamObject } from '../store/store.ts'
import type { BodyFacts } from '../wire/body-facts.ts'
import { type HashKey, hashBytes } from '../wire/keyed-hash.ts'
import type { Exchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { textOf } from './scalars.ts'

const DAY_MS = 86_400_000
/**
 * How long each is remembered where upstream states no end: containers live 30 days, files may 90. Credit is
 * good for minutes and a prompt is compared while it is cached; that they are too old is upstream's to say.
 */
const LIFE_MS = {
  container: 30 * DAY_MS,
  file: 90 * DAY_MS,
  message: DAY_MS,
  credit_token: DAY_MS,
} as const satisfies Record<ObjectRef['kind'], number>
/** Ends that upstream states are believed up to here. */
const LONGEST_MS = 100 * DAY_MS
/** Keeps the hashes of credit tokens apart from those of prompts. */
const TOKEN_TAG = 0x746f6b

/** Whether a body names anything that upstream keeps in a workspace. Nearly none does. */
export function namesObjects(facts: BodyFacts): boolean {
  return (
    facts.files.length > 0 ||
    facts.container.id.type === 'string' ||
    facts.diagnosticsMessageId.type === 'string' ||
    facts.hasFallbackCreditToken
  )
}

/** What a body asks upstream to go on with: it fails in any other workspace. */
export function objectsOf(gateway: Gateway, request: InferenceRequest): readonly ObjectRef[] {
  const { facts } = request
  const container = textOf(facts.container.id)
  const token = facts.hasFallbackCreditToken ? creditTokenOf(request) : null
  return [
    ...(container === null ? [] : [{ kind: 'container' as const, id: container }]),
    ...facts.files.map((id) => ({ kind: 'file' as const, id })),
    ...(token === null ? [] : [tokenRef(gateway.routing.hashKey, token)]),
  ]
}

/**
 * Remembers what an answer says that upstream keeps for its user. Queued before the settlement that follows,
 * and so durable before the answer's end goes out. What cannot be written is lost to its user, and told.
 */
export function noteObjects(
  gateway: Gateway,
  exchange: Exchange,
  made: MadeObjects,
  messageId: string | null,
): void {
  const { call, request, accountId } = exchange
  if (accountId === null) return
  const nowMs = gateway.clock.nowMs()
  const { container, files, creditToken } = made
  const refs: readonly (ObjectRef & { readonly endsAtMs?: number | null })[] = [
    ...(container === null
      ? []
      : [{ kind: 'container' as const, id: container.id, endsAtMs: container.expiresAtMs }]),
    ...files.map((id) => ({ kind: 'file' as const, id })),
    ...(creditToken === null ? [] : [tokenRef(gateway.routing.hashKey, creditToken)]),
    // Only who asks for diagnostics names earlier answers, and says so with the first of them.
    ...(messageId === null || request.facts.diagnosticsMessageId.type === 'absent'
      ? []
      : [{ kind: 'message' as const, id: messageId }]),
  ]
  for (const { kind, id, endsAtMs } of refs) {
    const object: UpstreamObject = {
      kind,
      id,
      userId: call.live.key.userId,
      accountId,
      workspace: gateway.pool.headroom(accountId)?.workspaceId ?? null,
      expiresAtMs: Math.min(endsAtMs ?? nowMs + LIFE_MS[kind], nowMs + LONGEST_MS),
    }
    gateway.store.noteObject(object).catch((error: unknown) => {
      gateway.log.warn({ requestId: call.requestId, kind, err: error }, 'object.not_noted')
    })
  }
}

function tokenRef(key: HashKey, token: string): ObjectRef {
  const bytes = new TextEncoder().encode(token)
  const hash = new Int32Array(4)
  const view = new DataView(bytes.buffer)
  hashBytes(key, { view, start: 0, end: bytes.length, tag: TOKEN_TAG }, hash, 0)
  return { kind: 'credit_token', id: Buffer.from(hash.buffer).toString('hex') }
}

/** The token itself, which may be longer than any id; null where there is none that upstream would take. */
function creditTokenOf({ body, facts }: InferenceRequest): string | null {
  const [start, end] = facts.topLevel.get('fallback_credit_token') ?? [0, 0]
  const value: unknown = JSON.parse(Buffer.from(body.subarray(start, end)).toString('utf8'))
  const token =
    typeof value === 'object' && value !== null && 'token' in value ? value.token : value
  return typeof token === 'string' ? token : null
}
