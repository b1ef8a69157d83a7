import assert from 'node:assert/strict'
import { isUtf8 } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Fingerprint } from '../../src/core/fingerprint.ts'
import { Affinity, ownerNumber, type SentPrompt } from '../../src/pool/affinity.ts'
import { createRandom } from '../../src/sandbox/random.ts'
import { fingerprint } from '../../src/wire/fingerprint.ts'
import { inspect } from '../../src/wire/inspect.ts'
import { hashKey } from '../../src/wire/keyed-hash.ts'

const KEY = hashKey(Uint8Array.from({ length: 16 }, (_, k) => k + 1))
const NOW_MS = 1_795_000_000_000
const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
const ANN = ownerNumber('usr_ann')
const BOB = ownerNumber('usr_bob')
const MARK = { cache_control: { type: 'ephemeral' } }

type Message = { readonly role: string; readonly content: unknown }

function printOf(messages: readonly Message[], more: object = MARK): Fingerprint {
  const bytes = Buffer.from(JSON.stringify({ model: 'claude-fable-5-2', ...more, messages }))
  const seen = inspect(bytes, { isUtf8 })
  if (seen.kind !== 'ok') throw new Error(seen.kind)
  return fingerprint(bytes, seen.facts, KEY)
}

const user = (content: unknown): Message => ({ role: 'user', content })
const answer = (content: unknown): Message => ({ role: 'assistant', content })
const thought = (text: string) =>
  answer([
    { type: 'thinking', thinking: '', signature: 'c2ln' },
    { type: 'text', text },
  ])

function sent(
  affinity: Affinity,
  prompt: Fingerprint,
  more: Partial<SentPrompt> & { readonly atMs?: number } = {},
): SentPrompt {
  const { atMs = NOW_MS, ...rest } = more
  const owner = rest.owner ?? ANN
  return {
    prompt,
    warmth: affinity.find(prompt, owner, atMs),
    workspace: 'wrkspc_1',
    organization: 'org_1',
    owner,
    sentAtMs: atMs,
    minimumTokens: 512,
    bindsThinking: false,
    ...rest,
  }
}

const wrote = (tokens: number) => ({ cacheReadTokens: 0, cacheWriteTokens: tokens })
const read = (tokens: number) => ({ cacheReadTokens: tokens, cacheWriteTokens: 0 })

function warmIn(affinity: Affinity, prompt: Fingerprint, nowMs: number): string[] {
  return affinity.find(prompt, ANN, nowMs).warm.map(({ workspace }) => workspace)
}

test('a prefix can be read from the beginning of the answer that wrote it, and not before', () => {
  const affinity = new Affinity()
  const prompt = printOf([user('hello')])
  const first = sent(affinity, prompt)
  assert.deepEqual(warmIn(affinity, prompt, NOW_MS + 900), [])
  assert.equal(affinity.began(first, wrote(1_000), NOW_MS + 1_000), 'as_foretold')
  const grown = printOf([user('hello'), answer('hi'), user('more')])
  const [match] = affinity.find(grown, ANN, NOW_MS + 1_000).warm
  assert.deepEqual([match.workspace, match.tokens, match.at], ['wrkspc_1', 1_000, 0])
})

test('its life counts from the send, is renewed by reads, and is as long as the marker says', () => {
  for (const [ttl, lifeMs] of [
    ['5m', 5 * MINUTE_MS],
    ['1h', 60 * MINUTE_MS],
  ] as const) {
    const affinity = new Affinity()
    const prompt = printOf([user('hello')], { cache_control: { type: 'ephemeral', ttl } })
    affinity.began(sent(affinity, prompt), wrote(1_000), NOW_MS + 90_000)
    assert.deepEqual(warmIn(affinity, prompt, NOW_MS + lifeMs - 1_000), ['wrkspc_1'])
    assert.deepEqual(warmIn(affinity, prompt, NOW_MS + lifeMs + 1_000), [])

    const againMs = NOW_MS + lifeMs - 10_000
    affinity.began(sent(affinity, prompt, { atMs: againMs }), read(1_000), againMs)
    assert.deepEqual(warmIn(affinity, prompt, againMs + lifeMs - 1_000), ['wrkspc_1'])
    assert.deepEqual(warmIn(affinity, prompt, againMs + lifeMs + 1_000), [])
  }
})

