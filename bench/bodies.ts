// The requests that the bench sends: deterministic, shaped like what clients send.

import { BENCH_HEADER, BENCH_MODEL } from './answers.ts'

/** Bodies by name; all ask for the same model. */
export interface Bodies {
  readonly small: Buffer
  readonly stream: Buffer
  /** About 30 KB: an agent's turn with system blocks, tools, tool results and cache marks. */
  readonly agent: Buffer
  /** 1 MiB of text in one conversation. */
  readonly text: Buffer
  /** 8 MiB, nearly all of it base64 images. */
  readonly images: Buffer
}

const WORDS =
  'the gateway reads a body once and forwards the same bytes because what was checked is what was priced ' +
  'const let return await import export function if else while type readonly string number null'
const MARKS = ['\n', '\n\n', '. ', ', ', ' "quoted" ', '\t', ' {', '} ', ' (', ') ', ' = ', ' \\n ']

/** Numbers from 0 to 1 that are the same in every run. */
function sequence(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/** Prose and code of so many characters, with the escapes that JSON makes of them. */
function prose(length: number, seed: number): string {
  const random = sequence(seed)
  const words = WORDS.split(' ')
  const parts: string[] = []
  for (let size = 0; size < length; ) {
    const word = words[Math.floor(random() * words.length)] ?? ''
    const mark = random() < 0.15 ? (MARKS[Math.floor(random() * MARKS.length)] ?? ' ') : ' '
    parts.push(word, mark)
    size += word.length + mark.length
  }
  return parts.join('').slice(0, length)
}

function base64(bytes: number, seed: number): string {
  const random = sequence(seed)
  const data = Buffer.allocUnsafe(bytes)
  for (let i = 0; i < bytes; i++) data[i] = random() * 256
  return data.toString('base64')
}

const cached = { cache_control: { type: 'ephemeral' } }

function tool(name: string, seed: number) {
  const properties = Object.fromEntries(
    ['path', 'pattern', 'content', 'limit'].map((key, i) => [
      key,
      { type: i === 3 ? 'integer' : 'string', description: prose(90, seed + i) },
    ]),
  )
  return {
    name,
    description: prose(420, seed),
    input_schema: {
      type: 'object',
      properties,
      required: ['path'],
      additionalProperties: false,
      $schema: 'http://json-schema.org/draft-07/schema#',
    },
  }
}

function agentTurn() {
  const turns = Array.from({ length: 6 }, (_, i) => [
    {
      role: 'assistant',
      content: [
        { type: 'text', text: prose(160, 300 + i) },
        {
          type: 'tool_use',
          id: `toolu_01Bench${String(i).padStart(17, '0')}`,
          name: 'Read',
          input: { path: `/home/user/project/src/file-${i}.ts`, limit: 200 },
        },
      ],
    },
    {
      role: 'user',
      content: [
        {
          type: 'tool_result',
          tool_use_id: `toolu_01Bench${String(i).padStart(17, '0')}`,
          content: [{ type: 'text', text: prose(1100, 400 + i) }],
          ...(i >= 4 ? cached : {}),
        },
      ],
    },
  ]).flat()
  return {
    model: BENCH_MODEL,
    max_tokens: 8192,
    system: [
      { type: 'text', text: 'You are an agent that edits code.' },
      { type: 'text', text: prose(9000, 100), ...cached },
    ],
    tools: ['Read', 'Write', 'Edit', 'Grep', 'Glob', 'Bash', 'Fetch', 'Plan', 'Ask', 'Done'].map(
      (name, i) => tool(name, 200 + i * 10),
    ),
    messages: [{ role: 'user', content: [{ type: 'text', text: prose(600, 1) }] }, ...turns],
    metadata: {
      user_id: 'user_0123456789abcdef_account__session_00000000-0000-4000-8000-000000000000',
    },
    temperature: 1,
  }
}

const asBytes = (body: object): Buffer => Buffer.from(JSON.stringify(body))

/** Text whose JSON form brings the body near so many bytes. */
function textBody(bytes: number) {
  const messages = Array.from({ length: 9 }, (_, i) => ({
    role: i % 2 === 0 ? 'user' : 'assistant',
    content: [{ type: 'text', text: prose(Math.floor(bytes / 9.35), i + 1) }],
  }))
  return { model: BENCH_MODEL, max_tokens: 1024, messages }
}

function imageBody(bytes: number) {
  const images = Array.from({ length: 4 }, (_, i) => ({
    type: 'image',
    source: {
      type: 'base64',
      media_type: 'image/png',
      data: base64(Math.floor((bytes / 4) * 0.7499), i + 1),
    },
  }))
  const content = [...images, { type: 'text', text: 'What do these pictures show?' }]
  return { model: BENCH_MODEL, max_tokens: 1024, messages: [{ role: 'user', content }] }
}

/** Builds all bodies; takes some 0.1 s. */
export function buildBodies(): Bodies {
  const small = {
    model: BENCH_MODEL,
    max_tokens: 64,
    messages: [{ role: 'user', content: 'Hello, Claude' }],
  }
  return {
    small: asBytes(small),
    stream: asBytes({ ...small, max_tokens: 1024, stream: true }),
    agent: asBytes(agentTurn()),
    text: asBytes(textBody(1024 * 1024)),
    images: asBytes(imageBody(8 * 1024 * 1024)),
  }
}

/** One whole request as bytes; `bench` is the hint to the canned upstream. */
export function requestBytes(want: {
  readonly port: number
  readonly key: string
  readonly body: Buffer
  readonly bench?: string
  readonly path?: string
}): Buffer {
  const lines = [
    `POST ${want.path ?? '/v1/messages'} HTTP/1.1`,
    `host: 127.0.0.1:${want.port}`,
    `x-api-key: ${want.key}`,
    'anthropic-version: 2023-06-01',
    'content-type: application/json',
    'accept: application/json',
    'user-agent: ccgate-bench/1',
    `content-length: ${want.body.length}`,
  ]
  if (want.bench !== undefined) lines.push(`${BENCH_HEADER}: ${want.bench}`)
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), want.body])
}
