import assert from 'node:assert/strict'
import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type cliWorld, cliWorld as createWorld } from './support.ts'

type World = ReturnType<typeof cliWorld>

async function world(t: TestContext): Promise<World> {
  const made = createWorld(t)
  await made.init()
  return made
}

interface ModelRecord {
  readonly id: string
  readonly status: string
  readonly own_aliases: readonly string[]
  readonly markup: string | null
  readonly source: string
  readonly prices_micro_per_mtok: Readonly<Record<string, number>>
}

async function model(w: World, id: string): Promise<ModelRecord> {
  return (await w.json(`models show ${id}`)) as unknown as ModelRecord
}

function priceFile(w: World, content: unknown): string {
  writeFileSync(join(w.dir, 'prices.json'), JSON.stringify(content))
  return 'prices.json'
}

const FIVE = { input: 2, output: '10.00', cache_read: 0.1, cache_write_5m: 2.5, cache_write_1h: 4 }

test('models are listed without a database: the built-in prices and what the config adds', async (t) => {
  const w = createWorld(t)
  const list = await w.json('models list', { env: { CCGATE_CONFIG: '' } })
  const ids = (list.data as readonly ModelRecord[]).map(({ id }) => id)
  assert.ok(ids.includes('claude-sonnet-4-6'))
  assert.ok(!ids.includes('claude-opus-4-20250514'), 'retired')
})

test('a mark-up shows what is billed, and says how to take it back', async (t) => {
  const w = await world(t)
  assert.equal((await w.run('models set claude-opus-5-5 --markup 1.20')).code, 10)
  const out = await w.ok('models set claude-opus-5-5 --markup 1.20 --yes')
  assert.match(out, /^claude-opus-5-5 {3}input \$4\.00 → \$4\.80 · output \$20\.00 → \$24\.00/)
  assert.match(out, /Undo: ccgate models set claude-opus-5-5 --markup default/)
  assert.match(await w.ok('models list --prices'), /claude-opus-5-5 .*\$4\.00.* × 1\.20/)
  assert.match(
    await w.ok('models list --effective'),
    /claude-opus-5-5 .*\$4\.80.*built-in.* × 1\.20/,
  )
  assert.equal((await w.json('models set claude-opus-5-5 --markup 1.2')).changed, false)
  await w.ok('models set claude-opus-5-5 --markup default --yes')
  assert.equal((await model(w, 'claude-opus-5-5')).markup, null)
})

test('a price is changed after a question, class by class; default brings the built-in one back', async (t) => {
  const w = await world(t)
  const asked = await w.run('models set claude-haiku-5-5 --input 0.2')
  assert.equal(asked.code, 10)
  assert.equal((await model(w, 'claude-haiku-5-5')).source, 'built-in 2026-11-22')
  const rehearsed = await w.run('models set claude-haiku-5-5 --input 0.2 --dry-run')
  assert.match(rehearsed.out, /input \$0\.10 → \$0\.20/)
  assert.equal((await model(w, 'claude-haiku-5-5')).prices_micro_per_mtok.input, 100_000)
  const set = await w.run('models set claude-haiku-5-5 --input 0.2 --yes')
  assert.match(set.err, /long prompts stay \$0\.50/)
  const changed = await model(w, 'claude-haiku-5-5')
  assert.deepEqual(
    [changed.source, changed.prices_micro_per_mtok.input, changed.prices_micro_per_mtok.output],
    ['set', 200_000, 500_000],
  )
  await w.ok('models set claude-haiku-5-5 --input default --yes --no-input')
  assert.equal((await model(w, 'claude-haiku-5-5')).source, 'built-in 2026-11-22')
})

test('a price of a time to come waits for it; one of the past is refused', async (t) => {
  const w = await world(t)
  await w.ok('models set claude-sonnet-4-6 --output 14 --from 2027-01-01 --yes')
  const shown = await w.ok('models show claude-sonnet-4-6')
  assert.match(shown, /output \$15\.00/)
  assert.match(shown, /From Fri 1 Jan 2027 00:00 \(UTC\): output \$15\.00 → \$14\.00/)
  const past = await w.run('models set claude-sonnet-4-6 --output 14 --from 2026-01-01 --yes')
  assert.deepEqual([past.code, /lies in the past/.test(past.err)], [2, true])
})

