import assert from 'node:assert/strict'
import { test } from 'node:test'
import { textWidth } from '../../src/core/text.ts'
import { NOW_MS, type Ran } from './support.ts'
import { usageWorld } from './usage-world.ts'

const wordsOf = ({ out, err }: Ran) => (out + err).split(/\s+/).filter((word) => word !== '')
const EXAMPLE = /^ {2}(ccgate|pass) |^ *ccgate /

test('on 80 columns records and help break between words, and commands stay whole', async (t) => {
  const world = await usageWorld(t)
  await world.ok('accounts update main --rpm 50 --tag eu,us --hours 08:00-18:00 --day-cap 0.5')
  await world.ok('accounts cooldown set main --for 10h')
  await world.ok(
    'keys limit alice/laptop --spend-limit 200/month --models claude-haiku-*,claude-opus-*',
  )
  await world.ok('keys limit bob/phone --account-tag mars')
  await world.asked([{ atMs: NOW_MS - 60_000, costMicro: 120_000 }])
  for (const line of [
    'accounts show main',
    'keys show alice/laptop',
    'config explain routing.queue.max_wait',
    'config explain billing.on_disconnect',
    'accounts add --help',
    'status',
    'monitor --once',
  ]) {
    const usual = await world.run(line)
    const narrow = await world.run(line, { tty: true, columns: 80, env: { NO_COLOR: '1' } })
    // Words that change with the clock of the next command are figures.
    const words = (ran: Ran) => wordsOf(ran).filter((word) => !/\d/.test(word))
    assert.deepEqual(words(narrow), words(usual), line)
    for (const shown of (narrow.out + narrow.err).split('\n'))
      assert.ok(textWidth(shown) <= 80 || EXAMPLE.test(shown), `${line}: ${shown}`)
  }
})

test('each thing under Attention has a line of its own', async (t) => {
  const world = await usageWorld(t)
  await world.ok('keys limit bob/phone --account-tag mars')
  await world.ok('accounts disable main spare')
  await world.ok('accounts enable main')
  await world.ok('accounts update main --day-cap 0.05')
  await world.asked([{ atMs: NOW_MS - 60_000, costMicro: 120_000 }])
  const { out } = await world.run('status')
  assert.match(out, /^Attention {3}no account is healthy: ccgate accounts list$/m)
  assert.match(out, /^ {12}main is at its cap .*$/m)
  assert.match(out, /^ {12}No enabled account may serve bob\/phone \(tagged mars\): ccgate keys/m)
})

test('help for what is no command says where the commands are', async (t) => {
  const world = await usageWorld(t)
  assert.match(
    (await world.run('help routing')).err,
    /Unknown command "routing"\.\nSee: ccgate help$/m,
  )
})

test('a command to paste is one line on any terminal', async (t) => {
  const world = await usageWorld(t)
  const made = await world.run('keys create alice/desk', { tty: true, columns: 40 })
  assert.match(made.err, /^curl \S+\/v1\/models -H "x-api-key: <the key>"$/m)
})

test('on 80 columns a candidate of a receipt goes on to the right of where it begins', async (t) => {
  const world = await usageWorld(t)
  const candidates = world.accounts.map(({ id: accountId }, at) => ({
    accountId,
    state: 'full' as const,
    waitMs: 4_320_000,
    inFlight: 12,
    loadLimit: 8,
    warmTokens: 204_800,
    headroom: 0.42,
    score: 1.5 + at,
  }))
  const [id] = await world.asked([
    {
      atMs: NOW_MS - 60_000,
      trail: [
        {
          because: 'warm',
          accountId: candidates[0].accountId,
          bound: null,
          left: null,
          candidates,
          others: 0,
          waitedMs: 2_000,
        },
      ],
    },
  ])
  const { out } = await world.run(`usage show ${id}`, { tty: true, columns: 60 })
  assert.match(out, /^ {13}main: full for about 1 h 12 min .*\n {15}\S.*$/m)
})
