import { GatewayError } from '../core/errors.ts'
import type { InferenceRequest } from '../dialects/dialect.ts'
import type { Candidate } from '../pool/candidate.ts'
import { type Bound, scopeIdOf } from '../pool/weigh.ts'
import type { ObjectRef, UpstreamObject } from '../store/store.ts'
import { MAX_FILES } from '../wire/body-facts.ts'
import type { Call } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { namesObjects, objectsOf } from './objects.ts'
import { textOf } from './scalars.ts'

const LABELS = {
  container: 'Container',
  file: 'File',
  message: 'Message',
  credit_token: 'Fallback credit token',
} as const satisfies Record<ObjectRef['kind'], string>

/**
 * Where upstream keeps what a body names by its id; null where it names nothing. What is not this user's, not
 * known here, expired, or at accounts that are gone is all the same to whoever asks: `thread_not_found` or
 * `object_not_found`. Things that no one account can serve together are `invalid_request`.
 */
export async function stateBond(
  gateway: Gateway,
  call: Call,
  request: InferenceRequest,
): Promise<Bound | null> {
  // Whatever its type: one that is not known here might go on from that message as well.
  const names = textOf(request.facts.thread.previousMessageId)
  const thread = names === null ? null : await threadBond(gateway, call, names)
  if (!namesObjects(request.facts)) return thread
  const workspace = await workspaceOfObjects(gateway, call, request)
  await forgetForeignMessage(gateway, call, request)
  if (workspace === null) return thread
  if (thread !== null && placeNow(serving(gateway, request), thread.id) !== workspace)
    throw apart('thread', 'goes on where its container or files are not')
  return thread ?? { scope: 'workspace', id: workspace, strength: 'hard' }
}

async function threadBond(gateway: Gateway, call: Call, messageId: string): Promise<Bound> {
  const thread = await gateway.store.getThread(messageId)
  const live = thread === null ? null : gateway.pool.account(thread.accountId)
  const isOwn = thread?.userId === call.live.key.userId
  // Where its account is gone the thread is gone as well, and the client can still send all of it.
  if (thread === null || !isOwn || live === null || live.account.disabledAtMs !== null) {
    throw new GatewayError('thread_not_found', {
      facts: { message: messageId.slice(0, 100) },
      details: { error_code: 'thread_not_found' },
    })
  }
  return { scope: 'credential', id: thread.accountId, strength: 'hard' }
}

/** The one workspace that holds everything the body goes on with; null where that is nothing. */
async function workspaceOfObjects(
  gateway: Gateway,
  call: Call,
  request: InferenceRequest,
): Promise<string | null> {
  if (request.facts.files.length > MAX_FILES)
    throw apart('messages', `more than ${MAX_FILES} different files are named`)
  const refs = objectsOf(gateway, request)
  if (refs.length === 0) return null
  const known = await gateway.store.getObjects(refs)
  const own = new Map(
    known
      .filter(({ userId }) => userId === call.live.key.userId)
      .map((object) => [`${object.kind} ${object.id}`, object]),
  )
  const candidates = serving(gateway, request)
  let first: { readonly ref: ObjectRef; readonly workspace: string } | null = null
  for (const ref of refs) {
    const object = own.get(`${ref.kind} ${ref.id}`)
    const workspace = object === undefined ? null : placeOf(candidates, object)
    if (workspace === null) throw notFound(ref)
    first ??= { ref, workspace }
    if (first.workspace !== workspace)
      throw apart(nameOf(ref), `cannot be used together with ${nameOf(first.ref)}`)
  }
  return first?.workspace ?? null
}

/**
 * Upstream compares a prompt with that of the message that `diagnostics` names, and tells where they part. Where
 * the message is not this user's, its id makes way for one that nobody has, in place and of the same length, so
 * that upstream says what it says of all messages that it does not know.
 */
async function forgetForeignMessage(
  gateway: Gateway,
  call: Call,
  { facts, body }: InferenceRequest,
): Promise<void> {
  const id = textOf(facts.diagnosticsMessageId)
  // An empty one names nothing, and stands before every byte.
  if (id === null || id === '') return
  const [message] = await gateway.store.getObjects([{ kind: 'message', id }])
  if (message?.userId === call.live.key.userId) return
  const [start, end] = facts.topLevel.get('diagnostics') ?? [0, 0]
  const json = Buffer.from(body.buffer, body.byteOffset + start, end - start)
  const length = Buffer.byteLength(id)
  for (let at = json.indexOf(`"${id}"`); at >= 0; at = json.indexOf(`"${id}"`, at + length))
    json.fill('0', at + 1, at + 1 + length, 'latin1')
  // Spelled with escapes, or longer than any id: nothing that a client of good will sends.
  const left: { readonly previous_message_id?: unknown } = JSON.parse(json.toString('utf8'))
  if (left.previous_message_id !== '0'.repeat(length)) throw notFound({ kind: 'message', id })
}

/** Every account that is not disabled, whatever it may serve. */
function serving({ pool }: Gateway, { model }: InferenceRequest): readonly Candidate[] {
  return pool.candidates(model, model)
}

/** The workspace that an object is in, as the accounts of now name it; null: none of them can reach it. */
function placeOf(
  candidates: readonly Candidate[],
  { workspace, accountId }: UpstreamObject,
): string | null {
  const isReached = candidates.some((one) => scopeIdOf(one, 'workspace') === workspace)
  // Else it had not been told, or is called otherwise since.
  return isReached ? workspace : placeNow(candidates, accountId)
}

function placeNow(candidates: readonly Candidate[], accountId: string): string | null {
  const account = candidates.find(({ id }) => id === accountId)
  return account === undefined ? null : scopeIdOf(account, 'workspace')
}

function notFound({ kind, id }: ObjectRef): GatewayError {
  // A token is a secret; its hash would mean nothing to anybody.
  const which = kind === 'credit_token' ? '' : `: ${id.slice(0, 100)}`
  return new GatewayError('object_not_found', { facts: { object: LABELS[kind], which } })
}

function nameOf({ kind, id }: ObjectRef): string {
  return kind === 'credit_token' ? 'fallback_credit_token' : `${kind} ${id.slice(0, 100)}`
}

function apart(field: string, problem: string): GatewayError {
  return new GatewayError('invalid_request', { facts: { field, problem } })
}