test('what is undone from a later time on is as if it had never been planned', async (t) => {
  const w = await world(t)
  const undoIn = (out: string) => (/Undo: ccgate (.*)$/m.exec(out)?.[1] ?? '').split(' && ccgate ')
  const before = await w.ok('models show claude-sonnet-4-6')
  for (const wish of ['--output 20', '--markup 1.5', '--disable', '--alias sonnet,mine']) {
    const set = await w.ok(`models set claude-sonnet-4-6 ${wish} --from 30d --yes`)
    assert.match(await w.ok('models show claude-sonnet-4-6'), /^From Tue 22 Dec 12:04 \(UTC\): \S/m)
    for (const line of undoIn(set)) {
      assert.match(line, / --from 2026-12-22T12:04:\d\dZ$/)
      await w.ok(`${line} --yes`)
    }
    assert.equal(await w.ok('models show claude-sonnet-4-6'), before, wish)
  }
})

test('the undo of a later price brings back what was planned before it', async (t) => {
  const w = await world(t)
  await w.ok('models set claude-sonnet-4-6 --input 4 --from 2027-01-01 --yes')
  const set = await w.ok('models set claude-sonnet-4-6 --output 20 --from 2027-02-01 --yes')
  assert.match(set, /output \$15\.00 → \$20\.00/)
  assert.match(
    set,
    /Undo: ccgate models set claude-sonnet-4-6 --output 15\.00 --from 2027-02-01T00:00:00Z/,
  )
  const shown = await w.ok('models show claude-sonnet-4-6')
  assert.match(shown, /Feb 2027 00:00 \(UTC\): output \$15\.00 → \$20\.00$/m, 'input stays at $4')
})

test('the undo of an alias gives back every name that was there', async (t) => {
  const w = await world(t)
  await w.ok('models set claude-haiku-5-5 --alias fast,cheap --yes')
  const names = async (id: string) => (await model(w, id)).own_aliases
  const undo = async (line: string) => {
    const out = await w.ok(`${line} --yes`)
    for (const one of (/Undo: ccgate (.*)$/m.exec(out)?.[1] ?? '').split(' && ccgate '))
      await w.ok(`${one} --yes`)
  }
  for (const line of [
    'models set claude-opus-5 --alias fast',
    'models set claude-opus-5 --alias best',
    'models set claude-haiku-5-5 --alias tiny',
    'models set claude-haiku-5-5 --alias none',
  ]) {
    await undo(line)
    assert.deepEqual(await names('claude-haiku-5-5'), ['cheap', 'fast'], line)
    assert.deepEqual(await names('claude-opus-5'), [], line)
  }
})

test('stopping a glob counts what stops, and names what somebody enabled by name', async (t) => {
  const w = await world(t)
  const all = (await w.json('models list')).data as readonly ModelRecord[]
  const fable = all.map(({ id }) => id).filter((id) => id.startsWith('claude-fable-'))
  await w.ok(`models set ${fable[0]} --enable`)
  const asked = await w.run('models set claude-fable-* --disable')
  const count = fable.length === 2 ? '1 model' : `${fable.length - 1} models`
  assert.ok(
    asked.err.includes(
      `Stop serving ${count} (claude-fable-*)? ${fable[0]} stays: it was enabled by name.`,
    ),
    asked.err,
  )
  const done = await w.ok('models set claude-fable-* --disable --yes')
  assert.ok(done.includes(`${fable[0]}   still served: enabled by its own name`), done)
  assert.equal((await model(w, fable[0])).status, 'served')
  assert.equal((await model(w, fable[1])).status, 'disabled')
  for (const wish of ['--disable', '--markup 1.2']) {
    const none = await w.run(`models set gpt-* ${wish} --yes --json`)
    assert.deepEqual([none.code, JSON.parse(none.err).error.code], [3, 'model_not_found'])
  }
})

