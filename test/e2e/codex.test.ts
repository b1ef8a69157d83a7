import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { makeKeySecret } from '../../src/access/key.ts'
import { parseScript } from '../../src/sandbox/script.ts'
import {
  answerEvents,
  eventText,
  type ScriptedEvent,
  type ScriptedRequest,
  scriptedUpstream,
  textBlock,
  toolBlock,
} from '../support/openai.ts'
import { type World, world } from '../support/world.ts'
import { attemptsOf, type CodexOptions, codexFor, errorOf, noCodex } from './codex-cli.ts'

const MODEL = 'claude-opus-5-5'
const RED_DOT =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

/** A world whose upstream answers with what `say` makes of a request and of how many came before it. */
async function scripted(
  t: TestContext,
  say: (request: ScriptedRequest, n: number) => readonly ScriptedEvent[],
): Promise<{ readonly w: World; readonly requests: readonly ScriptedRequest[] }> {
  let n = 0
  const { url, requests } = await scriptedUpstream(t, [
    (response, request) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'request-id': 'req_up' })
      response.end(eventText(say(request, n++)))
    },
  ])
  const w = await world(t, {
    account: () => ({ baseUrl: url }),
    accounts: ['one'],
    config: (config) => ({
      ...config,
      models: { ...config.models, openAiNames: { 'gpt-*': MODEL } },
    }),
  })
  return { w, requests }
}

const calls = (...blocks: Parameters<typeof answerEvents>[0]) =>
  answerEvents(blocks, 'tool_use', MODEL)
const says = (text: string) => answerEvents([textBlock(text)], 'end_turn', MODEL)
const thinks = (thinking: string, signature: string) => ({
  start: { type: 'thinking', thinking: '', signature: '' },
  deltas: [
    { type: 'thinking_delta', thinking },
    { type: 'signature_delta', signature },
  ],
})

interface Block {
  readonly type: string
  readonly [member: string]: unknown
}

interface UpstreamBody {
  readonly system: unknown
  readonly tools?: readonly { readonly name: string }[]
  readonly messages: readonly { readonly role: string; readonly content: readonly Block[] }[]
}

const bodyOf = (request: ScriptedRequest) => request.body as unknown as UpstreamBody
const blocksOf = (request: ScriptedRequest) =>
  bodyOf(request).messages.flatMap(({ role, content }) => content.map((block) => [role, block]))
const has = (request: ScriptedRequest, tool: string) =>
  bodyOf(request).tools?.some(({ name }) => name === tool) ?? false

