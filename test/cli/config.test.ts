// Commands about the config, and where it is.
import assert from 'node:assert/strict'
import { appendFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { cliWorld } from './support.ts'

test('init --dir makes its folder also where CCGATE_CONFIG names another', async (t) => {
  const w = cliWorld(t)
  await w.init()
  const made = await w.run('init --dir gw2')
  assert.match(made.out, /gw2\/config\.yaml +created/)
  assert.match(made.err, /ccgate serve -c .*gw2\/config\.yaml/, 'the other one is still in force')
  for (const file of ['config.yaml', 'ccgate.db', 'master.key'])
    assert.ok(existsSync(join(w.dir, 'gw2', file)), file)
  const both = await w.run('init --dir gw3 --config gw4/config.yaml')
  assert.equal(both.code, 2)
  assert.match(both.err, /--dir and --config name different folders/)
  assert.ok(!existsSync(join(w.dir, 'gw3')) && !existsSync(join(w.dir, 'gw4')))
})

test('config check tells in one pass what is wrong alone and what is wrong together', async (t) => {
  const w = cliWorld(t)
  await w.init()
  appendFileSync(
    w.configFile,
    [
      '',
      'shutdown_grace: soon',
      'listn: 127.0.0.1:1',
      'retry: {max_attempts: 0}',
      'cooldown:',
      '  overloaded: {first: 90s, max: 30s}',
      '  rate_limited: {first: 90s, max: never}',
      'models:',
      '  deny: ["gpt-*"]',
      '',
    ].join('\n'),
  )
  const checked = await w.run('config check')
  assert.equal(checked.code, 9)
  for (const text of [
    /shutdown_grace: /,
    /listn: unknown key\. Did you mean listen/,
    /retry\.max_attempts: /,
    /cooldown\.overloaded\.first: is longer than cooldown\.overloaded\.max/,
    /cooldown\.rate_limited\.max: /,
    /models\.deny: "gpt-\*" matches no model/,
    /^6 problems$/m,
  ]) {
    assert.match(checked.out, text)
  }
})

test('what config explain says of prices is a sentence, quoted globs and all', async (t) => {
  const w = cliWorld(t)
  await w.init()
  const { about } = await w.json('config explain models.prices')
  assert.equal(
    about,
    'Dollars per million tokens; in force when ccgate serve starts. What is left out stays as built in: ' +
      '{claude-opus-5: {input: 4.50}, "claude-opus-*": {markup: 1.20}}',
  )
})

test('a time zone that is none is refused by every command, before it prints anything', async (t) => {
  const w = cliWorld(t)
  await w.init()
  await w.ok('users create bob')
  for (const line of ['users show bob', 'config check', 'users create carol']) {
    const ran = await w.run(line, { env: { CCGATE_TZ: 'Mars/X' } })
    assert.deepEqual([ran.code, ran.out], [2, ''], line)
    assert.match(ran.err, /CCGATE_TZ: "Mars\/X" is not a time zone/)
  }
  assert.equal((await w.run('users show carol')).code, 3)
  const posix = { CCGATE_TZ: '', TZ: 'CET-1CEST' }
  assert.equal((await w.run('users show bob', { env: posix })).code, 0, 'the system reads its own')
})