test('an answer without reads drops the entry that promised them, and no other', () => {
  const affinity = new Affinity()
  const prompt = printOf([user('hello')])
  for (const workspace of ['wrkspc_1', 'wrkspc_2']) {
    affinity.began(sent(affinity, prompt, { workspace }), wrote(1_000), NOW_MS)
  }
  const grown = printOf([user('hello'), answer('hi'), user('more')])
  const cold = sent(affinity, grown)
  assert.equal(affinity.began(cold, wrote(1_200), NOW_MS), 'colder')
  assert.deepEqual(warmIn(affinity, prompt, NOW_MS), ['wrkspc_2'])
  assert.deepEqual(warmIn(affinity, grown, NOW_MS), ['wrkspc_1', 'wrkspc_2'])

  assert.equal(
    affinity.began(sent(affinity, grown), { ...wrote(0), cacheReadTokens: 0 }, NOW_MS),
    'colder',
  )
  assert.deepEqual(warmIn(affinity, grown, NOW_MS), ['wrkspc_2'])
})

test('what upstream does not cache never enters: no figures, or less than the least prefix', () => {
  const affinity = new Affinity()
  const prompt = printOf([user('hello')])
  affinity.began(sent(affinity, prompt), wrote(0), NOW_MS)
  affinity.began(sent(affinity, prompt, { minimumTokens: 4_096 }), wrote(4_000), NOW_MS)
  assert.deepEqual(warmIn(affinity, prompt, NOW_MS), [])
  affinity.began(sent(affinity, prompt), read(900), NOW_MS)
  assert.deepEqual(warmIn(affinity, prompt, NOW_MS), ['wrkspc_1'])
})

test('a breakpoint inside what was read is no new entry: upstream writes only what comes after', () => {
  const affinity = new Affinity()
  const system = { type: 'text', text: 's'.repeat(8_000) }
  const first = printOf([user('hello')], { system: [system], ...MARK })
  affinity.began(sent(affinity, first), wrote(2_000), NOW_MS)
  const marked = { system: [{ ...system, ...MARK }], ...MARK }
  affinity.began(sent(affinity, printOf([user('hello')], marked)), read(2_000), NOW_MS)
  assert.deepEqual(warmIn(affinity, printOf([user('another')], marked), NOW_MS), [])
  affinity.began(sent(affinity, printOf([user('another')], marked)), wrote(2_000), NOW_MS)
  assert.deepEqual(warmIn(affinity, printOf([user('a third')], marked), NOW_MS), ['wrkspc_1'])
})

test('the longest prefix of each workspace is told, the longest of all first', () => {
  const affinity = new Affinity()
  const system = { system: [{ type: 'text', text: 's'.repeat(4_000), ...MARK }], ...MARK }
  const first = printOf([user('hello')], system)
  const second = printOf([user('hello'), answer('hi'), user('more')], system)
  affinity.began(sent(affinity, first, { workspace: 'short' }), wrote(1_000), NOW_MS)
  affinity.began(sent(affinity, second, { workspace: 'long' }), wrote(1_100), NOW_MS)
  const other = printOf([user('another conversation')], system)
  affinity.began(sent(affinity, other, { workspace: 'shared' }), wrote(1_000), NOW_MS)
  const { warm } = affinity.find(second, ANN, NOW_MS)
  assert.deepEqual(
    warm.map(({ workspace, at }) => [workspace, at]),
    [
      ['long', 3],
      ['short', 1],
      ['shared', 0],
    ],
  )
  assert.ok(Math.abs(warm[2].tokens - 1_000) < 20, 'the system is nearly all of it')
})

test('an owner has the longest prefix that they wrote, for as long as it lives', () => {
  const affinity = new Affinity()
  const turn = (k: number) =>
    printOf([user('hello'), ...Array.from({ length: k }, (_, i) => user(`more ${i}`))])
  const own = (k: number, owner: number, workspace = 'wrkspc_1', aliveAtMs = NOW_MS) =>
    affinity.ownPrefix(turn(k), owner, { workspace, aliveAtMs })?.tokens
  affinity.began(sent(affinity, turn(0)), wrote(1_000), NOW_MS)
  const both = { cacheReadTokens: 1_000, cacheWriteTokens: 1_000 }
  affinity.began(sent(affinity, turn(1), { owner: BOB }), both, NOW_MS)
  assert.deepEqual([own(2, ANN), own(2, BOB)], [1_000, 2_000])
  assert.deepEqual([own(0, BOB), own(2, ANN, 'wrkspc_2')], [undefined, undefined])
  assert.equal(own(2, ANN, 'wrkspc_1', NOW_MS + 5 * MINUTE_MS), undefined)
  // Whoever writes a prefix that has ended is its owner from then on.
  const laterMs = NOW_MS + 6 * MINUTE_MS
  const again = sent(affinity, turn(0), { owner: BOB, atMs: laterMs })
  affinity.began(again, wrote(1_000), laterMs)
  assert.deepEqual(
    [own(0, ANN, 'wrkspc_1', laterMs), own(0, BOB, 'wrkspc_1', laterMs)],
    [undefined, 1_000],
  )
})

