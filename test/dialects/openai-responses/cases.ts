import type { TranslationSettings } from '../../../src/dialects/dialect.ts'
import type { Piece, UpstreamEvent } from './world.ts'
import { answerOf, opening } from './world.ts'

/** One conformance case: a request, and upstream's answer where there is one. */
export interface Case {
  readonly name: string
  readonly body: object
  readonly settings?: Partial<TranslationSettings>
  readonly upstream?: readonly UpstreamEvent[]
}

const MODEL = 'claude-opus-5-5'

const PNG = 'data:image/png;base64,iVBORw0KGgoAAAANSUhEUg=='

const EXEC = {
  type: 'function',
  name: 'exec_command',
  description: 'Runs a command.',
  strict: false,
  parameters: { type: 'object', properties: { cmd: { type: 'string' } }, required: ['cmd'] },
}

const AGENTS = {
  type: 'namespace',
  name: 'multi_agent_v1',
  description: 'Sub-agents.',
  tools: [
    { type: 'function', name: 'close_agent', parameters: { type: 'object', properties: {} } },
  ],
}

const PATCH = {
  type: 'custom',
  name: 'apply_patch',
  description: 'Changes files.',
  format: { type: 'grammar', syntax: 'lark', definition: 'start: "*** Begin Patch"' },
}

const THOUGHT: Piece = { thinking: ['The user ', 'greets.'], signature: 'EqQBsig' }
const HIDDEN: Piece = { thinking: [], signature: 'EqQBhidden' }

/** Codex's tools for models that write scripts, and for teams of agents. */
const SCRIPTS = {
  type: 'namespace',
  name: 'functions',
  description: '',
  tools: [
    { type: 'custom', name: 'exec', description: 'Runs a script.', format: { type: 'text' } },
    { type: 'function', name: 'wait', strict: false, parameters: { type: 'object' } },
  ],
}
const TEAM = {
  type: 'namespace',
  name: 'collaboration',
  description: 'Agents.',
  tools: [
    {
      type: 'function',
      name: 'spawn_agent',
      strict: false,
      parameters: {
        type: 'object',
        properties: { task_name: { type: 'string' }, message: { type: 'string', encrypted: true } },
        required: ['task_name', 'message'],
        additionalProperties: false,
      },
    },
  ],
}

/** What Codex sends first. */
const CODEX = {
  model: MODEL,
  stream: true,
  store: false,
  tool_choice: 'auto',
  parallel_tool_calls: true,
  reasoning: { effort: 'high', summary: 'auto' },
  include: ['reasoning.encrypted_content'],
  prompt_cache_key: '0b0c5a8e-7a44-4c2e-8f3a-2f7b1d3c9e55',
  client_metadata: { session: 'x' },
  input: [
    {
      type: 'message',
      id: 'msg_dev',
      role: 'developer',
      content: [{ type: 'input_text', text: 'You are a coding agent.' }],
    },
    {
      type: 'message',
      role: 'developer',
      content: [{ type: 'input_text', text: 'Sandbox: read-only.' }],
    },
    {
      type: 'message',
      role: 'user',
      content: [{ type: 'input_text', text: '<environment_context/>' }],
    },
    { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'say hi' }] },
  ],
  tools: [EXEC, AGENTS, { type: 'web_search', external_web_access: false }],
}

/** What `encrypted_content` of `THOUGHT` is. */
const CARRIED = `cc1.${Buffer.from(
  JSON.stringify({
    b: [{ type: 'thinking', thinking: 'The user greets.', signature: 'EqQBsig' }],
    m: MODEL,
  }),
).toString('base64url')}`

const CODEX_ANSWER = [
  {
    type: 'reasoning',
    id: 'rs_01jdr0000000000000000000aa_0',
    summary: [{ type: 'summary_text', text: 'The user greets.' }],
    content: null,
    encrypted_content: CARRIED,
  },
  {
    type: 'function_call',
    id: 'fc_01jdr0000000000000000000aa_1',
    status: 'completed',
    name: 'exec_command',
    arguments: '{"cmd": "ls"}',
    call_id: 'toolu_01A',
  },
  {
    type: 'function_call',
    id: 'fc_01jdr0000000000000000000aa_2',
    status: 'completed',
    name: 'close_agent',
    namespace: 'multi_agent_v1',
    arguments: '',
    call_id: 'toolu_01B',
  },
]

