import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cliWorld } from './support.ts'

const SMALL = 'simulate --conversations 10 --prompt 1k'

interface Run {
  readonly strategy: string
  readonly requests: number
  readonly cost_micro: number
  readonly cost_ratio: number
  readonly shares: readonly number[]
}

test('a day is played without config and database, as table and charts that a pipe can hold', async (t) => {
  const world = cliWorld(t)
  const { code, out, err } = await world.run(`${SMALL} --weights 3,1`)
  assert.equal(code, 0, err)
  assert.match(out, /^A day of 10 conversations and six bursts of agents \([\d,]+ requests\)/)
  assert.match(
    out,
    /\n2 accounts, 1 % of answers are a 529, the busiest account fails at 10:00 for 2 h\.\n/,
  )
  assert.match(
    out,
    /\nSTRATEGY +COST +RATIO +CACHE READS +P99 WAIT +REROUTES +MOVED +BUSIEST +ERRORS\n/,
  )
  for (const name of ['one account', 'round robin', 'least busy', 'sticky by key', 'ccgate']) {
    assert.match(out, new RegExp(`\\n${name} +\\$\\d`))
  }
  assert.match(
    out,
    /^RATIO: cost by that of the first line\. P99 WAIT: .*ERRORS: .* asks again\.$/m,
  )
  assert.doesNotMatch(out, /too small/)
  assert.match(out, /\nround robin +█+[▏▎▍▌▋▊▉]? \d\.\d\d\n/)
  assert.match(out, /\nSHARE OF REQUESTS +WEIGHT .*\naccount-1 +3 /)
  assert.ok(!out.includes('\x1b'), 'no colour in a pipe')
  assert.match(err, /Playing [\d,]+ requests/)
})

test('--json tells the same of the same seed; -q prints what ours costs by one account', async (t) => {
  const world = cliWorld(t)
  const first = await world.json(`${SMALL} --seed 7 --outage 0s --overloaded 0`)
  const again = await world.json(`${SMALL} --seed 7 --outage 0s --overloaded 0`)
  assert.deepEqual(again, first)
  const runs = first.strategies as readonly Run[]
  const [roundRobin, , , own] = runs
  assert.deepEqual([own.strategy, first.object, first.outage_ms], ['ccgate', 'simulation', 0])
  assert.ok(own.cost_micro < roundRobin.cost_micro)
  assert.ok(runs.every(({ requests }) => requests === own.requests))
  assert.ok(Math.abs(own.shares.reduce((sum, share) => sum + share, 0) - 1) < 1e-9)
  const quiet = await world.ok(`${SMALL} --seed 7 --outage 0s --overloaded 0 -q`)
  assert.equal(quiet, `${own.cost_ratio.toFixed(3)}\n`)
})

test('--mine plays the enabled accounts of the database with their weights and limits', async (t) => {
  const world = cliWorld(t)
  await world.init()
  const none = await world.run(`${SMALL} --mine`)
  assert.deepEqual([none.code, none.err.includes('there is no enabled account')], [2, true])
  for (const [name, more] of [
    ['one', '--weight 3 --concurrency 4'],
    ['two', '--priority 2'],
    ['off', ''],
  ]) {
    const key = { stdin: `sk-ant-api03-${name.repeat(20)}` }
    await world.ok(`accounts add ${name} --no-test --key-stdin ${more}`, key)
  }
  await world.ok('accounts disable off')
  const { accounts } = await world.json(`${SMALL} --mine`)
  assert.deepEqual(accounts, [
    { name: 'one', weight: 3, priority: 1, concurrency_limit: 4, rpm_limit: null },
    { name: 'two', weight: 1, priority: 2, concurrency_limit: null, rpm_limit: null },
  ])
})

test('bad options are told with the option and what would be right', async (t) => {
  const world = cliWorld(t)
  const rows: readonly (readonly [string, RegExp])[] = [
    ['--accounts 0', /--accounts: 0 is out of range: use 1 to 64/],
    ['--accounts four', /--accounts: "four" is not a number/],
    ['--weights 3,1,1 --accounts 4', /--weights has 3 values for 4 accounts\./],
    ['--weights 3,0', /--weights: 0 is out of range: use 1 to 1000/],
    ['--weights ,', /--weights: there is no value/],
    ['--concurrency 5,6', /--concurrency has 2 values for 4 accounts\./],
    ['--concurrency 0', /--concurrency: 0 is out of range: use 1 to 1000000, or none/],
    ['--rpm -1', /--rpm: "-1" is below zero/],
    ['--conversations 1M', /--conversations: 1000000 is out of range: use 1 to 5000/],
    ['--conversations 5000 --prompt 100k', /5000 conversations of 100000 tokens are more than/],
    ['--prompt 20', /--prompt: 20 is out of range: use 100 to 150000/],
    ['--overloaded 120', /--overloaded: "120" is not a percentage from 0 to 90/],
    ['--outage 2', /--outage: "2" has no unit/],
    ['--outage 3d', /--outage: "3d" is too long: at most 12h/],
    ['--model claude-opus-9', /--model: no model named "claude-opus-9" here\.\nNearest: /],
    ['--mine --weights 3,1', /--mine and --weights cannot be used together\./],
    ['--seed x', /--seed: "x" is not a number/],
  ]
  for (const [options, message] of rows) {
    const { code, out, err } = await world.run(`simulate ${options}`)
    assert.deepEqual([code, out], [2, ''], options)
    assert.match(err, message, options)
  }
})

test('a pool that is too small for its day is called so', async (t) => {
  const world = cliWorld(t)
  const { out } = await world.run(`${SMALL} --rpm 1 --outage 0s`)
  assert.match(out, /^This pool is too small for this day: /m)
})
