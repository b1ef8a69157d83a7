import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { cleanEnvironment, LAUNCHER, start, temporaryFolder } from './processes.ts'

/** The demo as a process, with a temporary folder of its own to look into. */
function demo(t: TestContext, args: readonly string[]) {
  const folder = temporaryFolder(t)
  const temporary = join(folder, 'tmp')
  mkdirSync(temporary)
  const env = { ...cleanEnvironment(folder), TMPDIR: temporary }
  const running = start(t, process.execPath, [LAUNCHER, 'demo', ...args], { cwd: folder, env })
  return { ...running, folder, left: () => readdirSync(temporary) }
}

suite('ccgate demo', { concurrency: 3, timeout: 60_000 }, () => {
  for (const scenario of ['busy', 'flaky']) {
    test(`${scenario}: the first request meets a sick account and is served by another`, async (t) => {
      const run = demo(t, ['--once', '--scenario', scenario])
      const { code, out } = await run.ended
      assert.equal(code, 0)
      assert.match(out, /200 OK in .* · account demo-b · reroutes 1\n/)
      assert.match(out, /= \$0\.000327 · balance \$4\.999673 · id ccr_/)
    })
  }

  test('broke: says the balance, what is needed and how to top it up; nothing is left behind', async (t) => {
    const run = demo(t, ['--scenario', 'broke', '--for', '100ms'])
    const { code, out, err } = await run.ended
    assert.equal(code, 0, err)
    assert.match(out, /Test key +cc_user_\w{4}…\w{4} with \$0\.00\n/)
    assert.match(out, /^ {2}402 in .* · id ccr_\w+\n {2}Insufficient credit: /m)
    assert.match(out, /ccgate\.js credit grant demo 5 --db /)
    assert.deepEqual(run.left(), [])
  })

  test('down: exit code 8, and the reason without a stack', async (t) => {
    const { code, out, err } = await demo(t, ['--once', '--scenario', 'down']).ended
    assert.equal(code, 8)
    assert.match(out, /^ {2}50\d in /m)
    assert.doesNotMatch(out + err, /\n +at /)
  })

  test('--json prints one object per line, --quiet the key alone', async (t) => {
    const json = await demo(t, ['--once', '--json']).ended
    assert.deepEqual(
      json.out
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { object: string }).object),
      ['demo_ready', 'demo_request'],
    )
    const quiet = await demo(t, ['--once', '--quiet']).ended
    assert.match(quiet.out, /^cc_user_\w{38}\n$/)
    assert.equal(quiet.err, '')
  })

  test('--keep leaves a database that other commands can open, and no second demo overwrites', async (t) => {
    const first = demo(t, ['--once', '--keep', 'kept'])
    const { code, err } = await first.ended
    assert.equal(code, 0, err)
    assert.match(err, /Kept in .*kept\n/)
    assert.ok(existsSync(join(first.folder, 'kept', 'ccgate.db')))
    const also = (args: readonly string[]) =>
      start(t, process.execPath, [LAUNCHER, ...args], {
        cwd: first.folder,
        env: cleanEnvironment(first.folder),
      }).ended
    const check = await also(['db', 'check', '--db', 'kept/ccgate.db'])
    assert.equal(check.code, 0, check.err)
    assert.equal((await also(['demo', '--once', '--keep', 'kept'])).code, 2)
  })

  test('a wanted port that is taken is an error, another one is found when none was wanted', async (t) => {
    const busy = createServer().listen(0, '127.0.0.1')
    t.after(() => busy.close())
    await new Promise((resolve) => busy.once('listening', resolve))
    const { port } = busy.address() as { port: number }
    const run = demo(t, ['--once', '--port', String(port)])
    const { code, err } = await run.ended
    assert.equal(code, 1)
    assert.equal(
      err,
      `ccgate: Port ${port} is in use.\nLeave --port out: the demo then takes the next free one.\n`,
    )
    assert.deepEqual(run.left(), [])
  })

  test('a reader that leaves ends it, and its data goes along', async (t) => {
    const run = demo(t, ['--traffic', '600'])
    await run.until((out) => (out.includes('Test key') ? true : null))
    run.child.stdout?.destroy()
    await run.ended
    assert.deepEqual(run.left(), [])
  })

  test('Ctrl-C ends it with 0 and takes its data along', async (t) => {
    const run = demo(t, ['--traffic', '600'])
    await run.until((out) => (out.includes('Ctrl-C stops') ? true : null))
    assert.equal(run.left().length, 1)
    run.child.kill('SIGINT')
    const { code, out, err } = await run.ended
    assert.equal(code, 0)
    assert.match(out, /Traffic: about 600 requests per minute/)
    assert.match(err, /Stopped; the demo data is deleted\./)
    assert.match(
      out,
      /curl -N http:\/\/127\.0\.0\.1:\d+\/v1\/messages -H "x-api-key: cc_user_\w{38}"/,
    )
    assert.deepEqual(run.left(), [])
  })
})
