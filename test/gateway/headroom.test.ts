import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Gateway } from '../../src/gateway/gateway.ts'
import { noteHeadroom } from '../../src/gateway/headroom.ts'
import { Pool } from '../../src/pool/pool.ts'
import { accountOf } from '../../src/simulate/account.ts'
import { POLICY } from '../../src/simulate/run.ts'

const CLASS = 'opus-5-5'
const NOW = 1_795_000_000_000

/** Three accounts of one organisation, two of one workspace, after an answer of the first with such headers. */
function after(headers: Readonly<Record<string, string>>) {
  const clock = { nowMs: () => NOW, monotonicMs: () => 1_000 }
  const pool = new Pool({ clock, random: () => 0.5, policy: POLICY })
  const plan = { weight: 1, priority: 1, concurrencyLimit: null, rpmLimit: null }
  pool.reload(
    ['a', 'b', 'c'].map((name) => {
      const account = accountOf({ ...plan, name }, NOW)
      return { account, credential: '', proxy: null }
    }),
    [],
  )
  const gateway = { pool, clock } as unknown as Gateway // what is asked of it
  for (const id of ['a', 'b', 'c']) {
    const slot = pool.take(id, { keyId: 'key_1', model: CLASS, modelClass: CLASS })
    assert.ok(slot !== null)
    slot.began(0)
    const where = {
      'anthropic-organization-id': 'org_1',
      'anthropic-workspace-id': id === 'b' ? 'wrkspc_2' : 'wrkspc_1',
    }
    noteHeadroom(gateway, { slot, modelClass: CLASS }, { ...where, ...(id === 'a' ? headers : {}) })
    slot.release()
  }
  const left = (isFast = false) =>
    pool.candidates(CLASS, CLASS, { isFast }).map(({ headroom }) => headroom)
  return { pool, left }
}

/** Headers of one limit. */
function limit(name: string, limit: number | string, remaining: number | string) {
  return { [`${name}-limit`]: String(limit), [`${name}-remaining`]: String(remaining) }
}

test('each header of a limit tells it to whoever shares it', () => {
  const nobody = [null, null, null]
  const rows: readonly (readonly [name: string, usual: unknown, fast: unknown])[] = [
    ['anthropic-ratelimit-requests', [0.25, 0.25, 0.25], nobody],
    ['anthropic-ratelimit-input-tokens', [0.25, 0.25, 0.25], nobody],
    ['anthropic-ratelimit-output-tokens', [0.25, 0.25, 0.25], nobody],
    ['anthropic-ratelimit-tokens', [0.25, null, 0.25], nobody],
    ['anthropic-priority-input-tokens', [0.25, 0.25, 0.25], nobody],
    ['anthropic-priority-output-tokens', [0.25, 0.25, 0.25], nobody],
    ['anthropic-fast-input-tokens', nobody, [0.25, 0.25, 0.25]],
    ['anthropic-fast-output-tokens', nobody, [0.25, 0.25, 0.25]],
  ]
  for (const [name, usual, fast] of rows) {
    const { left } = after(limit(name, 1_000, 250))
    assert.deepEqual(left(), usual, name)
    assert.deepEqual(left(true), fast, name)
  }
})

test('strange figures are no limits', () => {
  for (const [most, rest] of [
    ['0', '0'],
    ['-5', '3'],
    ['1e9', '1'],
    ['', '1'],
    ['10', 'many'],
  ]) {
    assert.deepEqual(
      after(limit('anthropic-ratelimit-requests', most, rest)).left(),
      [null, null, null],
      `${most} ${rest}`,
    )
  }
})