const CODEX_HISTORY = [
  ...CODEX.input,
  ...CODEX_ANSWER,
  { type: 'function_call_output', call_id: 'toolu_01B', output: 'closed' },
  { type: 'function_call_output', call_id: 'toolu_01A', output: 'README.md' },
]

const ask = (more: object) => ({ model: MODEL, input: 'Hi', ...more })
const user = (text: string) => ({ role: 'user', content: text })
const input = (text: string) => ({ type: 'input_text', text })

const CITATION = {
  type: 'web_search_result_location',
  url: 'https://example.com/a',
  title: 'A',
  cited_text: 'x',
  encrypted_index: 'e',
}

/** All cases, in the order of the reference they check. */
export const CASES: readonly Case[] = [
  {
    name: 'text',
    body: ask({ instructions: 'Be brief.', temperature: 0.2, metadata: { run: '7' }, seed: 1 }),
    upstream: answerOf([{ text: ['Hel', 'lo'] }, { text: [' there'] }]),
  },
  {
    name: 'C51-thinking-and-a-call-without-text',
    body: ask({ tools: [EXEC] }),
    upstream: answerOf(
      [HIDDEN, { call: 'toolu_1', name: 'exec_command', json: ['{"cmd"', ':"ls"}'] }],
      'tool_use',
    ),
  },
  {
    name: 'C52-thinking-text-two-calls-streamed',
    body: { ...CODEX, stream: true },
    upstream: answerOf(
      [
        THOUGHT,
        { text: ['I look', ' around.'] },
        { call: 'toolu_1', name: 'exec_command', json: ['', '{"cmd"', ': "ls"}'] },
        { call: 'toolu_2', name: 'exec_command', json: [] },
      ],
      'tool_use',
    ),
  },
  {
    name: 'C53-namespaced-tool-called',
    body: CODEX,
    upstream: answerOf(
      [{ call: 'toolu_1', name: 'multi_agent_v1__close_agent', json: ['{}'] }],
      'tool_use',
    ),
  },
  {
    name: 'C54-custom-tool',
    body: ask({
      tools: [PATCH],
      input: [
        user('Change a.'),
        { type: 'custom_tool_call', call_id: 'c1', name: 'apply_patch', input: '*** "x"\n' },
        { type: 'custom_tool_call_output', call_id: 'c1', output: 'Done!' },
        user('Once more.'),
      ],
    }),
    upstream: answerOf(
      [
        {
          call: 'toolu_1',
          name: 'apply_patch',
          json: ['{"inp', 'ut": "*** Begin\\', 'n+\\u00', 'e9 \\ud83d', '\\ude00 \\"q\\"', '"}'],
        },
      ],
      'tool_use',
    ),
  },
  {
    name: 'C55-output-with-image',
    body: ask({
      tools: [EXEC],
      input: [
        user('Look.'),
        { type: 'function_call', call_id: 'c1', name: 'exec_command', arguments: '{"cmd":"v"}' },
        {
          type: 'function_call_output',
          call_id: 'c1',
          output: [
            { type: 'input_text', text: 'one image' },
            { type: 'input_image', image_url: PNG, detail: 'high' },
          ],
        },
      ],
    }),
  },
  {
    name: 'C56-upstream-error-amid-the-stream',
    body: { ...CODEX, input: 'Hi', tools: [] },
    upstream: [
      ...opening([]),
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hel' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'lo' } },
      { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } },
    ],
  },
  { name: 'codex-first-turn', body: CODEX, upstream: answerOf([THOUGHT, { text: ['hi'] }]) },
  { name: 'codex-second-turn', body: { ...CODEX, input: CODEX_HISTORY } },
  {
    name: 'codex-compaction-without-tools',
    body: { ...CODEX, tools: [], input: [...CODEX_HISTORY, user('Summarise.')] },
  },
  {
    name: 'codex-output-schema',
    body: {
      ...CODEX,
      text: {
        format: {
          type: 'json_schema',
          strict: true,
          name: 'codex_output_schema',
          schema: { type: 'object', properties: { a: { type: 'string', minLength: 2 } } },
        },
        verbosity: 'low',
      },
    },
  },
  {
    name: 'additional-tools',
    body: ask({
      parallel_tool_calls: false,
      tools: [{ ...EXEC, name: 'functions__exec', description: 'The outer one wins.' }],
      input: [
        {
          type: 'additional_tools',
          role: 'developer',
          tools: [
            {
              type: 'namespace',
              name: 'functions',
              tools: [
                { type: 'custom', name: 'exec', description: 'Inner.' },
                { type: 'custom', name: 'write', description: 'Writes.' },
              ],
            },
          ],
        },
        user('Hi'),
        { type: 'custom_tool_call', call_id: 'c1', name: 'write', input: 'x' },
        { type: 'custom_tool_call_output', call_id: 'c1', output: '' },
      ],
    }),
    upstream: answerOf(
      [{ call: 'toolu_1', name: 'functions__write', json: ['{"input":"y"}'] }],
      'tool_use',
    ),
  },
  {
    // What Codex sends for OpenAI's model names, which an operator may map to Claude.
    name: 'codex-agents-talk',
    body: {
      ...CODEX,
      tools: undefined,
      parallel_tool_calls: false,
      reasoning: { effort: 'medium', context: 'all_turns' },
      text: { verbosity: 'low' },
      input: [
        { type: 'additional_tools', id: 'at_1', role: 'developer', tools: [SCRIPTS, TEAM] },
        ...CODEX.input,
        {
          type: 'message',
          status: 'completed',
          id: 'msg_01jdr0000000000000000000aa_0',
          role: 'assistant',
          content: [{ type: 'output_text', text: 'I ask.', annotations: [], logprobs: [] }],
        },
        {
          type: 'function_call',
          status: 'completed',
          id: 'fc_01jdr0000000000000000000aa_1',
          name: 'spawn_agent',
          namespace: 'collaboration',
          arguments: '{"task_name":"kid","message":"Count."}',
          call_id: 'toolu_01A',
        },
        {
          type: 'function_call_output',
          id: 'fco_1',
          call_id: 'toolu_01A',
          output: '{"task_name":"/root/kid"}',
        },
        {
          type: 'agent_message',
          id: 'amsg_1',
          author: '/root/kid',
          recipient: '/root',
          content: [
            { type: 'input_text', text: 'Message Type: FINAL_ANSWER\nPayload:\n' },
            { type: 'encrypted_content', encrypted_content: 'Forty-two.' },
            { type: 'encrypted_content', encrypted_content: `gAAAAAB${'x'.repeat(93)}==` },
          ],
        },
        {
          type: 'custom_tool_call',
          status: 'completed',
          id: 'ctc_01jdr0000000000000000000bb_0',
          name: 'exec',
          namespace: 'functions',
          input: 'text("hi");',
          call_id: 'toolu_01B',
        },
        {
          type: 'custom_tool_call_output',
          id: 'ctco_1',
          call_id: 'toolu_01B',
          output: [
            { type: 'input_text', text: 'Script completed\nOutput:\n' },
            { type: 'input_text', text: 'hi' },
          ],
        },
      ],
    },
    upstream: answerOf(
      [{ call: 'toolu_1', name: 'functions__exec', json: ['{"input":"text(1)"}'] }],
      'tool_use',
    ),
  },
  {
    name: 'codex-patch-and-tool-search',
    body: {
      ...CODEX,
      tools: [
        EXEC,
        PATCH,
        { type: 'tool_search', execution: 'client', description: 'Finds tools.', parameters: {} },
        { type: 'web_search', external_web_access: true, search_content_types: ['text', 'image'] },
      ],
      input: [
        ...CODEX.input,
        {
          type: 'custom_tool_call',
          id: 'ctc_01jdr0000000000000000000aa_0',
          status: 'completed',
          call_id: 'toolu_1',
          name: 'apply_patch',
          input: '*** Begin Patch\n*** Add File: é.txt\n+"😀" \\ there\n*** End Patch\n',
        },
        { type: 'custom_tool_call_output', id: 'ctco_1', call_id: 'toolu_1', output: 'Done.' },
      ],
    },
  },
  {
    name: 'codex-interrupted-turn',
    body: {
      ...CODEX,
      input: [
        ...CODEX.input,
        // Interrupted after it thought: what it began to say is not kept.
        CODEX_ANSWER[0],
        { type: 'message', role: 'user', content: [input('<turn_aborted>')] },
        { type: 'message', role: 'developer', content: [input('Sandbox: workspace-write.')] },
        { type: 'message', role: 'user', content: [input('<environment_context/>')] },
        { type: 'message', role: 'user', content: [input('And again.')] },
      ],
    },
  },
  {
    name: 'ids-left-out-of-some-items',
    body: ask({
      input: [
        user('Hi'),
        { type: 'reasoning', id: 'rs_01a_0', summary: [], encrypted_content: CARRIED },
        { role: 'assistant', content: 'One.', cache_control: { type: 'ephemeral' } },
        { type: 'function_call', id: 'fc_01a_2', call_id: 'c1', name: 'f', arguments: '{}' },
        { type: 'function_call_output', call_id: 'c1', output: 'It broke.', is_error: true },
        { role: 'assistant', content: 'Two.' },
        { type: 'local_shell_call', id: 'lsh_1', call_id: 'c2', action: {} },
        { type: 'local_shell_call_output', id: 'c2', output: '{}' },
        { type: 'function_call', call_id: 'c3', name: 'f', arguments: '{}' },
        { type: 'function_call_output', call_id: 'c3', output: 'ok' },
      ],
    }),
  },
  {
    name: 'C05-input-that-comes-with-the-start-of-its-call',
    body: ask({ tools: [EXEC, PATCH] }),
    upstream: [
      ...opening([]),
      {
        type: 'content_block_start',
        index: 0,
        content_block: { type: 'tool_use', id: 't1', name: 'exec_command', input: { cmd: 'ls' } },
      },
      { type: 'content_block_stop', index: 0 },
      {
        type: 'content_block_start',
        index: 1,
        content_block: { type: 'tool_use', id: 't2', name: 'apply_patch', input: { input: 'é' } },
      },
      { type: 'content_block_stop', index: 1 },
      {
        type: 'content_block_start',
        index: 2,
        content_block: { type: 'tool_use', id: 't3', name: 'apply_patch', input: {} },
      },
      {
        type: 'content_block_delta',
        index: 2,
        delta: { type: 'input_json_delta', partial_json: '{"patch": "not as asked"}' },
      },
      { type: 'content_block_stop', index: 2 },
      { type: 'message_delta', delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 9 } },
      { type: 'message_stop' },
    ],
  },
  {
    name: 'forced-choice-of-one-of-two-namespaces',
    body: {
      model: 'claude-opus-5',
      input: 'Hi',
      tools: [AGENTS, { ...AGENTS, name: 'multi_agent_v2' }],
      tool_choice: { type: 'function', name: 'close_agent', namespace: 'multi_agent_v2' },
    },
  },
  {
    name: 'web-search-that-must-not-leave-the-house',
    settings: { webSearch: true },
    body: ask({ tools: [{ type: 'web_search', external_web_access: false }, EXEC] }),
  },
  {
    name: 'web-search-twice',
    settings: { webSearch: true },
    body: ask({ tools: [{ type: 'web_search' }, { type: 'web_search_preview' }] }),
  },
  {
    name: 'a-clients-own-web-search',
    settings: { webSearch: true },
    body: ask({ tools: [{ ...EXEC, name: 'web_search' }, { type: 'web_search' }] }),
  },
  {
    name: 'summary-by-its-old-name',
    body: ask({
      reasoning: { generate_summary: 'concise' },
      text: { format: null, verbosity: 'low' },
    }),
    upstream: answerOf([THOUGHT, { text: ['hi'] }]),
  },
  {
    name: 'what-only-its-maker-reads-is-left-out',
    body: ask({
      input: [
        user('Hi'),
        { type: 'ghost_snapshot', ghost_commit: {} },
        { type: 'compaction_summary', encrypted_content: 'gAAAAx' },
        { type: 'context_compaction', encrypted_content: 'gAAAAx' },
        { type: 'tool_search_call', id: 'tsc_1', call_id: 'c1', arguments: {} },
        { type: 'tool_search_output', call_id: 'c1', tools: [] },
      ],
    }),
  },
  {
    name: 'anthropics-own-tool',
    body: ask({
      tools: [
        {
          type: 'custom',
          name: 'get_weather',
          description: 'Weather.',
          input_schema: { type: 'object', properties: { city: { type: 'string' } } },
          cache_control: { type: 'ephemeral' },
        },
        {
          type: 'namespace',
          name: 'maps',
          tools: [
            {
              type: 'custom',
              name: 'route',
              input_schema: { type: 'object' },
              prompt_cache_breakpoint: { mode: 'explicit', ttl: '30m' },
            },
          ],
        },
      ],
    }),
    upstream: answerOf(
      [
        { call: 'toolu_1', name: 'get_weather', json: ['{"city":"Bern"}'] },
        { call: 'toolu_2', name: 'maps__route', json: ['{}'] },
      ],
      'tool_use',
    ),
  },
  {
    name: 'web-search',
    settings: { webSearch: true },
    body: ask({
      tools: [
        {
          type: 'web_search',
          search_context_size: 'low',
          user_location: { type: 'approximate', city: 'Bern', country: null },
          filters: { allowed_domains: ['example.com'] },
        },
      ],
    }),
    upstream: answerOf([
      { text: ['Let me look.'] },
      { search: 'srvtoolu_1', query: 'weather bern' },
      {
        found: 'srvtoolu_1',
        content: [{ type: 'web_search_result', url: 'https://example.com/a' }],
      },
      { text: ['It is '] },
      { text: ['sunny'], citations: [CITATION] },
      { text: ['.'] },
    ]),
  },
  {
    name: 'web-search-fails',
    settings: { webSearch: true },
    body: ask({ tools: [{ type: 'web_search_preview' }] }),
    upstream: answerOf([
      { search: 'srvtoolu_1', query: 'x' },
      { found: 'srvtoolu_1', content: { type: 'web_search_tool_result_error' } },
      { text: ['I could not search.'] },
    ]),
  },
  { name: 'web-search-not-enabled', body: ask({ tools: [{ type: 'web_search' }, EXEC] }) },
  {
    name: 'paused-answer-goes-on',
    settings: { webSearch: true },
    body: ask({ tools: [{ type: 'web_search' }] }),
    upstream: [
      ...answerOf([{ text: ['First '] }], 'pause_turn'),
      ...answerOf([{ text: ['and second.'] }]),
    ],
  },
  {
    name: 'max-output-tokens-in-text',
    body: ask({ max_output_tokens: 20 }),
    upstream: answerOf([{ text: ['Once upon'] }], 'max_tokens'),
  },
  {
    name: 'max-output-tokens-in-a-call',
    body: ask({ tools: [EXEC], max_output_tokens: 20 }),
    upstream: answerOf(
      [
        { call: 'toolu_1', name: 'exec_command', json: ['{"cmd":"a"}'] },
        { call: 'toolu_2', name: 'exec_command', json: ['{"cmd":"rm -rf /tmp'] },
      ],
      'max_tokens',
    ),
  },
  {
    name: 'max-output-tokens-before-a-calls-input',
    body: ask({ tools: [EXEC] }),
    upstream: answerOf([{ call: 'toolu_1', name: 'exec_command', json: [] }], 'max_tokens'),
  },
  {
    name: 'max-output-tokens-in-thinking',
    body: ask({}),
    upstream: answerOf([{ thinking: ['Hm'], signature: '' }], 'max_tokens'),
  },
  {
    name: 'context-window-exceeded',
    body: ask({}),
    upstream: answerOf([{ text: ['x'] }], 'model_context_window_exceeded'),
  },
  {
    name: 'refusal-without-text',
    body: ask({}),
    upstream: answerOf([], 'refusal', { stop_details: { category: 'cyber', explanation: null } }),
  },
  {
    name: 'refusal-after-text',
    body: ask({}),
    upstream: answerOf([{ text: ['Sure, '] }], 'refusal', {
      stop_details: { category: 'bio', explanation: 'This is not allowed.' },
    }),
  },
  { name: 'no-stop-reason', body: ask({}), upstream: answerOf([{ text: ['x'] }], null) },
  {
    name: 'redacted-thinking',
    body: ask({}),
    upstream: answerOf([{ redacted: 'EmwKAhgB' }, { text: ['ok'] }]),
  },
  {
    name: 'loose-json-in-a-fence',
    body: ask({ text: { format: { type: 'json_object' } } }),
    upstream: answerOf([{ text: ['```json\n{"a"', ':1}\n```'] }]),
  },
  {
    name: 'foreign-and-broken-reasoning-is-dropped',
    body: ask({
      input: [
        user('Hi'),
        { type: 'reasoning', id: 'rs_x', summary: [], encrypted_content: 'gAAAAABforeign' },
        { type: 'reasoning', id: 'rs_y', summary: [], encrypted_content: 'cc1.%%%' },
        { type: 'reasoning', id: 'rs_z', summary: [] },
        { role: 'assistant', content: [{ type: 'output_text', text: 'Hello.' }] },
        user('Go on.'),
      ],
    }),
  },
  {
    name: 'two-answers-in-a-row',
    body: ask({
      input: [
        user('Hi'),
        { type: 'reasoning', id: 'rs_01a_0', summary: [], encrypted_content: CARRIED },
        { type: 'message', id: 'msg_01a_1', role: 'assistant', content: 'One.' },
        { type: 'message', id: 'msg_01b_0', role: 'assistant', content: 'Two.' },
        { type: 'web_search_call', id: 'ws_01b_1', status: 'completed' },
        { type: 'message', id: 'msg_01b_2', role: 'assistant', content: 'Two again.' },
      ],
    }),
  },
  {
    name: 'ids-left-out-of-reasoning',
    body: ask({
      input: [
        user('Hi'),
        { type: 'reasoning', summary: [], encrypted_content: CARRIED },
        { type: 'message', id: 'msg_01a_1', role: 'assistant', content: 'One.' },
        user('And?'),
        { role: 'assistant', content: 'Two.' },
        { type: 'reasoning', summary: [], encrypted_content: CARRIED },
        { role: 'assistant', content: 'Three.' },
        user('Go on.'),
      ],
    }),
  },
  {
    name: 'long-and-odd-tool-names',
    body: ask({
      tools: [
        { type: 'namespace', name: `mcp__${'long'.repeat(15)}`, tools: [EXEC] },
        { ...EXEC, name: 'files.read' },
      ],
      input: [
        user('Hi'),
        {
          type: 'function_call',
          call_id: 'functions.read:0',
          name: 'files.read',
          arguments: '{bad',
        },
        { type: 'function_call_output', call_id: 'functions.read:0', output: 'x' },
        { type: 'function_call', call_id: 'c2', name: 'exec_command', arguments: '{}' },
        { type: 'function_call_output', call_id: 'c2', output: 'y' },
      ],
    }),
    upstream: answerOf(
      [
        { call: 'toolu_1', name: 'files_read_a3da5b', json: ['{}'] },
        { call: 'toolu_2', name: 'unknown', json: ['{}'] },
      ],
      'tool_use',
    ),
  },
  {
    name: 'C17-developer-message-later-on-opus-4-8',
    body: {
      model: 'anthropic/claude-opus-4-8',
      input: [
        user('a'),
        { role: 'assistant', content: 'b' },
        { role: 'developer', content: 'c' },
        user('d'),
      ],
    },
  },
  {
    name: 'C18-developer-message-later-on-sonnet-5',
    body: {
      model: 'claude-sonnet-5',
      input: [
        user('a'),
        { role: 'assistant', content: 'b' },
        { role: 'developer', content: 'c' },
        user('d'),
      ],
    },
  },
  { name: 'C19-only-instructions', body: ask({ instructions: 'Be kind.', input: [] }) },
  {
    name: 'C29-forced-choice-degraded',
    body: ask({ tools: [AGENTS], tool_choice: { type: 'function', name: 'close_agent' } }),
  },
  {
    name: 'forced-choice-of-a-namespaced-tool',
    body: {
      model: 'claude-opus-5',
      input: 'Hi',
      tools: [AGENTS],
      tool_choice: { type: 'function', name: 'close_agent' },
    },
  },
  {
    name: 'allowed-tools',
    body: ask({
      model: 'claude-opus-5',
      tools: [EXEC, PATCH],
      tool_choice: { type: 'allowed_tools', mode: 'required', tools: [{ type: 'custom' }] },
    }),
  },
  {
    name: 'hosted-tools-are-left-out',
    body: ask({
      tools: [{ type: 'image_generation' }, { type: 'local_shell' }, EXEC],
      tool_choice: { type: 'image_generation' },
      input: [user('Hi'), { type: 'mcp_call', id: 'm', name: 'x', arguments: '{}' }],
    }),
  },
  {
    name: 'files-and-cache-breakpoints',
    body: ask({
      prompt_cache_retention: '24h',
      safety_identifier: 'ann@example.com',
      service_tier: 'default',
      input: [
        {
          role: 'user',
          content: [
            { type: 'input_text', text: 'Read.', prompt_cache_breakpoint: { mode: 'explicit' } },
            { type: 'input_file', file_url: 'https://example.com/a.pdf', filename: 'a.pdf' },
            { type: 'input_image', image_url: 'https://example.com/a.png' },
            { type: 'input_image', image_url: { url: PNG } },
            { type: 'input_text', text: ' ', cache_control: { type: 'ephemeral', ttl: '1h' } },
          ],
        },
      ],
    }),
  },
  {
    name: 'refused-previous-response',
    body: ask({ previous_response_id: 'resp_1' }),
  },
  { name: 'refused-background', body: ask({ background: true }) },
  { name: 'refused-conversation', body: ask({ conversation: 'conv_1' }) },
  { name: 'refused-without-model', body: { input: 'Hi' } },
  { name: 'refused-without-input', body: { model: MODEL } },
  { name: 'refused-empty-input', body: ask({ input: [user('  ')] }) },
  { name: 'refused-item-reference', body: ask({ input: [{ id: 'msg_1' }] }) },
  { name: 'refused-unknown-item', body: ask({ input: [user('a'), { type: 'hologram' }] }) },
  { name: 'refused-unknown-role', body: ask({ input: [{ role: 'critic', content: 'a' }] }) },
  {
    name: 'C47-refused-audio',
    body: ask({ input: [{ role: 'user', content: [{ type: 'input_audio', data: '' }] }] }),
  },
  {
    name: 'refused-file-id',
    body: ask({ input: [{ role: 'user', content: [{ type: 'input_image', file_id: 'file_1' }] }] }),
  },
  {
    name: 'refused-image-in-developer-message',
    body: ask({
      input: [{ role: 'developer', content: [{ type: 'input_image', image_url: PNG }] }, user('a')],
    }),
  },
  {
    name: 'refused-output-without-call',
    body: ask({ input: [user('a'), { type: 'function_call_output', call_id: 'x', output: 'y' }] }),
  },
  {
    name: 'refused-call-without-output',
    body: ask({
      input: [
        user('a'),
        { type: 'function_call', call_id: 'x', name: 'f', arguments: '{}' },
        { type: 'function_call', call_id: 'y', name: 'f', arguments: '{}' },
        user('b'),
      ],
    }),
  },
  { name: 'refused-tool-type', body: ask({ tools: [EXEC, { type: 'mcp', server_label: 'x' }] }) },
  { name: 'refused-tool-twice', body: ask({ tools: [EXEC, EXEC] }) },
  { name: 'refused-effort', body: ask({ reasoning: { effort: 'heroic' } }) },
]
