// Conversations as clients hold them: bodies that depend on the seed only, never on how they are routed.

import type { JsonObject } from '../sandbox/json.ts'
import { createRandom } from '../sandbox/random.ts'
import { type PromptPart, promptParts } from '../sandbox/tokens.ts'

/** Of simulated prompts; a sandbox that is to count the same has to be told. */
export const BYTES_PER_TOKEN = 4
const IMAGE_CAP_TOKENS = 4_784
/** Share of the first prompt that conversations of one kind have in common: tools and system. */
const SHARED = 0.6
const CUSTOMERS = 10

/** One request of a conversation, the same for every strategy. */
export interface Turn {
  readonly body: JsonObject
  readonly parts: readonly PromptPart[]
  readonly outputTokens: number
  /** How long its client thinks after the answer, before the next turn. */
  readonly thinkMs: number
  /** Conversations that begin with this turn: an agent's helpers. */
  readonly helpers: readonly Conversation[]
}

/** A conversation and when it begins. */
export interface Conversation {
  readonly id: string
  readonly customer: string
  readonly startMs: number
  readonly turns: readonly Turn[]
}

/** What to make. */
export interface WorkloadOptions {
  readonly seed: number
  readonly model: string
  readonly conversations: number
  readonly turns: readonly [least: number, most: number]
  /** Of the first prompts: one after the other where there are several. */
  readonly promptTokens: readonly number[]
  /** When a conversation begins. */
  readonly startMs: (writer: Writer) => number
  readonly thinkMs: (writer: Writer) => number
  /** Agents that start together, as a job of theirs does. */
  readonly bursts: readonly Burst[]
}

/** Several agents of one customer that begin at the same time and do not think. */
export interface Burst {
  readonly startMs: number
  readonly agents: number
  readonly turns: number
}

const WORDS =
  'the gateway reads a body once and forwards the same bytes because what was checked is what was priced const let return await import export function if else while type readonly'.split(
    ' ',
  )

/** Words by chance: the same for the same seed. */
export class Writer {
  readonly #random: () => number
  constructor(seed: number) {
    this.#random = createRandom(seed)
  }