test('a rehearsal of a change of models says that it would apply, and has no undo', async (t) => {
  const w = await world(t)
  const shown = await w.ok('models set claude-opus-5 --markup 2 --dry-run')
  assert.match(shown, /^Would apply to requests from now on; past costs do not change\.$/m)
})

test('the list says which models are served, and their other names', async (t) => {
  const w = await world(t)
  await w.ok('models set claude-haiku-5-5 --alias fast --disable --yes')
  assert.match(await w.ok('models list'), /^claude-haiku-5-5 +disabled .* fast\b/m)
})

test('a glob is disabled and enabled as a whole, and takes no prices', async (t) => {
  const w = await world(t)
  assert.equal((await w.run('models set claude-opus-* --disable')).code, 10)
  assert.match(
    await w.ok('models set claude-opus-* --disable --yes'),
    /opus-5-5 {3}not served any more/,
  )
  assert.equal((await model(w, 'claude-opus-5')).status, 'disabled')
  await w.ok('models set claude-opus-5 --enable')
  assert.equal((await model(w, 'claude-opus-5')).status, 'served')
  assert.equal((await model(w, 'claude-opus-4-8')).status, 'disabled')
  const refused = await w.run('models set claude-* --input 3')
  assert.deepEqual([refused.code, /is a glob/.test(refused.err)], [2, true])
})

test('an alias of our own is a name for one model, and is made and moved only when asked', async (t) => {
  const w = await world(t)
  await w.ok('models set claude-haiku-5-5 --alias fast,cheap --yes')
  assert.deepEqual((await model(w, 'fast')).own_aliases, ['cheap', 'fast'])
  assert.equal((await w.run('models set claude-opus-5 --alias fast')).code, 10)
  await w.ok('models set claude-opus-5 --alias fast --yes')
  assert.equal((await model(w, 'fast')).id, 'claude-opus-5')
  await w.ok('models set claude-haiku-5-5 --alias none --yes')
  assert.equal((await w.run('models show cheap')).code, 3)
  const shadow = await w.run('models set claude-opus-5 --alias claude-opus-4-5')
  assert.match(shadow.err, /is the name of claude-opus-4-5-20251101 itself/)
})

test('a new model needs all five prices', async (t) => {
  const w = await world(t)
  const some = await w.run('models set claude-x --input 3')
  assert.match(some.err, /Missing: --output --cache-read --cache-write-5m --cache-write-1h/)
  await w.ok(
    'models set claude-x --input 3 --output 5 --cache-read 0.1 --cache-write-5m 1 --cache-write-1h 1 --yes',
  )
  assert.equal((await model(w, 'claude-x')).status, 'served')
})

test('bad wishes say what is wrong', async (t) => {
  const w = await world(t)
  for (const [line, code, text] of [
    ['models set claude-opus-5', 2, /nothing to set/],
    ['models set claude-opus-5 --enable --disable', 2, /exclude each other/],
    ['models set claude-opus-5 --markup 0', 2, /out of range/],
    ['models set claude-opus-5 --input 3,0', 2, /use a dot/],
    ['models set claude-opus-5 --input 0', 2, /would be free/],
    ['models set claude-opus-5 --input 501', 2, /more than \$500/],
    ['models set claude-opis-5 --markup 2', 3, /no model named/],
    ['models sync', 2, /needs a price file/],
    ['models sync --from-file none.json', 2, /Cannot read none\.json: it is not there\./],
  ] as const) {
    const ran = await w.run(line)
    assert.equal(ran.code, code, line)
    assert.match(ran.err, text, line)
  }
})

