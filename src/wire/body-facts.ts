/** What `inspect` learns about a request body. No text of prompts is kept: only counts, kinds and byte spans. */

/** Bytes `[start, end)` of the body. The span of a value includes its quotes or brackets. */
export type Span = readonly [start: number, end: number]

/** The JSON type of a member; `absent` when the object does not have it. */
export type ValueType = 'absent' | 'string' | 'number' | 'boolean' | 'null' | 'object' | 'array'

/** A member that we check or price, with its value where it has one of its own. */
export type Scalar =
  | { readonly type: 'absent' | 'null' | 'object' | 'array' }
  /** Unescaped; cut after `MAX_SCALAR_BYTES`, which is longer than any name or id that is valid. */
  | { readonly type: 'string'; readonly value: string }
  /** `integer`: mathematically whole (so `8`, `8.0`, `8e0`) and within +-(2^53-1), hence exact. */
  | { readonly type: 'number'; readonly value: number; readonly integer: boolean }
  | { readonly type: 'boolean'; readonly value: boolean }

/** Strings of scalars are cut after this many bytes of JSON. */
export const MAX_SCALAR_BYTES = 1024

/** More different files than upstream takes images and pages in one request. */
export const MAX_FILES = 1_000

/** Which kind of server tool; `unknown` is a type that is neither a known server nor client tool. */
export type ServerToolFamily =
  | 'web_search'
  | 'web_fetch'
  | 'code_execution'
  | 'tool_search'
  | 'advisor'
  | 'mcp_toolset'
  | 'unknown'

/** An entry of `tools` that upstream runs itself. */
export interface ServerTool {
  readonly family: ServerToolFamily
  readonly type: string
  /** The advisor's model. */
  readonly model: Scalar
  readonly maxUses: Scalar
  readonly maxTokens: Scalar
}

/** One entry of a `fallbacks` list. */
export interface Fallback {
  readonly model: Scalar
  readonly maxTokens: Scalar
  readonly speed: Scalar
}

/** `fallbacks`: absent or null, `"default"`, a list, or something upstream will refuse. */
export type Fallbacks =
  | { readonly kind: 'none' | 'default' | 'malformed' }
  | { readonly kind: 'list'; readonly entries: readonly Fallback[] }

/** How many image blocks there are, by the type of their source, nested ones included. */
export interface ImageCounts {
  readonly base64: number
  readonly url: number
  readonly file: number
  /** No source, or one of a type we do not know. */
  readonly other: number
}

/** How many document blocks there are, by the type of their source, nested ones included. */
export interface DocumentCounts extends ImageCounts {
  readonly text: number
  readonly content: number
  /** Length of the base64 text of all base64 documents. */
  readonly base64Bytes: number
}

/** Thinking in the history: it binds the conversation to the organisation that signed it. */
export interface ThinkingHistory {
  readonly signed: number
  /** Thinking blocks with an absent or empty signature. */
  readonly unsigned: number
  readonly redacted: number
}

