import type { SandboxAccount } from './accounts.ts'
import { type ApiError, plainError } from './errors.ts'
import { asBlocks, asList, asObject, asText, type JsonObject } from './json.ts'
import { randomId } from './random.ts'

/** What upstream keeps of one request and its answer. */
export interface KeptState {
  /** The answer's `container`; null: nothing runs. */
  readonly container: JsonObject | null
  /** It is made for this answer, so only the end of a stream tells of it. */
  readonly isNewContainer: boolean
  /** The answer's `diagnostics`; null: not asked for. */
  readonly diagnostics: JsonObject | null
  /** `usage.fallback_credit`; null: no token was sent. */
  readonly fallbackCredit: JsonObject | null
  /** A file that code of this answer writes. */
  newFile(): string
  newCreditToken(): string
  /** Later requests may name the answer in `diagnostics`. */
  answered(messageId: string): void
}

export type KeptResult =
  | { readonly kind: 'refused'; readonly error: ApiError }
  | { readonly kind: 'ready'; readonly kept: KeptState }

/** Containers, files, messages and credit: each belongs to a workspace, and is unknown in all others. */
export interface ObjectBook {
  open(account: SandboxAccount, body: JsonObject): KeptResult
}

const CONTAINER_MS = 30 * 86_400_000
const CREDIT_MS = 300_000
const MAX_KEPT = 10_000

interface Kept {
  readonly workspaceId: string
  readonly expiresMs: number
}

/** An empty book. */
export function createObjects(nowMs: () => number, random: () => number): ObjectBook {
  const kept = new Map<string, Kept>()

  function keep(id: string, workspaceId: string, lifeMs = Number.POSITIVE_INFINITY): string {
    if (kept.size >= MAX_KEPT) {
      const oldest = kept.keys().next().value
      if (oldest !== undefined) kept.delete(oldest)
    }
    kept.set(id, { workspaceId, expiresMs: nowMs() + lifeMs })
    return id
  }

  function isIn(workspaceId: string, id: string): boolean {
    const one = kept.get(id)
    return one !== undefined && one.workspaceId === workspaceId && one.expiresMs > nowMs()
  }

  return {
    open({ workspaceId }, body) {
      const wanted = asText(body.container) ?? asText(asObject(body.container)?.id)
      if (wanted !== null && !isIn(workspaceId, wanted))
        return notFound(`Container not found: ${wanted}`)
      const missing = filesOf(body).find((id) => !isIn(workspaceId, id))
      if (missing !== undefined) return notFound(`File not found: ${missing}`)
      const id = wanted ?? (asList(body.tools).some(runsCode) ? newContainer(workspaceId) : null)
      const endMs = id === null ? 0 : (kept.get(id)?.expiresMs ?? 0)
      const asked = asObject(body.diagnostics)
      const earlier = asText(asked?.previous_message_id)
      const isMissed = earlier !== null && !isIn(workspaceId, earlier)
      const token =
        asText(body.fallback_credit_token) ?? asText(asObject(body.fallback_credit_token)?.token)
      const state: KeptState = {
        container: id === null ? null : { id, expires_at: new Date(endMs).toISOString() },
        isNewContainer: wanted === null,
        diagnostics:
          asked === null
            ? null
            : { cache_miss_reason: isMissed ? { type: 'previous_message_not_found' } : null },
        fallbackCredit: token === null ? null : { status: creditStatus(workspaceId, token) },
        newFile: () => keep(`file_011C${randomId(random, 20)}`, workspaceId),
        newCreditToken: () => keep(`fct_${randomId(random, 40)}`, workspaceId, CREDIT_MS),
        answered(messageId) {
          if (asked !== null) keep(messageId, workspaceId)
        },
      }
      return { kind: 'ready', kept: state }
    },
  }

  function newContainer(workspaceId: string): string {
    return keep(`container_011C${randomId(random, 20)}`, workspaceId, CONTAINER_MS)
  }

  function creditStatus(workspaceId: string, token: string): JsonObject {
    if (!isIn(workspaceId, token)) return { type: 'not_applied', reason: 'token_not_found' }
    kept.delete(token)
    return { type: 'redeemed' }
  }
}

/** Whether a tool is one for which upstream starts a container. */
export function runsCode(tool: unknown): boolean {
  return /^code_execution_/.test(asText(asObject(tool)?.type) ?? '')
}

/** The files that blocks ask to read, those in tool results included. */
function filesOf(body: JsonObject): readonly string[] {
  const messages = asList(body.messages).map((item) => asObject(item)?.content)
  return [body.system, ...messages].flatMap((content) => asBlocks(content).flatMap(filesOfBlock))
}

function filesOfBlock(block: JsonObject): readonly string[] {
  const own = block.type === 'container_upload' ? asText(block.file_id) : null
  const read = asText(asObject(block.source)?.file_id)
  const nested = block.type === 'tool_result' ? asBlocks(block.content).flatMap(filesOfBlock) : []
  return [...nested, ...[own, read].filter((id) => id !== null)]
}

function notFound(message: string): KeptResult {
  return { kind: 'refused', error: plainError(404, message) }
}
