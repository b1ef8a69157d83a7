import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SCENARIOS } from '../../bench/routing/scenarios.ts'
import { playSideBySide, sideBySideText } from '../../bench/routing/side-by-side.ts'

// A few seconds of what `npm run bench:routing -- --daemon` plays in minutes.
test('a real gateway in front of the sandbox comes to what the simulation foretells', async () => {
  const small = { ...SCENARIOS[0], conversations: 10, turns: [4, 7] as const }
  const both = await playSideBySide(small, { promptTokens: 2_000, seed: 1 }, 4)
  const { simulated, daemon } = both
  assert.equal(daemon.errors, 0)
  assert.ok(daemon.requests >= 40)
  assert.ok(Math.abs(daemon.ratio / simulated.ratio - 1) < 0.25, sideBySideText(both))
  assert.ok(Math.abs(daemon.readShare - simulated.readShare) < 0.2, sideBySideText(both))
  // Upstream's counts are what was charged, each request rounded up to a micro-dollar.
  assert.ok(daemon.chargedMicro >= daemon.billedMicro)
  assert.ok(daemon.chargedMicro <= daemon.billedMicro + daemon.requests)
})
