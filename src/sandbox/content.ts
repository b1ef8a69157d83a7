import { type BlockWriter, type ThinkingDisplay, TOOL_USE_TOKENS } from './block-writer.ts'
import { exampleOf } from './example.ts'
import type { Fault } from './faults.ts'
import { asBlocks, asList, asObject, asText, type JsonObject } from './json.ts'
import type { SandboxModel } from './models.ts'
import { type KeptState, runsCode } from './objects.ts'
import { createRandom, hash32 } from './random.ts'
import { imageSize, textTokens } from './tokens.ts'
import { fillerText, HAIKU } from './words.ts'

/** All that an answer depends on. */
export interface AnswerRequest {
  readonly body: JsonObject
  readonly betas: readonly string[]
  readonly model: SandboxModel
  readonly organizationId: string
  readonly fault: Fault
  readonly kept: KeptState
  readonly perToken: number
  readonly seed: number
  readonly promptTokens: number
  readonly cacheRead: number
  readonly cacheWrite5m: number
  readonly cacheWrite1h: number
  readonly id: string
}

/** Thinks, searches, runs code, talks and calls a tool, as request and fault ask. */
export function writeContent(writer: BlockWriter, request: AnswerRequest): void {
  const { body, fault, perToken } = request
  const random = createRandom(hash32(lastUserText(body), request.seed))
  const display = thinkingDisplay(request)
  if (display) writer.thinking(fault.thinkingTokens ?? 40 + Math.floor(random() * 120), display)

  const tool = fault.text === undefined ? toolToCall(body) : null
  const searches = fault.searches ?? (tool ? 0 : hasWebSearch(body) ? 1 : 0)
  for (let i = 0; i < searches; i++) writer.webSearch(lastUserText(body).slice(0, 80))

  if (tool === null && asList(body.tools).some(runsCode))
    writer.runCode('ls', request.kept.newFile())

  const input = tool ? exampleInput(tool, lastUserText(body)) : null
  const toolCost = tool ? toolTokens(input, perToken) : 0
  if (fault.outputTokens !== undefined) {
    const tokens = Math.max(0, fault.outputTokens - writer.spent - toolCost)
    writer.text(fault.text ?? fillerText(Math.floor(tokens * perToken), random))
  } else if (tool === null) {
    writer.text(fault.text ?? answerText(body, searches > 0))
  } else if (!isForced(body)) {
    writer.text(`Let me use ${tool.name}.`)
  }
  if (tool) writer.toolUse(asText(tool.name) ?? '', input)
}

function toolTokens(input: unknown, perToken: number): number {
  return TOOL_USE_TOKENS + textTokens(JSON.stringify(input), perToken)
}

/** How thinking is shown; null: the model does not think this time. */
function thinkingDisplay(request: AnswerRequest): ThinkingDisplay | null {
  const { fault, model } = request
  if (fault.thinking === 'none') return null
  if (fault.thinking) return fault.thinking
  const thinking = asObject(request.body.thinking)
  if (thinking?.type !== 'adaptive' && thinking?.type !== 'enabled') return null
  return thinking.display === 'omitted' || thinking.display === 'summarized'
    ? thinking.display
    : model.thinkingDisplay
}

/** The text of the last user message. */
function lastUserText(body: JsonObject): string {
  const last = asObject(asList(body.messages).findLast((item) => asObject(item)?.role === 'user'))
  const texts = asBlocks(last?.content).map((block) => asText(block.text) ?? '')
  return texts.filter((text) => text !== '').join('\n')
}

function answerText(body: JsonObject, searched: boolean): string {
  const format = asObject(asObject(body.output_config)?.format)
  const prompt = lastUserText(body)
  if (format?.schema !== undefined) return JSON.stringify(exampleOf(format.schema, prompt))
  const blocks = asBlocks(asObject(asList(body.messages).at(-1))?.content)
  const result = blocks.find((block) => block.type === 'tool_result')
  if (result) {
    const said = asBlocks(result.content).map((block) => asText(block.text) ?? '')
    return `The tool answered: ${said.join(' ').slice(0, 200)}`
  }
  if (/haiku/i.test(prompt)) return HAIKU
  const image = blocks.find((block) => block.type === 'image')
  if (image) {
    const size = imageSize(asText(asObject(image.source)?.data) ?? '')
    return size ? `I see an image of ${size.width} x ${size.height} pixels.` : 'I see an image.'
  }
  if (searched) return 'According to the first result, all is well.'
  return 'Hello! This answer is simulated: no model was asked and no internet was used.'
}

function isForced(body: JsonObject): boolean {
  const type = asObject(body.tool_choice)?.type
  return type === 'any' || type === 'tool'
}

function hasWebSearch(body: JsonObject): boolean {
  return asList(body.tools).some((tool) => /^web_search_/.test(asText(asObject(tool)?.type) ?? ''))
}

const CLIENT_TOOL = /^(custom|bash_|text_editor_|memory_|computer_)/

function toolToCall(body: JsonObject): JsonObject | null {
  const choice = asObject(body.tool_choice)
  if (choice?.type === 'none') return null
  const blocks = asBlocks(asObject(asList(body.messages).at(-1))?.content)
  if (!isForced(body) && blocks.some((block) => block.type === 'tool_result')) return null
  for (const item of asList(body.tools)) {
    const tool = asObject(item)
    if (!tool || !CLIENT_TOOL.test(asText(tool.type) ?? 'custom')) continue
    if (choice?.type !== 'tool' || choice.name === tool.name) return tool
  }
  return null
}

function exampleInput(tool: JsonObject, prompt: string): unknown {
  const type = asText(tool.type) ?? 'custom'
  if (type.startsWith('bash_')) return { command: 'ls' }
  if (type.startsWith('text_editor_')) return { command: 'view', path: 'README.md' }
  if (type.startsWith('memory_')) return { command: 'view', path: '/memories' }
  if (type.startsWith('computer_')) return { action: 'screenshot' }
  return asObject(exampleOf(tool.input_schema, prompt)) ?? {}
}
