import assert from 'node:assert/strict'
import { test } from 'node:test'
import { finishedRequest } from './requests.ts'
import { cliWorld, NOW_MS } from './support.ts'

const K = { env: { K: 'sk-ant-api03-canary-Xk4A' } }

test('a key is made with limits, mark-up and policy, or with those of the config', async (t) => {
  const cli = cliWorld(t)
  await cli.init()
  const made = await cli.run(
    'keys create ann/ci --create-user --spend-limit 200/month --burn-limit 2/min --markup +20% --on-disconnect 30s,2000tokens',
  )
  assert.match(made.err, /Key ann\/ci, 60 requests\/min, \$200\.00\/month, balance \$0\.00\./)
  const key = await cli.json('keys show ann/ci')
  assert.deepEqual(key.spend_limit, {
    amount_micro: 200_000_000,
    period: 'month',
    used_micro: 0,
    held_micro: 0,
    resets_at: '2026-12-01T00:00:00.000Z',
  })
  assert.deepEqual(
    [key.burn_limit_micro, key.markup, key.on_disconnect],
    [2_000_000, 1.2, '30s,2000tokens'],
  )
  const env = { CCGATE_LIMITS__DEFAULT_SPEND_LIMIT: '20/day', CCGATE_TIMEZONE: 'Europe/Berlin' }
  await cli.ok('keys create ann/default', { env })
  assert.deepEqual((await cli.json('keys show ann/default', { env })).spend_limit, {
    amount_micro: 20_000_000,
    period: 'day',
    used_micro: 0,
    held_micro: 0,
    resets_at: '2026-11-22T23:00:00.000Z',
  })
  await cli.ok('keys create ann/free --spend-limit none', { env })
  const free = await cli.json('keys show ann/free')
  assert.deepEqual([free.spend_limit, free.burn_limit_micro], [null, null])
  assert.deepEqual([free.markup, free.on_disconnect], [null, null])
})

test('a new limit counts what the key has spent in its period, and says what it was', async (t) => {
  const cli = cliWorld(t)
  await cli.init()
  await cli.ok('keys create ann/ci --create-user --credit 25')
  await finishedRequest(cli, { key: 'ann/ci', atMs: NOW_MS, costMicro: 1_500_000 })
  const limited = await cli.json('keys limit ann/ci --spend-limit 2/day --burn-limit 1')
  assert.deepEqual(limited.previous, { spend_limit: null, burn_limit_micro: null })
  assert.equal((limited.spend_limit as { used_micro: number }).used_micro, 1_500_000)
  assert.match(
    await cli.ok('keys list'),
    /^STATE .* MONTH \/ LIMIT .*\n.* \$1\.50 \/ \$2\.00\/day /,
  )
  assert.match(
    await cli.ok('keys show ann/ci'),
    /^Limits +60\/min · 50 parallel · \$2\.00\/day, \$1\.50 used, resets 00:00 UTC · \$1\.00\/min · all models$/m,
  )
  assert.equal(
    await cli.ok('keys limit ann/ci --spend-limit 200/month --burn-limit none --markup 1.2'),
    'ann/ci  spend limit $2.00/day → $200.00/month · burn limit $1.00/min → none · mark-up default → 1.20.   In force now.\n',
  )
  assert.match(await cli.ok('keys show ann/ci'), /\$200\.00\/month, \$1\.50 used, resets 1 Dec/)
  assert.match(await cli.ok('keys show ann/ci'), /^Billing +mark-up 1\.20$/m)
  assert.equal((await cli.json('keys limit ann/ci --spend-limit 200/month')).changed, false)
  assert.match(
    await cli.ok('keys limit ann/ci --spend-limit none --on-disconnect finish --markup default'),
    /spend limit \$200\.00\/month → none · mark-up 1\.20 → default · on disconnect default → finish/,
  )
})

test('limits that cannot be meant are refused with exit 2', async (t) => {
  const cli = cliWorld(t)
  await cli.init()
  await cli.ok('keys create ann/ci --create-user')
  await cli.ok('accounts add main --key-env K --no-test', K)
  const lines = [
    'keys limit ann/ci --spend-limit 200',
    'keys limit ann/ci --spend-limit 200/week',
    'keys limit ann/ci --spend-limit 0/day',
    'keys limit ann/ci --burn-limit 0',
    'keys limit ann/ci --burn-limit 2/hour',
    'keys limit ann/ci --markup 0',
    'keys limit ann/ci --markup 20%',
    'keys limit ann/ci --on-disconnect stop',
    'keys limit ann/ci --on-disconnect 2h',
    'accounts update main',
    'accounts update main --day-cap 0',
    'accounts update main --month-cap 5,00',
    'accounts update main --priority 0',
  ]
  for (const line of lines) {
    const ran = await cli.run(line)
    assert.equal(ran.code, 2, `${line}: ${ran.err}`)
    assert.match(ran.err, /^ccgate: .+\n.+/, 'what is wrong, then what to write')
  }
})

test('an account gets caps, order and limits after it was added, and shows them', async (t) => {
  const cli = cliWorld(t)
  await cli.init()
  const added = await cli.json('accounts add main --key-env K --no-test --day-cap 50', K)
  assert.deepEqual([added.day_cap_micro, added.month_cap_micro], [50_000_000, null])
  const updated = await cli.json('accounts update main --month-cap 1000 --priority 2 --rpm 50')
  assert.deepEqual(updated.previous, { priority: 1, rpm_limit: null, month_cap_micro: null })
  assert.deepEqual([updated.day_cap_micro, updated.month_cap_micro], [50_000_000, 1_000_000_000])
  const shown = await cli.ok('accounts show main')
  assert.match(shown, /^Limits +50\/min · any number parallel · all models · priority 2/m)
  assert.match(shown, /^Cap +\$50\.00\/day, \$0\.00 used at list prices, resets 00:00 UTC/m)
  assert.match(shown, /^Cap +\$1,000\.00\/month, \$0\.00 used at list prices/m)
  assert.equal(
    await cli.ok('accounts update main --day-cap none'),
    'main  day cap $50.00 → none.   In force now.\n',
  )
  assert.equal((await cli.json('accounts update main --day-cap none')).changed, false)
  assert.equal((await cli.run('accounts update mian --day-cap 5')).code, 3)
})

test('a limit or mark-up that is almost right says how to write it', async (t) => {
  const cli = cliWorld(t)
  await cli.init()
  for (const [option, text] of [
    ['--spend-limit 20/week', '"week" is not possible as a period: day, month or total'],
    ['--spend-limit 20', '"20" needs a period. Example: 200/month, 20/day or 500/total'],
    ['--markup 20%', '"20%" is not a mark-up. To add 20 percent write +20%'],
    ['--markup -20%', '"-20%" is not a mark-up. To take 20 percent off write 0.8'],
    ['--markup -100%', '"-100%" is not a mark-up. Use 0.01 to 10'],
    ['--credit -5', '"-5" has a sign: it cannot be below 0'],
  ] as const) {
    const ran = await cli.run(`keys create ann/a --create-user ${option}`)
    assert.equal(ran.code, 2, option)
    assert.ok(ran.err.includes(text), ran.err)
  }
})