test('histories that only grow are warm where their last turn was, whatever else goes on', () => {
  const anyTexts = fc.array(fc.string({ minLength: 1, maxLength: 20 }), {
    minLength: 1,
    maxLength: 6,
  })
  fc.assert(
    fc.property(fc.array(anyTexts, { minLength: 1, maxLength: 5 }), fc.nat(), (talks, seed) => {
      const affinity = new Affinity({ slots: 1_024 })
      const random = createRandom(seed)
      const places = new Map<number, string>()
      for (let turn = 0; turn < 6; turn++) {
        for (const [talk, texts] of talks.entries()) {
          if (turn >= texts.length) continue
          const history = texts
            .slice(0, turn + 1)
            .flatMap((text, k) =>
              k === 0 ? [user(`${talk} ${text}`)] : [answer(text), user(text)],
            )
          const prompt = printOf(history)
          const [best] = affinity.find(prompt, ANN, NOW_MS).warm
          assert.equal(best?.workspace, places.get(talk))
          const workspace = `wrkspc_${Math.floor(random() * 4)}`
          const figures = best?.workspace === workspace ? read(900) : wrote(900)
          affinity.began(sent(affinity, prompt, { workspace }), figures, NOW_MS)
          places.set(talk, workspace)
        }
      }
    }),
    { numRuns: 50 },
  )
})

test('thinking leads back to its organisation after weeks, over a restart, through stripped history', () => {
  const affinity = new Affinity()
  const asked = [user('one')]
  const more = { bindsThinking: true, organization: 'org_9' }
  affinity.began(sent(affinity, printOf(asked), more), wrote(0), NOW_MS)
  const later = [...asked, thought('1'), user('two'), thought('2'), user('three')]
  const next = new Affinity()
  next.import(affinity.export(NOW_MS + DAY_MS), NOW_MS + DAY_MS)
  for (const memory of [affinity, next]) {
    const { bound } = memory.find(printOf(later), ANN, NOW_MS + 29 * DAY_MS)
    assert.equal(bound?.organization, 'org_9')
    assert.equal(bound?.isAmbiguous, false)
    assert.equal(memory.find(printOf(later), ANN, NOW_MS + 31 * DAY_MS).bound, null)
    assert.equal(memory.find(printOf(later), BOB, NOW_MS).bound, null)
    assert.equal(memory.find(printOf([user('one')]), ANN, NOW_MS).bound, null)
  }
})

test('one entry per conversation, another when it moves, a later end when a day has passed', () => {
  const affinity = new Affinity()
  const more = { bindsThinking: true }
  const history = [user('one')]
  const turn = (atMs: number, organization = 'org_1') => {
    affinity.began(
      sent(affinity, printOf(history), { ...more, organization, atMs }),
      wrote(0),
      atMs,
    )
    history.push(thought(`${history.length}`), user('go on'))
    return affinity.figures.bound
  }
  assert.deepEqual([turn(NOW_MS), turn(NOW_MS), turn(NOW_MS)], [1, 1, 1])
  assert.equal(turn(NOW_MS, 'org_2'), 2)
  assert.equal(affinity.find(printOf(history), ANN, NOW_MS).bound?.organization, 'org_2')
  assert.deepEqual([turn(NOW_MS, 'org_2'), turn(NOW_MS + 2 * DAY_MS, 'org_2')], [2, 3])
  const { bound } = affinity.find(printOf(history), ANN, NOW_MS + 31 * DAY_MS)
  assert.equal(bound?.organization, 'org_2')
})

test('two conversations of one beginning are told apart from their second turn on', () => {
  const affinity = new Affinity()
  const more = { bindsThinking: true }
  for (const organization of ['org_1', 'org_2']) {
    affinity.began(
      sent(affinity, printOf([user('hi')]), { ...more, organization }),
      wrote(0),
      NOW_MS,
    )
  }
  const second = [user('hi'), thought('unlike any other'), user('two')]
  assert.equal(affinity.find(printOf(second), ANN, NOW_MS).bound?.isAmbiguous, true)
  affinity.began(
    sent(affinity, printOf(second), { ...more, organization: 'org_1' }),
    wrote(0),
    NOW_MS,
  )
  const third = [...second, thought('3'), user('three')]
  const { bound } = affinity.find(printOf(third), ANN, NOW_MS)
  assert.deepEqual([bound?.organization, bound?.isAmbiguous], ['org_1', false])
})

