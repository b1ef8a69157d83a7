import assert from 'node:assert/strict'
import { isUtf8 } from 'node:buffer'
import { test } from 'node:test'
import type { BodyFacts } from '../../src/wire/inspect.ts'
import {
  BLOCK_CACHED,
  BLOCK_CACHED_1H,
  BLOCK_FIELDS,
  BLOCK_NESTED_CACHE,
  BLOCK_STRING,
  BlockRole,
  BlockSection,
  BlockType,
  inspect,
} from '../../src/wire/inspect.ts'

const ABSENT = { type: 'absent' }

function facts(body: unknown): BodyFacts {
  const result = inspect(Buffer.from(JSON.stringify(body)), { isUtf8 })
  assert.equal(result.kind, 'ok')
  if (result.kind !== 'ok') throw new Error('unreachable')
  return result.facts
}

function content(...blocks: unknown[]): BodyFacts {
  return facts({ messages: [{ role: 'user', content: blocks }] })
}

const text = (value: string) => ({ type: 'string', value })
const integer = (value: number) => ({ type: 'number', value, integer: true })

test('an agent turn yields all that admission and the bound ask for', () => {
  const body = {
    model: 'claude-sonnet-5-5',
    max_tokens: 32_000,
    stream: true,
    metadata: { user_id: 'user_1_account__session_2' },
    thinking: { type: 'adaptive', display: 'omitted' },
    output_config: { effort: 'high' },
    context_management: { edits: [{ type: 'clear_tool_uses_20250919' }] },
    system: [
      { type: 'text', text: 'x-anthropic-billing-header: cc_version=2' },
      { type: 'text', text: 'You are an agent.', cache_control: { type: 'ephemeral', ttl: '1h' } },
    ],
    tools: [
      { name: 'Read', description: 'Reads "a" file.\n', input_schema: { type: 'object' } },
      { type: 'custom', name: 'Write', input_schema: { type: 'object' } },
      { type: 'web_search_20260209', name: 'web_search', max_uses: 4 },
    ],
    messages: [
      { role: 'user', content: 'List the files.' },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: '', signature: 'c2ln'.repeat(200) },
          { type: 'tool_use', id: 'toolu_1', name: 'Read', input: { path: 'a "b"' } },
        ],
      },
      {
        role: 'user',
        content: [
          {
            type: 'tool_result',
            tool_use_id: 'toolu_1',
            content: '1\tconst a = 1\n',
            cache_control: { type: 'ephemeral' },
          },
        ],
      },
    ],
  }
  const bytes = Buffer.from(JSON.stringify(body))
  const all = facts(body)
  const { blocks, topLevel, userIdSpan, ...rest } = all
  assert.deepEqual(rest, {
    model: text('claude-sonnet-5-5'),
    maxTokens: integer(32_000),
    stream: { type: 'boolean', value: true },
    speed: ABSENT,
    inferenceGeo: ABSENT,
    serviceTier: ABSENT,
    messages: { type: 'array', count: 3 },
    system: 'array',
    thinking: { is: 'object', type: text('adaptive'), budgetTokens: ABSENT },
    thread: { is: 'absent', type: ABSENT, previousMessageId: ABSENT },
    container: { is: 'absent', id: ABSENT },
    diagnosticsMessageId: ABSENT,
    hasFallbackCreditToken: false,
    fallbacks: { kind: 'none' },
    mayCompact: false,
    mayClear: true,
    mcpServers: 0,
    clientTools: 2,
    serverTools: [
      {
        family: 'web_search',
        type: 'web_search_20260209',
        model: ABSENT,
        maxUses: integer(4),
        maxTokens: ABSENT,
      },
    ],
    toolChoice: ABSENT,
    effort: text('high'),
    hasOutputFormat: false,
    hasCacheControl: true,
    hasCacheControl1h: true,
    images: { base64: 0, url: 0, file: 0, other: 0 },
    documents: { base64: 0, url: 0, file: 0, other: 0, text: 0, content: 0, base64Bytes: 0 },
    containerUploads: 0,
    fileIds: 0,
    files: [],
    thinkingHistory: { signed: 1, unsigned: 0, redacted: 0 },
    hasToolChanges: false,
    textBytes: bytes.length,
    denseBytes: 0,
    opaqueBytes: 800,
    tokenCount: all.tokenCount,
    maxDepth: 6,
  })
  assert.deepEqual([...topLevel.keys()], Object.keys(body))
  const [start, end] = userIdSpan ?? [0, 0]
  assert.equal(bytes.toString('utf8', start, end), '"user_1_account__session_2"')
  assert.equal(blocks.count, 9)
})