/** Everything that admission, the cost bound and routing read from a body. */
export interface BodyFacts {
  readonly model: Scalar
  readonly maxTokens: Scalar
  readonly stream: Scalar
  readonly speed: Scalar
  readonly inferenceGeo: Scalar
  readonly serviceTier: Scalar
  /** `count` is the number of entries where it is an array. */
  readonly messages: { readonly type: ValueType; readonly count: number }
  readonly system: ValueType
  readonly thinking: {
    readonly is: ValueType
    readonly type: Scalar
    readonly budgetTokens: Scalar
  }
  readonly thread: {
    readonly is: ValueType
    readonly type: Scalar
    readonly previousMessageId: Scalar
  }
  /** `id`: the string itself or the object's `id`. */
  readonly container: { readonly is: ValueType; readonly id: Scalar }
  /** `diagnostics.previous_message_id`. */
  readonly diagnosticsMessageId: Scalar
  /** Whether `fallback_credit_token` is there and not null. */
  readonly hasFallbackCreditToken: boolean
  readonly fallbacks: Fallbacks
  /** It lets upstream shorten the context with a model, or in a way that is not known here. */
  readonly mayCompact: boolean
  /** It lets upstream leave out parts of the prompt that the body has: what is cached may be another one. */
  readonly mayClear: boolean
  readonly mcpServers: number
  readonly clientTools: number
  readonly serverTools: readonly ServerTool[]
  /** `tool_choice.type`. */
  readonly toolChoice: Scalar
  /** `output_config.effort`. */
  readonly effort: Scalar
  /** `output_config.format` or the older `output_format` is there and not null. */
  readonly hasOutputFormat: boolean
  /** Any non-null `cache_control` where it is an API field: top level, system, tools, blocks, nested blocks. */
  readonly hasCacheControl: boolean
  /** Any of them with `ttl: "1h"`. */
  readonly hasCacheControl1h: boolean
  /** Where the value of `metadata.user_id` lies, when it is a string. */
  readonly userIdSpan: Span | null
  readonly images: ImageCounts
  readonly documents: DocumentCounts
  readonly containerUploads: number
  /** How many `file_id`s there are in blocks and their sources. */
  readonly fileIds: number
  /**
   * Those that upstream is to read, without repetitions: all but the ones that results of code name as what
   * the code wrote. Cut after `MAX_FILES` and one more.
   */
  readonly files: readonly string[]
  readonly thinkingHistory: ThinkingHistory
  /** A message adds or removes tools mid-conversation, so `tools` does not tell the whole. */
  readonly hasToolChanges: boolean
  /** Everything that can become prompt text: the body without the base64 of images and documents. */
  readonly textBytes: number
  /**
   * Part of `textBytes` that lies in runs of more than 256 bytes without a blank, a backslash or
   * non-ASCII text (base64, hex, minified data), signatures and encrypted content aside.
   */
  readonly denseBytes: number
  /** Part of `textBytes` that is signatures, redacted thinking and encrypted content. */
  readonly opaqueBytes: number
  readonly blocks: BlockTable
  /** Every top-level member by its unescaped name: where its value lies. */
  readonly topLevel: ReadonlyMap<string, Span>
  /** Structural tokens: each of `{ } [ ] , :` outside strings. */
  readonly tokenCount: number
  readonly maxDepth: number
}

/**
 * The blocks of `tools`, `system` and `messages` in the order of the body, for the fingerprint of the
 * prompt: `count` rows of `BLOCK_FIELDS` integers each. Row i begins at `i * BLOCK_FIELDS`:
 *
 * | +0, +1 | span of the block (of the whole string where `content` or `system` is a string) |
 * | +2 | `BlockSection` in bits 0-1, `BlockRole` in bits 2-3, flags `BLOCK_*` from bit 4, `BlockType` in bits 8-15 |
 * | +3 | index of the message; of the entry in `tools` or `system` |
 * | +4, +5 | span of the block's own `cache_control` member, name included, commas not; 0, 0 without one |
 *
 * Blocks inside a `tool_result` or a document are a part of their outer block.
 */
export interface BlockTable {
  readonly count: number
  readonly data: Int32Array
}

/** Integers per row of a `BlockTable`. */
export const BLOCK_FIELDS = 6

/** Bits 0-1 of a row's third integer. */
export const BlockSection = { tools: 0, system: 1, messages: 2 } as const

/** Bits 2-3 of a row's third integer. */
export const BlockRole = { none: 0, user: 1, assistant: 2, system: 3 } as const

/** The block has a non-null `cache_control` of its own. */
export const BLOCK_CACHED = 1 << 4
/** Its `ttl` is `1h`. */
export const BLOCK_CACHED_1H = 1 << 5
/** A block nested in it has a non-null `cache_control`. */
export const BLOCK_NESTED_CACHE = 1 << 6
/** The block is a plain string, not an object. */
export const BLOCK_STRING = 1 << 7

/** Bits 8-15 of a row's third integer; `other` for tools and for types we do not know. */
export const BlockType = {
  other: 0,
  text: 1,
  image: 2,
  document: 3,
  thinking: 4,
  redacted_thinking: 5,
  tool_use: 6,
  tool_result: 7,
  search_result: 8,
  server_tool_use: 9,
  container_upload: 10,
  tool_addition: 11,
  tool_removal: 12,
} as const
