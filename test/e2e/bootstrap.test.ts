import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isOffline, npmEnvironment, ROOT, start, temporaryFolder } from './processes.ts'

test('a bare clone runs the demo with one command, and the second time at once', {
  skip: existsSync(join(ROOT, '.git')) ? false : 'this is no git checkout',
  timeout: 120_000,
}, async (t) => {
  const folder = temporaryFolder(t)
  const env = npmEnvironment()
  const clone = await start(t, 'git', ['clone', '--quiet', ROOT, 'clone'], { cwd: folder, env })
    .ended
  assert.equal(clone.code, 0, clone.err)
  const cwd = join(folder, 'clone')
  const demo = () =>
    start(t, 'npm', ['run', '--silent', 'demo', '--', '--once'], { cwd, env }).ended

  const first = await demo()
  if (first.code !== 0 && isOffline(first)) {
    t.skip('the registry cannot be reached: nothing was installed')
    return
  }
  assert.equal(first.code, 0, first.err)
  assert.match(first.err, /^✓ install /m)
  assert.match(first.err, /^✓ build /m)

  const second = await demo()
  assert.equal(second.code, 0, second.err)
  assert.doesNotMatch(second.err, /✓/)

  const sample = /^```\n(Simulated upstream.*?)^```$/ms.exec(
    readFileSync(join(cwd, 'README.md'), 'utf8'),
  )?.[1]
  assert.equal(shapeOf(second.out), shapeOf(sample ?? ''), 'the README shows what the demo prints')

  const status = await start(t, 'git', ['status', '--porcelain'], { cwd, env }).ended
  assert.equal(status.out, '', 'nothing that git sees was left in the checkout')
})

/** What the demo prints, without what differs from run to run. */
function shapeOf(text: string): string {
  return text
    .replace(/cc_user_\w+…\w+/g, '<key>')
    .replace(/ccr_\w+/g, '<id>')
    .replace(/http:\/\/127\.0\.0\.1:\d+/g, '<address>')
    .replace(/\d+\.\d\d s/g, '<seconds>')
    .trim()
}
