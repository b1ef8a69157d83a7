import assert from 'node:assert/strict'
import { isUtf8 } from 'node:buffer'
import { test } from 'node:test'
import type { HoldMeter } from '../../src/billing/hold-meter.ts'
import type { Exchange } from '../../src/gateway/exchange.ts'
import type { Gateway } from '../../src/gateway/gateway.ts'
import { demandOf, plainRoute, type Route } from '../../src/gateway/route.ts'
import { ThinHolds } from '../../src/gateway/thin-holds.ts'
import { thinElsewhere } from '../../src/gateway/thin-offer.ts'
import { Affinity, ownerNumber } from '../../src/pool/affinity.ts'
import { fingerprint } from '../../src/wire/fingerprint.ts'
import { inspect } from '../../src/wire/inspect.ts'
import { hashKey } from '../../src/wire/keyed-hash.ts'

const KEY = hashKey(Uint8Array.from({ length: 16 }, (_, k) => k + 1))
const BEGUN_MS = 1_795_000_000_000
const MARK = { cache_control: { type: 'ephemeral' } }
const NONE = { tried: new Set<string>(), tags: [], again: null, waitedMs: 0, longestWaitMs: 0 }

const SENT = {
  warmth: { warm: [], bound: null },
  workspace: 'wrkspc_1',
  organization: 'org_1',
  sentAtMs: BEGUN_MS,
  minimumTokens: 1,
  bindsThinking: false,
}

function promptOf(question: string) {
  const marked = (text: string) => [{ type: 'text', text, ...MARK }]
  const messages = [{ role: 'user', content: marked(question) }]
  const body = { model: 'claude-opus-5-5', system: marked('A long book.'), messages }
  const bytes = Buffer.from(JSON.stringify(body))
  const seen = inspect(bytes, { isUtf8 })
  assert.ok(seen.kind === 'ok')
  return fingerprint(bytes, seen.facts, KEY)
}

/** Where a thin hold for a prompt may go, so many ms after an answer to it, or to `answered`, had begun. */
function boundOf(afterMs: number, answered = 'What?', owner = ownerNumber('usr_ann')) {
  const affinity = new Affinity()
  const sent = { ...SENT, prompt: promptOf(answered), owner }
  affinity.began(sent, { cacheReadTokens: 0, cacheWriteTokens: 9_000 }, BEGUN_MS)
  const prompt = promptOf('What?')
  const thin = { workspace: 'wrkspc_1', at: prompt.positions - 1 }
  const route: Route = { ...plainRoute(), prompt, owner: ownerNumber('usr_ann'), thin }
  const clock = { nowMs: () => BEGUN_MS + afterMs }
  return demandOf({ routing: { affinity }, clock } as unknown as Gateway, route, [], NONE).bound
}

test('a thin hold is good for its workspace as long as its own prefix lives there for 15 s more', () => {
  const there = { scope: 'workspace', id: 'wrkspc_1', strength: 'hard' }
  const nowhere = { ...there, id: '' }
  assert.deepEqual(boundOf(0), there)
  assert.deepEqual(boundOf(284_000), there)
  assert.deepEqual(boundOf(286_000), nowhere)
  assert.deepEqual(
    boundOf(0, 'Why?'),
    nowhere,
    'a shorter prefix is warm: it is not what was held for',
  )
  assert.deepEqual(boundOf(0, 'What?', ownerNumber('usr_bob')), nowhere)
})

test('who is bound to what upstream keeps in one place is not sent to where its prompt is warm', () => {
  const affinity = new Affinity()
  const prompt = promptOf('What?')
  const owner = ownerNumber('usr_ann')
  const sent = { ...SENT, prompt, owner }
  affinity.began(sent, { cacheReadTokens: 0, cacheWriteTokens: 9_000 }, BEGUN_MS)
  const warmth = affinity.find(prompt, owner, BEGUN_MS)
  const thinHolds = new ThinHolds()
  const gateway = { routing: { affinity }, clock: { nowMs: () => BEGUN_MS }, thinHolds }
  const call = { requestId: 'ccr_1', live: { key: { userId: 'usr_ann', spendLimit: null } } }
  const exchange = { call, request: { facts: { mayClear: false } } } as unknown as Exchange
  const meter = { thin: () => ({ openMicro: 100 }) } as unknown as HoldMeter
  const bondOf = (more: Partial<Route>, availableMicro = 100) => {
    const route = { ...plainRoute(), prompt, owner, warmth, ...more }
    const so = { meter, route, refusal: { availableMicro } }
    return thinElsewhere(gateway as unknown as Gateway, exchange, so)
  }
  const there = { workspace: 'wrkspc_1', at: prompt.positions - 1 }
  assert.deepEqual(bondOf({}), there)
  assert.equal(bondOf({}, 99), null, 'it could not pay for it')
  assert.equal(bondOf({ thin: there }), null, 'once is enough')
  const state = { scope: 'workspace', id: 'wrkspc_2', strength: 'hard' } as const
  assert.equal(bondOf({ state }), null)
  thinHolds.take(call as unknown as Exchange['call'])
  assert.equal(bondOf({}), null, 'another has the place of the wallet')
})