test('the block table says where each block is, whose it is and what is marked', () => {
  const body = {
    tools: [{ name: 'a' }, { name: 'b', cache_control: { type: 'ephemeral', ttl: '1h' } }],
    system: 'Be brief.',
    messages: [
      { content: 'hello "you"', role: 'user' },
      { role: 'assistant', content: [{ type: 'text', text: 'hi' }] },
      {
        role: 'user',
        content: [
          { type: 'future', cache_control: null },
          {
            type: 'tool_result',
            content: [{ type: 'text', text: 'x', cache_control: { type: 'ephemeral' } }],
          },
        ],
      },
    ],
  }
  const bytes = Buffer.from(JSON.stringify(body))
  const { count, data } = facts(body).blocks
  const rows = Array.from({ length: count }, (_, k) => {
    const [start = 0, end = 0, bits = 0, index = 0, cacheStart = 0, cacheEnd = 0] = data.slice(
      k * BLOCK_FIELDS,
      (k + 1) * BLOCK_FIELDS,
    )
    return {
      block: JSON.parse(bytes.toString('utf8', start, end)) as unknown,
      section: bits & 3,
      role: (bits >> 2) & 3,
      flags: bits & 0xf0,
      type: bits >> 8,
      index,
      cache: bytes.toString('utf8', cacheStart, cacheEnd),
    }
  })
  const { tools, system, messages } = BlockSection
  const plain = { role: BlockRole.none, flags: 0, type: BlockType.other, cache: '' }
  const [first, second] = body.tools
  const last = body.messages[2]?.content as unknown[]
  assert.deepEqual(rows, [
    { ...plain, block: first, section: tools, index: 0 },
    {
      ...plain,
      block: second,
      section: tools,
      index: 1,
      flags: BLOCK_CACHED | BLOCK_CACHED_1H,
      cache: '"cache_control":{"type":"ephemeral","ttl":"1h"}',
    },
    {
      ...plain,
      block: 'Be brief.',
      section: system,
      index: 0,
      flags: BLOCK_STRING,
      type: BlockType.text,
    },
    {
      ...plain,
      block: 'hello "you"',
      section: messages,
      role: BlockRole.user,
      index: 0,
      flags: BLOCK_STRING,
      type: BlockType.text,
    },
    {
      ...plain,
      block: { type: 'text', text: 'hi' },
      section: messages,
      role: BlockRole.assistant,
      index: 1,
      type: BlockType.text,
    },
    { ...plain, block: last[0], section: messages, role: BlockRole.user, index: 2 },
    {
      ...plain,
      block: last[1],
      section: messages,
      role: BlockRole.user,
      index: 2,
      flags: BLOCK_NESTED_CACHE,
      type: BlockType.tool_result,
    },
  ])
})

test('the table holds thousands of blocks', () => {
  const blocks = Array.from({ length: 5000 }, () => ({ type: 'text', text: 'x' }))
  assert.equal(content(...blocks).blocks.count, 5000)
})

test('files that upstream is to read are named once, those that code wrote are not', () => {
  const output = { type: 'bash_code_execution_output', file_id: 'file_written' }
  const result = { type: 'bash_code_execution_result', stdout: '', content: [output] }
  const all = content(
    { type: 'image', source: { file_id: 'file_1', type: 'file' } },
    { file_id: 'file_2', type: 'container_upload' },
    { type: 'not_yet_invented', file_id: 'file_3' },
    { type: 'document', source: { type: 'file', file_id: 'file_\u0031' } },
    { type: 'tool_result', content: [{ type: 'image', source: { file_id: 'file_4' } }] },
    { type: 'bash_code_execution_tool_result', content: result },
    { type: 'code_execution_output', file_id: 'file_written' },
    { type: 'tool_use', input: { file_id: 'file_5', source: { file_id: 'file_6' } } },
    { type: 'container_upload', file_id: 7 },
  )
  assert.deepEqual(all.files, ['file_1', 'file_2', 'file_3', 'file_4'])
  assert.equal(all.fileIds, 8)
  const many = Array.from({ length: 1_500 }, (_, i) => ({ type: 'image', file_id: `f${i}` }))
  assert.equal(content(...many).files.length, 1_001)
})