test('what models list prints is a price file that changes nothing', async (t) => {
  const w = await world(t)
  await w.ok('models set claude-opus-5 --input 4.5 --markup 1.3 --alias best --disable --yes')
  const file = priceFile(w, await w.json('models list --all'))
  assert.match(await w.ok(`models sync --from-file ${file}`), /^= \d+ unchanged\.\n$/)
  const effective = priceFile(w, await w.json('models list --effective'))
  const refused = await w.run(`models sync --from-file ${effective}`)
  assert.match(refused.err, /include a mark-up/)
})

test('a price file is shown as a difference, asked for, and then in force', async (t) => {
  const w = await world(t)
  const file = priceFile(w, [
    { id: 'claude-sonnet-5-6', prices_usd_per_mtok: FIVE, context_window: 500_000 },
    {
      id: 'claude-opus-5',
      prices_micro_per_mtok: {
        input: 4_000_000,
        output: 25_000_000,
        cache_read: 500_000,
        cache_write_5m: 6_250_000,
        cache_write_1h: 10_000_000,
      },
    },
  ])
  const shown = await w.run(`models sync --from-file ${file} --dry-run`)
  assert.match(shown.out, /^\+ claude-sonnet-5-6 +\$2\.00 \/ \$10\.00$/m)
  assert.match(shown.out, /^~ claude-opus-5 +input \$5\.00 → \$4\.00$/m)
  assert.match(shown.err, /Nothing written \(--dry-run\)/)
  assert.equal((await w.run('models show claude-sonnet-5-6')).code, 3)
  assert.equal((await w.run(`models sync --from-file ${file}`)).code, 10)
  await w.ok(`models sync --from-file ${file} --yes`)
  assert.equal((await model(w, 'claude-sonnet-5-6')).source, 'sync')
  assert.equal((await model(w, 'claude-opus-5')).prices_micro_per_mtok.input, 4_000_000)
  const pruned = await w.json(`models sync --from-file ${file} --prune --yes`)
  assert.equal(pruned.unchanged, 2)
  const kinds = (pruned.changes as readonly { change: string }[]).map(({ change }) => change)
  assert.ok(kinds.length > 10 && kinds.every((kind) => kind === 'retired'))
  const left = (await w.json('models list')).data as readonly ModelRecord[]
  assert.deepEqual(left.map(({ id }) => id).sort(), ['claude-opus-5', 'claude-sonnet-5-6'])
})

test('one mistake refuses the whole file, and every mistake is listed with its place', async (t) => {
  const w = await world(t)
  const good = { id: 'claude-sonnet-5-6', prices_usd_per_mtok: FIVE }
  const file = priceFile(w, {
    data: [
      good,
      { id: 'claude-a', prices_usd_per_mtok: { ...FIVE, outpt: 1 } },
      { id: 'claude-b', prices_micro_per_mtok: { ...FIVE, input: 1.5 } },
      { id: 'claude-c', prices_usd_per_mtok: { ...FIVE, input: undefined } },
      { id: 'claude-sonnet-5-6', prices_usd_per_mtok: FIVE },
      { id: 'claude-d', prices_usd_per_mtok: FIVE, status: 'new', retires_on: '2026-02-30' },
      { id: 'claude-e', prices_usd_per_mtok: FIVE, aliases: ['claude-haiku-4-5'] },
      { id: 'claude-opus-4-5', prices_usd_per_mtok: FIVE },
      { prices_usd_per_mtok: { ...FIVE, input: '-2.00' }, max_output: 0 },
      'claude-f',
    ],
  })
  const ran = await w.run(`models sync --from-file ${file} --yes`)
  assert.equal(ran.code, 9)
  for (const line of [
    'data[1].prices_usd_per_mtok.outpt: is unknown. Did you mean output?',
    'data[2].prices_micro_per_mtok.input: 1.5 is not a price: a whole number of micro-dollars',
    'data[3].prices_usd_per_mtok.input: is missing',
    'data[4].id: claude-sonnet-5-6 is there twice',
    'data[5].status: is not one of: active, deprecated, retired',
    'data[5].retires_on: is not a day. Example: 2026-11-22',
    'data[6].aliases: claude-haiku-4-5 stands for claude-haiku-4-5-20251001 already',
    'data[7].id: is another name of claude-opus-4-5-20251101: use that',
    'data[8].id: is not the id of a model',
    'data[8].prices_usd_per_mtok.input: "-2.00" has a sign: it cannot be below 0',
    'data[8].max_output: is not a number of tokens',
    'data[9]: is not a model: {"id": …}',
  ]) {
    assert.ok(ran.err.includes(`  ${line}\n`), `${line}\nin\n${ran.err}`)
  }
  const told = await w.run(`models sync --from-file ${file} --yes --json`)
  const { problems } = (JSON.parse(told.err) as { error: { problems: { path: string }[] } }).error
  const places = problems.map(({ path }) => Number(/\d+/.exec(path)?.[0]))
  assert.deepEqual(
    places,
    [1, 2, 2, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 8, 9],
    'in the order of the file',
  )
  assert.equal((await w.run('models show claude-sonnet-5-6')).code, 3, 'the good one neither')
  for (const [content, text] of [
    [{}, /must be a list of models/],
    [[], /names no model/],
    [[{ ...good, status: 'retired' }], /no model that is still served/],
    [{ data: [good], has_more: true }, /one page of a list/],
  ] as const) {
    priceFile(w, content)
    assert.match((await w.run(`models sync --from-file ${file} --yes`)).err, text)
  }
})

