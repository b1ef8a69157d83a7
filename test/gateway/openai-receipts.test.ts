import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  answerEvents,
  postOpenAi,
  scriptedUpstream,
  streams,
  textBlock,
} from '../support/openai.ts'
import { world } from '../support/world.ts'

type Event = Record<string, unknown> & { type: string }

/** What upstream says of its use at the beginning and at the end; some of it nobody can mean. */
const USES: Readonly<Record<string, readonly [start: unknown, end: unknown]>> = {
  plain: [{ input_tokens: 20, output_tokens: 1 }, { output_tokens: 30 }],
  'none at the end': [{ input_tokens: 20, output_tokens: 1 }, undefined],
  'none at the beginning': [undefined, { output_tokens: 30 }],
  huge: [{ input_tokens: 20, output_tokens: 1 }, { output_tokens: 1e12 }],
  negative: [{ input_tokens: 20, output_tokens: 1 }, { output_tokens: -4 }],
  fractions: [{ input_tokens: 20.5, output_tokens: 1 }, { output_tokens: 3.5 }],
  texts: [{ input_tokens: '20', output_tokens: 1 }, { output_tokens: '30' }],
}

function script([start, end]: readonly [unknown, unknown]) {
  const events = answerEvents([textBlock('Hello ', 'there, this is some text.')], 'end_turn')
  return streams(
    (events as Event[]).map((event) => {
      if (event.type === 'message_start')
        return { ...event, message: { ...(event.message as object), usage: start } }
      return event.type === 'message_delta' ? { ...event, usage: end } : event
    }),
  )
}

test('an answer of OpenAI’s formats has the numbers of its receipt, also where upstream’s cannot be meant', async (t) => {
  let use: readonly [unknown, unknown] = USES.plain
  const upstream = await scriptedUpstream(t, [
    (response, request) => script(use)(response, request),
  ])
  const w = await world(t, { account: () => ({ baseUrl: upstream.url }) })
  const model = 'claude-sonnet-4-6'
  for (const [name, figures] of Object.entries(USES)) {
    use = figures
    const chat = await postOpenAi(w, '/v1/chat/completions', {
      model,
      messages: [{ role: 'user', content: 'Hi' }],
    })
    const { usage: told } = (await chat.json()) as { usage: Record<string, never> }
    const row = await w.usage(chat.headers.get('x-cc-request-id') ?? '')
    const { input, output, cacheRead, cacheWrite5m, cacheWrite1h } = row.tokens
    const prompt = input + cacheRead + cacheWrite5m + cacheWrite1h
    assert.deepEqual(
      [told.prompt_tokens, told.completion_tokens, told.cost_micro],
      [prompt, output, row.costMicro],
      `${name}, chat`,
    )
    const made = await postOpenAi(w, '/v1/responses', { model, input: 'Hi' })
    const { usage } = (await made.json()) as { usage: Record<string, never> }
    const billed = await w.usage(made.headers.get('x-cc-request-id') ?? '')
    assert.deepEqual(
      [usage.output_tokens, usage.cost_micro],
      [billed.tokens.output, billed.costMicro],
      `${name}, responses`,
    )
  }
})