test('images and documents are counted by source, wherever they stand', () => {
  const data = 'QUJD'.repeat(100)
  const base64 = { type: 'base64', media_type: 'application/pdf', data }
  const all = content(
    { type: 'image', source: base64 },
    { source: { data, type: 'base64' }, type: 'image' },
    { type: 'image', source: { type: 'url', url: 'https://x.test/a.png' } },
    { type: 'image', source: { type: 'file', file_id: 'file_1' } },
    { type: 'image' },
    { type: 'document', source: base64 },
    { type: 'document', source: { type: 'text', media_type: 'text/plain', data } },
    { type: 'document', source: { type: 'content', content: [{ type: 'image', source: base64 }] } },
    { type: 'document', source: { type: 'url', url: 'https://x.test/a.pdf' } },
    { type: 'container_upload', file_id: 'file_2' },
    { type: 'tool_result', content: [{ type: 'image', source: base64 }] },
    {
      type: 'web_fetch_tool_result',
      content: { type: 'web_fetch_result', content: { type: 'document', source: base64 } },
    },
  )
  assert.deepEqual(all.images, { base64: 4, url: 1, file: 1, other: 1 })
  assert.deepEqual(all.documents, {
    base64: 2,
    url: 1,
    file: 0,
    other: 0,
    text: 1,
    content: 1,
    base64Bytes: 800,
  })
  assert.equal(all.containerUploads, 1)
  assert.equal(all.fileIds, 2)
  // Six base64 sources of 400 bytes are no text; the text document is, and dense at that.
  const body = { messages: [{ role: 'user', content: [{ type: 'image', source: base64 }] }] }
  assert.equal(facts(body).textBytes, JSON.stringify(body).length - 400)
  assert.equal(all.denseBytes, 400)
})

test('base64 in a block that is neither image nor document counts as dense text', () => {
  const source = { type: 'base64', data: 'QUJD'.repeat(100) }
  const all = content({ type: 'image2', source })
  assert.equal(all.denseBytes, 400)
  assert.equal(all.images.other, 0)
})

test('cache_control counts where it is an API field, and only there', () => {
  const cache_control = { type: 'ephemeral', ttl: '1h' }
  const marked = [
    facts({ cache_control }),
    facts({ system: [{ type: 'text', text: '', cache_control }] }),
    facts({ tools: [{ name: 'a', cache_control }] }),
    content({ type: 'text', text: '', cache_control }),
    content({ type: 'tool_result', content: [{ type: 'text', text: '', cache_control }] }),
    facts({ tools: [{ type: 'advisor_20260301', caching: { type: 'ephemeral', ttl: '1h' } }] }),
  ]
  for (const all of marked) {
    assert.equal(all.hasCacheControl, true)
    assert.equal(all.hasCacheControl1h, true)
  }
  assert.equal(facts({ cache_control: { type: 'ephemeral' } }).hasCacheControl1h, false)
  assert.equal(facts({ cache_control: null }).hasCacheControl, false)
  assert.equal(content({ type: 'tool_use', input: { cache_control } }).hasCacheControl, false)
  assert.equal(facts({ tools: [{ input_schema: { cache_control } }] }).hasCacheControl, false)
})

test('server tools are told from client tools, and unknown types are named', () => {
  const types = [
    ...[undefined, null, 'custom', 'bash_20250124', 'text_editor_20250728', 'memory_20250818'],
    ...['computer_20251124', 'browser_toolset_20260801', 'computer_toolset_20260801'],
  ]
  assert.equal(facts({ tools: types.map((type) => ({ type })) }).clientTools, types.length)
  const server = [
    ...['web_search_20250305', 'web_fetch_20260318', 'code_execution_20260521', 'mcp_toolset'],
    ...['tool_search_tool_bm25_20251119', 'advisor_20260301', 'mind_reading_2027', 7],
  ]
  const { serverTools, clientTools } = facts({
    tools: server.map((type) => ({ type, model: 'claude-opus-5-5', max_uses: 3, max_tokens: 99 })),
  })
  assert.equal(clientTools, 0)
  assert.deepEqual(
    serverTools.map(({ family }) => family),
    [
      ...['web_search', 'web_fetch', 'code_execution', 'mcp_toolset', 'tool_search', 'advisor'],
      ...['unknown', 'unknown'],
    ],
  )
  assert.deepEqual(serverTools[5], {
    family: 'advisor',
    type: 'advisor_20260301',
    model: text('claude-opus-5-5'),
    maxUses: integer(3),
    maxTokens: integer(99),
  })
})

test('what ties a request to one account is found', () => {
  const all = facts({
    thread: { type: 'continue', previous_message_id: 'msg_1' },
    container: 'container_1',
    diagnostics: { previous_message_id: 'msg_0' },
    fallback_credit_token: { token: 'x' },
    mcp_servers: [{ type: 'url', url: 'https://x.test' }, { name: 'b' }],
    tool_choice: { type: 'any', disable_parallel_tool_use: true },
    output_config: { format: { type: 'json_schema', schema: {} } },
  })
  assert.deepEqual(all.thread, {
    is: 'object',
    type: text('continue'),
    previousMessageId: text('msg_1'),
  })
  assert.deepEqual(all.container, { is: 'string', id: text('container_1') })
  assert.deepEqual(all.diagnosticsMessageId, text('msg_0'))
  assert.equal(all.hasFallbackCreditToken, true)
  assert.equal(all.mcpServers, 2)
  assert.deepEqual(all.toolChoice, text('any'))
  assert.equal(all.hasOutputFormat, true)
  assert.deepEqual(facts({ container: { id: 'c', skills: [] } }).container, {
    is: 'object',
    id: text('c'),
  })
  assert.equal(facts({ fallback_credit_token: null }).hasFallbackCreditToken, false)
  assert.equal(facts({ output_format: {} }).hasOutputFormat, true)
  const changes = content({ type: 'tool_addition', tool: { name: 'x' } })
  assert.equal(changes.hasToolChanges, true)
})