test('an account that tells where it belongs takes along what was kept under its id', () => {
  const affinity = new Affinity()
  const prompt = printOf([user('one')])
  const more = { workspace: 'acct_1', organization: 'acct_1', bindsThinking: true }
  affinity.began(sent(affinity, prompt, more), wrote(900), NOW_MS)
  affinity.learned('workspace', 'acct_1', 'wrkspc_1')
  affinity.learned('organization', 'acct_1', 'org_1')
  const { warm, bound } = affinity.find(
    printOf([user('one'), thought('1'), user('two')]),
    ANN,
    NOW_MS,
  )
  assert.equal(warm[0].workspace, 'wrkspc_1')
  assert.deepEqual([bound?.organization, bound?.isAmbiguous], ['org_1', false])
})

test('10,000 conversations stay warm in 2 MiB, over a restart too', () => {
  const affinity = new Affinity()
  assert.equal(affinity.figures.bytes, 2 * 2 * 1024 * 1024)
  const random = createRandom(11)
  const newest = new Map<number, Fingerprint>()
  const system = Array.from({ length: 8 }, () => Math.floor(random() * 2 ** 32) | 0)
  // Four breakpoints as an agent sets them: two on the shared system, two that move with the history.
  for (let turn = 0; turn < 6; turn++) {
    for (let talk = 0; talk < 10_000; talk++) {
      const before = newest.get(talk)?.prefixes.subarray(12, 16) ?? random4(random)
      const prompt = syntheticPrint([...system, ...before, ...random4(random)])
      const atMs = NOW_MS + turn * 40_000
      const owner = ownerNumber(`usr_${talk % 200}`)
      affinity.began(sent(affinity, prompt, { owner, atMs }), wrote(2_000), atMs)
      newest.set(talk, prompt)
    }
  }
  const nowMs = NOW_MS + 240_000
  const next = new Affinity()
  next.import(affinity.export(nowMs), nowMs)
  for (const memory of [affinity, next]) {
    let warm = 0
    for (const prompt of newest.values()) {
      if (memory.find(prompt, ANN, nowMs).warm[0]?.at === 3) warm++
    }
    assert.ok(warm >= 9_990, `${warm} of 10,000 are warm`)
  }
})

function random4(random: () => number): number[] {
  return Array.from({ length: 4 }, () => Math.floor(random() * 2 ** 32) | 0)
}

function syntheticPrint(hashes: readonly number[]): Fingerprint {
  return {
    positions: 4,
    prefixes: Int32Array.from(hashes),
    sizes: Int32Array.of(2_000, 4_000, 6_000, 8_000),
    breakpoints: [0, 1, 2, 3].map((at) => ({ at, ttlMs: 300_000 })),
    probes: Int32Array.of(3, 2, 1, 0),
    conversation: new Int32Array(4),
    answered: new Int32Array(0),
  }
}

test('what was written for five minutes does not live on for an hour, whatever its reader asks for', () => {
  const hour = { cache_control: { type: 'ephemeral', ttl: '1h' } }
  const text = (value: string, more: object = {}) => ({ type: 'text', text: value, ...more })
  const first = (ttl: object) => printOf([user([text('a book', ttl)])], {})
  const next = (question: string, ttl: object) =>
    printOf([user([text('a book'), text(question, ttl)])], {})
  for (const [written, isAlive] of [
    [MARK, false],
    [hour, true],
  ] as const) {
    const affinity = new Affinity()
    const affinityAfter = new Affinity()
    affinity.began(sent(affinity, first(written)), wrote(9_000), NOW_MS)
    const atMs = NOW_MS + MINUTE_MS
    const again = { cacheReadTokens: 9_000, cacheWriteTokens: 100 }
    affinity.began(sent(affinity, next('What?', hour), { atMs }), again, atMs)
    assert.equal(affinityAfter.import(affinity.export(atMs), atMs), 2)
    for (const table of [affinity, affinityAfter]) {
      const laterMs = NOW_MS + 30 * MINUTE_MS
      assert.equal(table.find(next('What?', hour), ANN, laterMs).warm[0]?.at, 1)
      assert.equal(table.find(next('Why?', hour), ANN, laterMs).warm.length, isAlive ? 1 : 0)
      const soonMs = atMs + 4 * MINUTE_MS
      assert.equal(table.find(next('Why?', hour), ANN, soonMs).warm[0]?.tokens, 9_000)
    }
  }
})