  between(least: number, most: number): number {
    return least + Math.floor(this.#random() * (most - least + 1))
  }

  chance(share: number): boolean {
    return this.#random() < share
  }

  prose(tokens: number): string {
    const length = tokens * BYTES_PER_TOKEN
    let text = ''
    while (text.length < length) {
      text += `${WORDS[Math.floor(this.#random() * WORDS.length)]} `
      if (this.#random() < 0.05) text += `${Math.floor(this.#random() * 1e9)}\n`
    }
    return text.slice(0, length)
  }
}

/** How long agents take between an answer and the results of its tools. */
const TOOL_MS = 2_000
/** Helpers that an agent starts at once, and how often it does. */
const HELPERS = 3
const HELPERS_SHARE = 0.04

/** All conversations of a run, helpers inside the turns that start them. */
export function makeWorkload(options: WorkloadOptions): readonly Conversation[] {
  const shared = new Writer(options.seed)
  const kinds = options.promptTokens.map((tokens) => kindsOf(shared, tokens, options.model))
  const talks = Array.from({ length: options.conversations }, (_, k) =>
    conversation(options, kinds[k % kinds.length], k),
  )
  const bursts = options.bursts.flatMap((burst, k) =>
    burstOf(burst, kinds[k % kinds.length], new Writer(options.seed * 1_000 - 1 - k), k),
  )
  return [...talks, ...bursts]
}

/** What conversations of one length have in common. */
interface Kinds {
  readonly promptTokens: number
  readonly agent: AgentKind
  readonly helper: AgentKind
  readonly plain: readonly PlainKind[]
}

function kindsOf(shared: Writer, promptTokens: number, model: string): Kinds {
  return {
    promptTokens,
    agent: agentKind(shared, { promptTokens, tools: 12, model }),
    helper: agentKind(shared, { promptTokens: promptTokens / 2, tools: 6, model }),
    plain: Array.from({ length: CUSTOMERS }, () => ({
      model,
      system: shared.prose(promptTokens * SHARED),
    })),
  }
}

function conversation(options: WorkloadOptions, kinds: Kinds, k: number): Conversation {
  const writer = new Writer(options.seed * 1_000 + k)
  const customer = writer.between(0, CUSTOMERS - 1)
  const frame = {
    id: `conversation ${k}`,
    customer: `customer ${customer}`,
    startMs: options.startMs(writer),
  }
  const think = () => options.thinkMs(writer)
  const count = writer.between(...options.turns)
  const own = kinds.promptTokens * (1 - SHARED)
  if (k % 2 === 1) {
    return { ...frame, turns: plainTurns(writer, kinds.plain[customer], { count, own, think }) }
  }
  const startHelpers = (turn: number): readonly Conversation[] => {
    if (turn === 0 || !writer.chance(HELPERS_SHARE)) return []
    return Array.from({ length: HELPERS }, (_, helper) => ({
      ...frame,
      id: `${frame.id}.${turn}.${helper}`,
      startMs: 0,
      turns: agentTurns(writer, kinds.helper, { count: 4, own: own / 4, think: () => TOOL_MS }),
    }))
  }
  return { ...frame, turns: agentTurns(writer, kinds.agent, { count, own, think }, startHelpers) }
}

function burstOf(burst: Burst, kinds: Kinds, writer: Writer, k: number): readonly Conversation[] {
  const customer = `customer ${writer.between(0, CUSTOMERS - 1)}`
  const own = kinds.promptTokens * (1 - SHARED)
  const length = { count: burst.turns, own, think: () => TOOL_MS }
  return Array.from({ length: burst.agents }, (_, agent) => ({
    id: `burst ${k}.${agent}`,
    customer,
    startMs: burst.startMs,
    turns: agentTurns(writer, kinds.agent, length),
  }))
}

interface PlainKind {
  readonly model: string
  readonly system: string
}

interface AgentKind {
  readonly model: string
  readonly tools: readonly JsonObject[]
  readonly system: string
}

function agentKind(
  writer: Writer,
  {
    promptTokens,
    tools,
    model,
  }: { readonly promptTokens: number; readonly tools: number; readonly model: string },
): AgentKind {
  const shared = promptTokens * SHARED
  return {
    model,
    tools: Array.from({ length: tools }, (_, k) => ({
      name: `Tool${k}`,
      description: writer.prose(shared / 2 / tools),
      input_schema: { type: 'object', properties: { path: { type: 'string' } } },
    })),
    system: writer.prose(shared / 2),
  }
}

interface Length {
  readonly count: number
  /** Tokens of the first message, which nobody shares. */
  readonly own: number
  readonly think: () => number
}

const MARK = { cache_control: { type: 'ephemeral' } }

/** As Claude Code asks: attribution first, marks on the system and on the last two user messages. */
function agentTurns(
  writer: Writer,
  kind: AgentKind,
  { count, own, think }: Length,
  startHelpers: (turn: number) => readonly Conversation[] = () => [],
): readonly Turn[] {
  const attribution = `x-anthropic-billing-header: cc_version=2.1.${writer.between(0, 99)}; cch=${writer.between(0, 1e9)}`
  const system = [
    { type: 'text', text: attribution },
    { type: 'text', text: 'You are an agent that edits code.', ...MARK },
    { type: 'text', text: kind.system, ...MARK },
  ]
  const history: JsonObject[][] = [[{ type: 'text', text: writer.prose(own) }]]
  const turns: Turn[] = []
  for (let turn = 0; turn < count; turn++) {
    const messages = history.map((content, k) => ({
      role: k % 2 === 0 ? 'user' : 'assistant',
      content: k % 2 === 0 && k >= history.length - 3 ? marked(content) : content,
    }))
    const rest = { max_tokens: 32_000, stream: true, system, tools: kind.tools, messages }
    const { answer, reply } = toolRun(writer, turn)
    const helpers = startHelpers(turn)
    turns.push({ ...turnOf({ model: kind.model, ...rest }, answer), helpers, thinkMs: think() })
    history.push(answer, reply)
  }
  return turns
}

/** An answer with a few tool calls and the results that follow; now and then words only. */
function toolRun(writer: Writer, turn: number): { answer: JsonObject[]; reply: JsonObject[] } {
  const calls = writer.chance(0.25) ? 0 : writer.between(1, 6)
  const answer: JsonObject[] = [{ type: 'text', text: writer.prose(writer.between(40, 200)) }]
  const reply: JsonObject[] = []
  for (let k = 0; k < calls; k++) {
    const id = `toolu_${turn}_${k}`
    answer.push({ type: 'tool_use', id, name: `Tool${k}`, input: { path: writer.prose(30) } })
    const content = writer.prose(writer.between(20, 250))
    reply.push({ type: 'tool_result', tool_use_id: id, content })
  }
  if (calls === 0) reply.push({ type: 'text', text: writer.prose(writer.between(20, 150)) })
  return { answer, reply }
}

/** As a program asks through an SDK: strings, and the automatic breakpoint. */
function plainTurns(
  writer: Writer,
  { model, system }: PlainKind,
  { count, own, think }: Length,
): readonly Turn[] {
  const messages: JsonObject[] = [{ role: 'user', content: writer.prose(own) }]
  const turns: Turn[] = []
  for (let turn = 0; turn < count; turn++) {
    const answer = writer.prose(writer.between(100, 500))
    const body = { model, max_tokens: 4_096, ...MARK, system, messages: [...messages] }
    turns.push({ ...turnOf(body, [{ type: 'text', text: answer }]), thinkMs: think() })
    messages.push({ role: 'assistant', content: answer })
    messages.push({ role: 'user', content: writer.prose(writer.between(30, 300)) })
  }
  return turns
}

function marked(content: readonly JsonObject[]): JsonObject[] {
  return content.map((block, k) => (k === content.length - 1 ? { ...block, ...MARK } : block))
}

function turnOf(body: JsonObject, answer: readonly JsonObject[]): Omit<Turn, 'thinkMs'> {
  const parts = promptParts(body, BYTES_PER_TOKEN, IMAGE_CAP_TOKENS)
  const outputTokens = Math.ceil(JSON.stringify(answer).length / BYTES_PER_TOKEN)
  return { body, parts, outputTokens, helpers: [] }
}