describe('Codex CLI', { skip: noCodex }, () => {
  test('Codex CLI runs tools, and goes on with a session: what went up only grows', async (t) => {
    const { w, requests } = await scripted(t, (_, n) => {
      if (n === 0)
        return calls(
          thinks('I look.', 'EqQBone'),
          textBlock('Looking ', 'around.'),
          toolBlock('toolu_1', 'exec_command', '{"cmd":', '"echo first"}'),
          toolBlock('toolu_2', 'exec_command', '{"cmd": "echo second"}'),
        )
      if (n === 1)
        return calls(
          thinks('', 'EqQBtwo'),
          toolBlock('toolu_3', 'multi_agent_v1__close_agent', '{"target":"nobody"}'),
          toolBlock('toolu_4', 'view_image', '{"path":"dot.png"}'),
          toolBlock('toolu_5', 'exec_command', '{not json}'),
        )
      return says(`Answer ${n}.`)
    })
    const codex = codexFor(t, w)
    writeFileSync(join(codex.work, 'dot.png'), Buffer.from(RED_DOT, 'base64'))
    const first = await codex.exec('Look around.')
    assert.equal(first.code, 0, first.err)
    assert.equal(first.out, 'Answer 2.\n')
    const again = await codex.exec('resume', '--last', 'And again.')
    assert.equal(again.out, 'Answer 3.\n', again.err)

    const [, second, third, fourth] = requests.map(blocksOf)
    const text = JSON.stringify(second)
    assert.match(text, /first/)
    assert.match(text, /second/)
    const results = new Map(
      third.flatMap(([, block]) => {
        const { type, tool_use_id: id, content } = block as Block
        return type === 'tool_result' ? [[id, content] as const] : []
      }),
    )
    assert.doesNotMatch(String(results.get('toolu_3')), /unsupported call/)
    assert.match(String(results.get('toolu_5')), /failed to parse/)
    const [image] = results.get('toolu_4') as { readonly type: string; readonly source: object }[]
    assert.equal(image.type, 'image')
    const thinking = fourth.filter(([, block]) => (block as Block).type === 'thinking')
    assert.deepEqual(thinking, [
      ['assistant', { type: 'thinking', thinking: 'I look.', signature: 'EqQBone' }],
      ['assistant', { type: 'thinking', thinking: '', signature: 'EqQBtwo' }],
    ])
    requests.slice(1).forEach((request, i) => {
      const before = blocksOf(requests[i])
      assert.deepEqual(blocksOf(request).slice(0, before.length), before)
      assert.deepEqual(bodyOf(request).system, bodyOf(requests[i]).system)
      assert.deepEqual(bodyOf(request).tools, bodyOf(requests[i]).tools)
    })
    assert.equal((await w.wallet()).heldMicro, 0)
  })

  test('Codex CLI patches files under a name of OpenAI’s that means Claude', async (t) => {
    const patch = '*** Begin Patch\n*** Add File: é.txt\n+"😀" \\ there\n*** End Patch\n'
    const json = JSON.stringify({ input: patch })
    let isOffered = false
    const { w, requests } = await scripted(t, (request, n) => {
      isOffered ||= has(request, 'apply_patch')
      if (n > 0 || !isOffered) return says('Done.')
      return calls(toolBlock('toolu_1', 'apply_patch', json.slice(0, 50), json.slice(50)))
    })
    const codex = codexFor(t, w, { model: 'gpt-5.5' })
    const { code, err } = await codex.exec('Patch it.')
    assert.equal(code, 0, err)
    if (!isOffered) return t.diagnostic('this Codex CLI offers no apply_patch to gpt-5.5')
    assert.equal(readFileSync(join(codex.work, 'é.txt'), 'utf8'), '"😀" \\ there\n')
    assert.deepEqual(blocksOf(requests[1]).at(-2), [
      'assistant',
      { type: 'tool_use', id: 'toolu_1', name: 'apply_patch', input: { input: patch } },
    ])
  })

  test('agents of one Codex CLI talk to each other', async (t) => {
    const spawn = 'collaboration__spawn_agent'
    let isOffered = false
    let n = 0
    const { w, requests } = await scripted(t, (request) => {
      const text = JSON.stringify(bodyOf(request).messages)
      if (text.includes('Count, kid.') && !text.includes('toolu_1')) return says('Forty-two.')
      isOffered ||= has(request, spawn)
      n += 1
      if (!isOffered || n > 2) return says('Done.')
      if (n === 2)
        return calls(toolBlock('toolu_2', 'collaboration__wait_agent', '{"timeout_ms":10000}'))
      const message = '{"task_name":"kid","message":"Count, kid.","fork_turns":"none"}'
      return calls(toolBlock('toolu_1', spawn, message))
    })
    const { code, err } = await codexFor(t, w, { model: 'gpt-6-sol' }).exec('Ask somebody.')
    assert.equal(code, 0, err)
    if (!isOffered) return t.diagnostic('this Codex CLI offers no agents to gpt-6-sol')
    assert.match(JSON.stringify(requests.at(-1)?.body), /FINAL_ANSWER.*Forty-two\./s)
  })

  test('Codex CLI compacts a session that has grown too long', async (t) => {
    const { w, requests } = await scripted(t, (_, n) => {
      if (n === 0) {
        const [start, ...rest] = calls(toolBlock('toolu_1', 'exec_command', '{"cmd":"echo first"}'))
        const message = { ...(start.message as object), usage: { input_tokens: 90_000 } }
        return [{ ...start, message }, ...rest]
      }
      return says(n === 1 ? 'What was done so far.' : 'Done.')
    })
    const settings = ['model_auto_compact_token_limit = 80000']
    const { code, out, err } = await codexFor(t, w, { settings }).exec('Look around.')
    assert.deepEqual([code, out], [0, 'Done.\n'], err)
    const [, compaction, after] = requests
    // The history has calls, and no tool is offered.
    assert.equal(bodyOf(compaction).tools, undefined)
    assert.ok(blocksOf(compaction).some(([, block]) => (block as Block).type === 'tool_use'))
    assert.match(JSON.stringify(bodyOf(after).messages), /What was done so far\./)
  })

  test('an interrupted turn of Codex CLI is paid as far as it came, and the session goes on', async (t) => {
    const events = calls(thinks('I have thought.', 'EqQBone'), textBlock('And now I', ' write.'))
    const { url, requests } = await scriptedUpstream(t, [
      (response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream', 'request-id': 'req_up' })
        // Up to the first piece of the text; the rest never comes.
        response.write(eventText(events.slice(0, 7)))
      },
      (response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream', 'request-id': 'req_up' })
        response.end(eventText(says('Here again.')))
      },
    ])
    const w = await world(t, { account: () => ({ baseUrl: url }), accounts: ['one'] })
    const codex = codexFor(t, w)
    const running = codex.start('Write a lot.')
    await running.until((_, err) => (err.includes('I have thought.') ? true : null))
    process.kill(-(running.child.pid ?? 0), 'SIGINT')
    assert.match((await running.ended).err, /turn interrupted/)
    await w.settled()
    const { balanceMicro } = await w.wallet()
    assert.ok(balanceMicro < 10_000_000, 'what came is paid')
    const again = await codex.exec('resume', '--last', 'And again.')
    assert.deepEqual([again.code, again.out], [0, 'Here again.\n'], again.err)
    const answered = blocksOf(requests[1]).filter(([role]) => role === 'assistant')
    const thought = { type: 'thinking', thinking: 'I have thought.', signature: 'EqQBone' }
    assert.deepEqual(answered, [['assistant', thought]])
  })

  test('what is refused costs nothing, however often Codex CLI asks, and it says why', async (t) => {
    const w = await world(t)
    const rich = { creditMicro: 5_000_000 }
    const revoked = await w.newKey('dora', 'lost', rich)
    const found = await w.store.findKey('dora/lost')
    assert.ok(found.kind === 'found')
    const by = { actor: 'test', nowMs: Date.now() }
    await w.store.revokeKey(found.value.id, 'lost', by)
    const cases: readonly (readonly [CodexOptions, number, RegExp])[] = [
      [{ key: makeKeySecret() }, 2, /401 Unauthorized: .*not known here/],
      [{ key: revoked }, 2, /401 Unauthorized: .*revoked/],
      [
        { key: await w.newKey('bob', 'poor') },
        2,
        /402 Payment Required: Insufficient credit: \$0\.00 available.*Nothing was charged/,
      ],
      [
        { key: await w.newKey('carl', 'haiku', { ...rich, models: ['claude-haiku-*'] }) },
        2,
        /403 Forbidden: This key may not use claude-opus-5-5\. Allowed: claude-haiku-\*/,
      ],
      [{ model: 'claude-none' }, 1, /^No model named claude-none here/],
    ]
    for (const [options, attempts, said] of cases) {
      const ended = await codexFor(t, w, { ...options, streamRetries: 1 }).exec('Hello.')
      assert.equal(ended.code, 1, ended.err)
      assert.match(errorOf(ended) ?? '', said)
      assert.equal(attemptsOf(ended), attempts)
    }
    assert.equal(w.sandbox.counters.messages, 0)
    assert.deepEqual(await w.store.listOpenHolds(), [])
  })

  test('an answer that fails on its way stops Codex CLI, or is asked for again, as its code says', async (t) => {
    const cases = [
      [
        'at=mid_event,how=close,output_tokens=60',
        2,
        /stopped before it was complete.*Request ccr_/,
      ],
      ['error_event=overloaded_error,output_tokens=60', 2, /Overloaded/],
      ['error_event=invalid_request_error,output_tokens=60', 1, /./],
      ['status=400,message=prompt%20is%20too%20long%3A%202%20tokens', 1, /ran out of room/],
      ['status=400,message=That%20is%20wrong.', 1, /That is wrong\./],
      ['stop_reason=max_tokens,text=Once', 1, /reason: max_output_tokens/],
    ] as const
    for (const [fault, attempts, said] of cases) {
      const sandbox = { accounts: [{ name: 'one' }], script: parseScript([{ fault }]) }
      const w = await world(t, { accounts: ['one'], sandbox })
      const ended = await codexFor(t, w, { streamRetries: 1 }).exec('Hello.')
      assert.equal(ended.code, 1, ended.err)
      assert.match(errorOf(ended) ?? '', said)
      assert.equal(w.sandbox.counters.messages, attempts, fault)
      await w.settled()
    }
  })

  test('Codex CLI stops where the credit ends', async (t) => {
    const fault = 'output_tokens=20000,token_rate=20000'
    const sandbox = { accounts: [{ name: 'one' }], script: parseScript([{ fault }]) }
    const w = await world(t, { accounts: ['one'], sandbox, creditMicro: 230_000 })
    const ended = await codexFor(t, w).exec('Hello.')
    assert.match(errorOf(ended) ?? '', /^Quota exceeded/)
    assert.equal(w.sandbox.counters.messages, 1)
  })
})
