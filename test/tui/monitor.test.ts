import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Seeded, seededDatabase } from './seed.ts'
import { hasPty, onTerminal, type Pty } from './terminal.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SKIP = hasPty() ? false : 'no util-linux script here to make a terminal with'

/** `ccgate` from the sources, as a shell line. */
function ccgate(args: string): string {
  return `exec '${process.execPath}' --import tsx '${join(ROOT, 'src/main.ts')}' ${args}`
}

describe('ccgate monitor on a terminal', { skip: SKIP }, () => {
  let world: Seeded
  const open: Pty[] = []

  before(async () => {
    world = await seededDatabase()
    for (let i = 0; i < 5; i++) await world.exchange({ agoMs: i * 1_000 })
  })
  after(async () => {
    for (const pty of open) pty.child.kill('SIGKILL')
    await world.close()
  })

  function start(args = '', size = { columns: 80, rows: 24 }, env = {}): Pty {
    const command = ccgate(`monitor --utc --refresh 250ms --db '${world.path}' ${args}`)
    const pty = onTerminal(`cd '${ROOT}'; ${command}`, { ...size, env })
    open.push(pty)
    return pty
  }

  async function isDisabled(name: string): Promise<boolean> {
    const found = await world.store.findAccount(name)
    return found.kind === 'found' && found.value.disabledAtMs !== null
  }

  async function alive(): Promise<void> {
    const [boot] = await world.store.listBoots()
    await world.store.heartbeat(boot.id, 'serving', Date.now())
  }

  test('keys reach the database, and q gives the terminal back', async () => {
    await alive()
    const pty = start()
    const first = await pty.until(/main .*\n.*spare/)
    assert.ok(pty.isAlternate())
    assert.match(first, /^ ccgate {2}api\.example\.com .*● serving · up/)
    assert.match(first, /alice\/laptop +5 +\$0\.0061/)
    assert.equal(first.split('\n').length, 24)

    pty.press('j')
    await pty.until(/▸ ● healthy {4}spare/)
    pty.press('d')
    await pty.until(/Disable spare\?/)
    assert.equal(await isDisabled('spare'), false)
    pty.press('y')
    await pty.until(/○ disabled {3}spare.*\n(.*\n)*.*spare disabled/)
    assert.equal(await isDisabled('spare'), true)

    // The list is sorted anew; the selection stays with the account.
    pty.press('e')
    await pty.until(/▸ ● healthy {4}spare.*\n(.*\n)*.*spare enabled/)
    assert.equal(await isDisabled('spare'), false)

    const by = { actor: 'test', nowMs: Date.now() }
    await world.store.setCooldown(world.accounts.spare, Date.now() + 600_000, by)
    await pty.until(/◐ cooling {4}spare/)
    pty.press('c')
    await pty.until(/● healthy {4}spare.*\n(.*\n)*.*cooldown ended \(was \d+:\d\d left\)/)

    // New requests appear without a key press.
    await world.exchange()
    await pty.until(/alice\/laptop +6 /)

    pty.press('2')
    await pty.until(/\[2 Accounts\]/)
    await alive()
    await pty.until(/● serving/)
    pty.press('q')
    assert.equal(await pty.ended, 0)
    assert.equal(pty.isAlternate(), false)
    assert.match(pty.screen(), /^monitor closed, gateway still serving$/m)
    assert.doesNotMatch(pty.screen(), /ACCOUNTS/)
    assert.ok(pty.raw().includes('\x1b[?25h'), 'the cursor is shown again')
    const audit = await world.store.listAudit({ limit: 20 })
    assert.ok(
      audit.some(({ actor, action }) => actor.startsWith('tui:') && action.includes('disable')),
    )
  })

  test('Ctrl-C, SIGTERM and SIGHUP end it cleanly too', async () => {
    await Promise.all(
      [null, 'SIGTERM', 'SIGHUP'].map(async (signal) => {
        const pidFile = `${world.path}.${signal}`
        const pty = onTerminal(
          `cd '${ROOT}'; echo $$ > '${pidFile}'; ${ccgate(`monitor --db '${world.path}'`)}`,
          { columns: 80, rows: 24 },
        )
        open.push(pty)
        await pty.until(/ACCOUNTS/)
        if (signal === null) pty.press('\x03')
        else process.kill(Number(readFileSync(pidFile, 'utf8')), signal)
        assert.equal(await pty.ended, 0, String(signal))
        assert.equal(pty.isAlternate(), false, String(signal))
        assert.match(pty.screen(), /^monitor closed/m)
      }),
    )
  })

  test('a bug gives the terminal back first and is told after that', async () => {
    await Promise.all(
      ['reading', 'drawing', 'timer'].map(async (kind) => {
        const script = join(ROOT, 'test/tui/failing-monitor.ts')
        const command = `cd '${ROOT}'; exec '${process.execPath}' --import tsx '${script}' ${kind}`
        const pty = onTerminal(command, { columns: 80, rows: 24 })
        open.push(pty)
        assert.equal(await pty.ended, 1, kind)
        assert.ok(pty.raw().includes('\x1b[?1049h'), kind)
        assert.equal(pty.isAlternate(), false, kind)
        assert.match(pty.screen(), /ended by TypeError/, kind)
        assert.doesNotMatch(pty.screen(), /ACCOUNTS/, kind)
      }),
    )
  })

  test('with the gateway down it shows what is stored, and keys still work', async () => {
    const [boot] = await world.store.listBoots()
    await world.store.heartbeat(boot.id, 'stopped', Date.now())
    const pty = start('--screen accounts')
    await pty.until(/✕ gateway down/)
    await pty.until(/\? unknown {4}main/)
    pty.press('d')
    await pty.until(/Disable main\?/)
    pty.press('y')
    await pty.until(/○ disabled {3}main/)
    pty.press('e')
    await pty.until(/\? unknown {4}main/)
    // The screen comes alive by itself when the daemon does.
    await alive()
    await pty.until(/● serving[\s\S]*● healthy {4}main/)
    await world.store.heartbeat(boot.id, 'stopped', Date.now())
    await pty.until(/✕ gateway down/)
    pty.press('q')
    assert.equal(await pty.ended, 0)
    assert.match(pty.screen(), /^monitor closed$/m)
  })

  test('read-only offers and does nothing that changes something', async () => {
    await alive()
    const pty = start('--read-only', { columns: 120, rows: 40 }, { NO_COLOR: '1' })
    const screen = await pty.until(/READ-ONLY[\s\S]*LATEST/)
    assert.doesNotMatch(screen, /d disable/)
    for (const key of 'dyec') {
      pty.press(key)
      await sleep(60)
    }
    // What arrives in one piece was pasted, not typed: it must not work the keys.
    pty.press('dy2')
    await sleep(200)
    assert.match(pty.screen(), /\[1 Overview\]/)
    pty.press('2')
    await pty.until(/\[2 Accounts\][\s\S]*upstream says/)
    assert.equal(await isDisabled('main'), false)
    pty.press('q')
    assert.equal(await pty.ended, 0)
    // NO_COLOR: weight and reverse video, but no colour.
    assert.doesNotMatch(pty.raw(), /\x1b\[(3[0-7]|9[0-7]|38[;:])/)
    assert.match(pty.raw(), /\x1b\[7m/)
  })
})

test('without a terminal one block of text is printed, and --once ends there', async (t) => {
  const world = await seededDatabase()
  t.after(world.close)
  await world.exchange()
  const args = ['--import', 'tsx', 'src/main.ts', 'monitor', '--utc', '--db', world.path]
  const run = (...more: string[]) =>
    spawnSync(process.execPath, [...args, ...more], { cwd: ROOT, encoding: 'utf8' })
  const once = run('--once')
  assert.equal(once.stderr, '')
  assert.equal(once.status, 0)
  assert.match(
    once.stdout,
    /^● serving {3}https:\/\/api\.example\.com[\s\S]*^Accounts {4}2 healthy$/m,
  )
  assert.doesNotMatch(once.stdout, /\x1b/)
  assert.equal(run('--screen', 'keys').status, 2)
  const accounts = run('--once', '--screen', 'accounts')
  assert.equal(accounts.status, 2)
  assert.match(accounts.stderr, /needs the full screen.*\n.*ccgate accounts list/)
  assert.equal(run('--refresh', '10ms').status, 2)

  const child = spawn(process.execPath, [...args, '--refresh', '250ms'], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  const ended = new Promise((resolve) => child.on('exit', resolve))
  while (text.split('● serving').length < 3) await sleep(20)
  child.kill('SIGTERM')
  assert.equal(await ended, 0)
})
