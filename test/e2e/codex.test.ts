import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { world } from '../support/world.ts'

const VERSION = spawnSync('codex', ['--version'], { encoding: 'utf8' })
const skip = VERSION.status === 0 ? false : 'no codex on PATH'

test('Codex CLI gets its answer, and a refusal stops it', { skip }, async (t) => {
  const w = await world(t)
  const folder = mkdtempSync(join(tmpdir(), 'ccgate-codex-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const work = join(folder, 'work')
  mkdirSync(work)
  writeFileSync(
    join(folder, 'config.toml'),
    [
      'model = "claude-opus-5-5"',
      'model_provider = "ccgate"',
      '[model_providers.ccgate]',
      'name = "ccgate"',
      `base_url = "${w.url}/v1"`,
      'env_key = "CCGATE_KEY"',
      'wire_api = "responses"',
      '',
    ].join('\n'),
  )
  const codex = (key: string) =>
    new Promise<{ readonly code: number | null; readonly output: string }>((resolve) => {
      const args = ['exec', '--skip-git-repo-check', '-s', 'read-only', 'Tell me a haiku.']
      const child = spawn('codex', args, {
        cwd: work,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: process.env.PATH, HOME: folder, CODEX_HOME: folder, CCGATE_KEY: key },
      })
      let output = ''
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (piece) => {
          output += String(piece)
        })
      child.on('close', (code) => resolve({ code, output }))
    })
  const answered = await codex(w.key)
  assert.equal(answered.code, 0, answered.output)
  assert.match(answered.output, /Quiet gateway hums/)

  const before = w.sandbox.counters.messages
  const refused = await codex(await w.newKey('bob', 'poor'))
  assert.notEqual(refused.code, 0)
  assert.match(refused.output, /Insufficient credit/)
  assert.equal(w.sandbox.counters.messages, before)
})
