import type { Json } from './json.ts'
import { recordOf } from './json.ts'

/** Ids are short; what is longer is none. */
const MAX_ID = 200
/** No answer writes more files; further ones would only fill our memory. */
const MAX_FILES = 1_000
const MAX_TOKEN = 65_536

/** Blocks that tell what code wrote. Others are not believed: tools of strangers fill them. */
const RESULTS: ReadonlySet<unknown> = new Set([
  'code_execution_tool_result',
  'bash_code_execution_tool_result',
])

/** What one answer says that upstream keeps for whoever asked. Feed it the parts of an answer in any order. */
export class MadeObjects {
  container: { readonly id: string; readonly expiresAtMs: number | null } | null = null
  /** Redeems what a refusal has cost. */
  creditToken: string | null = null
  #files: Set<string> | null = null

  get files(): readonly string[] {
    return this.#files === null ? [] : [...this.#files]
  }

  /** Reads a whole answer, or the message of a `message_start`. */
  message(message: Json): void {
    this.delta(message)
    if (!Array.isArray(message.content)) return
    for (const block of message.content) this.block(recordOf(block))
  }

  /** Reads what `message_delta` tells of the answer. */
  delta({ container, stop_details: details }: Json): void {
    if (container !== undefined && container !== null) this.#takeContainer(recordOf(container))
    if (details === undefined || details === null) return
    const token = recordOf(details).fallback_credit_token
    if (typeof token === 'string' && token.length <= MAX_TOKEN) this.creditToken = token
  }

  /** Reads a block of the answer. */
  block(block: Json): void {
    if (block.type === 'container_upload') this.#takeFile(block.file_id)
    if (!RESULTS.has(block.type)) return
    const { content } = recordOf(block.content)
    if (!Array.isArray(content)) return
    for (const output of content) this.#takeFile(recordOf(output).file_id)
  }

  #takeContainer({ id, expires_at: end }: Json): void {
    if (!isId(id)) return
    const endMs = typeof end === 'string' ? Date.parse(end) : Number.NaN
    this.container = { id, expiresAtMs: Number.isNaN(endMs) ? null : endMs }
  }

  #takeFile(id: unknown): void {
    if (!isId(id)) return
    this.#files ??= new Set()
    if (this.#files.size < MAX_FILES) this.#files.add(id)
  }
}

/** What a whole answer, parsed, says that upstream keeps. */
export function madeBy(answer: unknown): MadeObjects {
  const made = new MadeObjects()
  made.message(recordOf(answer))
  return made
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_ID
}