test('what clears the context is told apart from what may ask a model to shorten it', () => {
  const mayCompact = (context_management: unknown) => facts({ context_management }).mayCompact
  const clears = [
    { type: 'clear_thinking_20251015', keep: 'all' },
    { type: 'clear_tool_uses_20250919', trigger: { type: 'input_tokens', value: 9 } },
  ]
  for (const none of [null, {}, { edits: [] }, { edits: null }, { edits: clears }])
    assert.equal(mayCompact(none), false, JSON.stringify(none))
  const compact = { type: 'compact_20260112' }
  const unknown = [{}, 1, 'compact', { type: 'clear_everything_20270101' }, { type: null }]
  for (const edit of [compact, ...unknown])
    assert.equal(mayCompact({ edits: [...clears, edit] }), true, JSON.stringify(edit))
  for (const odd of [1, 'x', [], true, { edits: {} }, { edits: 'compact' }, { summary: {} }])
    assert.equal(mayCompact(odd), true, JSON.stringify(odd))
  assert.equal(facts({ compaction: {} }).mayCompact, true)
  assert.equal(facts({}).mayCompact, false)
})

test('only an edit that keeps all thinking leaves the prompt as the body has it', () => {
  const mayClear = (...edits: unknown[]) => facts({ context_management: { edits } }).mayClear
  const keepsAll = { type: 'clear_thinking_20251015', keep: 'all' }
  assert.equal(mayClear(), false)
  assert.equal(mayClear(keepsAll), false)
  assert.equal(mayClear({ ...keepsAll, keep: { type: 'thinking_turns', value: 1 } }), true)
  assert.equal(mayClear({ type: 'clear_thinking_20251015' }), true)
  assert.equal(mayClear(keepsAll, { type: 'clear_tool_uses_20250919' }), true)
  assert.equal(mayClear({ type: 'clear_tool_uses_20250919', keep: 'all' }, keepsAll), true)
  assert.equal(mayClear({ type: 'compact_20260112' }), true)
})

test('fallbacks are none, the default, a list, or malformed', () => {
  assert.deepEqual(facts({ fallbacks: null }).fallbacks, { kind: 'none' })
  assert.deepEqual(facts({ fallbacks: 'default' }).fallbacks, { kind: 'default' })
  assert.deepEqual(facts({ fallbacks: 'other' }).fallbacks, { kind: 'malformed' })
  assert.deepEqual(facts({ fallbacks: [1] }).fallbacks, { kind: 'malformed' })
  assert.deepEqual(facts({ fallbacks: [{ model: 'a', speed: 'fast' }, {}] }).fallbacks, {
    kind: 'list',
    entries: [
      { model: text('a'), maxTokens: ABSENT, speed: text('fast') },
      { model: ABSENT, maxTokens: ABSENT, speed: ABSENT },
    ],
  })
})

test('thinking in the history is counted by signature', () => {
  const all = content(
    { type: 'thinking', thinking: 'hm', signature: 'c2ln' },
    { type: 'thinking', thinking: 'hm', signature: '' },
    { type: 'thinking', thinking: 'hm' },
    { type: 'redacted_thinking', data: 'QUJD'.repeat(100) },
  )
  assert.deepEqual(all.thinkingHistory, { signed: 1, unsigned: 2, redacted: 1 })
  assert.equal(all.opaqueBytes, 404)
  assert.equal(all.denseBytes, 0)
})

test('wrong types are told as they are, for admission to refuse', () => {
  const all = facts({ model: 5, max_tokens: '9', stream: null, messages: {}, system: 3 })
  assert.deepEqual(all.model, integer(5))
  assert.deepEqual(all.maxTokens, text('9'))
  assert.deepEqual(all.stream, { type: 'null' })
  assert.deepEqual(all.messages, { type: 'object', count: 0 })
  assert.equal(all.system, 'number')
  const result = inspect(Buffer.from('{"m\\u006fdel":"caf\\u00e9"}'))
  assert.deepEqual(result.kind === 'ok' && result.facts.model, text('café'))
})