test('a price file can come from stdin', async (t) => {
  const w = await world(t)
  const stdin = JSON.stringify([{ id: 'claude-sonnet-5-6', prices_usd_per_mtok: FIVE }])
  await w.ok('models sync --from-file - --yes', { stdin })
  assert.equal((await model(w, 'claude-sonnet-5-6')).status, 'served')
  const broken = await w.run('models sync --from-file -', { stdin: '{' })
  assert.deepEqual([broken.code, /^ccgate: stdin is not JSON/.test(broken.err)], [9, true])
})

test('config check finds models that are not there, and knows those of the database', async (t) => {
  const w = await world(t)
  appendFileSync(
    w.configFile,
    [
      '',
      'models:',
      '  deny: [claude-opus-7, "gpt-*"]',
      '  aliases: {fast: claude-haiku-9}',
      '  prices: {"claude-opera-*": {markup: 1.2}}',
      '  unknown_model: {price_as: claude-opis-5}',
      '',
    ].join('\n'),
  )
  const checked = await w.run('config check')
  assert.equal(checked.code, 9)
  for (const text of [
    /models\.deny: "claude-opus-7" matches no model\. Did you mean claude-opus-5/,
    /models\.deny: "gpt-\*" matches no model/,
    /line \d+ {2}models\.aliases\.fast: there is no model "claude-haiku-9"/,
    /models\.prices\.claude-opera-\*: "claude-opera-\*" matches no model/,
    /models\.unknown_model: there is no model "claude-opis-5"\. Did you mean claude-opus-5/,
  ]) {
    assert.match(checked.out, text)
  }
  const stdin = JSON.stringify(
    ['claude-haiku-9', 'claude-opis-5', 'claude-opus-7', 'gpt-4o', 'claude-opera-1'].map((id) => ({
      id,
      prices_usd_per_mtok: FIVE,
    })),
  )
  await w.ok('models sync --from-file - --yes', { stdin })
  assert.match(await w.ok('config check'), /ok$/m)
  assert.match(await w.ok('config explain models.aliases'), /Value +\{"fast":"claude-haiku-9"\}/)
})

test('a key may be confined to a model of yours, or to an alias', async (t) => {
  const w = await world(t)
  const unknown = await w.run('keys create alice/a --create-user --models fast')
  assert.deepEqual([unknown.code, /no model named "fast"/.test(unknown.err)], [2, true])
  await w.ok('models set claude-haiku-5-5 --alias fast --yes')
  const key = await w.json('keys create alice/a --create-user --models fast,claude-opus-5')
  assert.deepEqual(key.models, ['fast', 'claude-opus-5'])
})
