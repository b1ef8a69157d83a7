import assert from 'node:assert/strict'
import { test } from 'node:test'
import { playOurs, playScenario, SCENARIOS } from '../../bench/routing/scenarios.ts'

// Small ones of what `npm run bench:routing` plays in full, with the same goals.
const SEEDS = [1, 2]

for (const scenario of SCENARIOS) {
  const conversations = Math.ceil(scenario.conversations / 3)
  const small = { ...scenario, conversations, turns: [6, 14] as const }
  for (const seed of SEEDS) {
    for (const promptTokens of [2_000, 20_000]) {
      const title = `${conversations} conversations, trouble: ${scenario.trouble}, prompts of ${promptTokens} tokens, seed ${seed}`
      test(`${title}: at most ${scenario.goal} of the cost of one account`, async () => {
        const { ratio, ours } = await playOurs(small, { promptTokens, seed })
        assert.ok(ratio <= scenario.goal, `cost ratio ${ratio}`)
        assert.ok(ratio >= 0.99, `cheaper than the yardstick: ${ratio}`)
        // Every read and every miss was foretold: fingerprint and table say what upstream's cache does.
        assert.equal(ours.mistaken, 0)
        assert.ok(ours.p99WaitMs <= 10_000, `p99 wait ${ours.p99WaitMs}`)
      })
    }
  }
}

test('the same seed plays the same run, and careless strategies cost more', async () => {
  const scenario = { ...SCENARIOS[0], conversations: 8, turns: [6, 10] as const }
  const options = { promptTokens: 2_000, seed: 7 }
  const first = await playScenario(scenario, options)
  assert.deepEqual(await playScenario(scenario, options), first)
  const [roundRobin, leastBusy, , own] = first.runs.map(({ costMicro }) => costMicro)
  assert.ok(own < roundRobin && own < leastBusy)
  assert.ok(first.runs.every(({ requests }) => requests === first.yardstick.requests))
})
