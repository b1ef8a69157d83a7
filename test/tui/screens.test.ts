import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { textWidth } from '../../src/core/text.ts'
import type { Snapshot } from '../../src/tui/facts.ts'
import { frame } from '../../src/tui/frame.ts'
import type { Screen } from '../../src/tui/keys.ts'
import { textOf } from '../../src/tui/lines.ts'
import { modelOf } from '../../src/tui/model.ts'
import { initialState, press } from '../../src/tui/state.ts'
import { themeFor } from '../../src/tui/theme.ts'
import { Traffic } from '../../src/tui/traffic.ts'
import type { View } from '../../src/tui/view.ts'
import { ACCOUNTS, account, boot, health, many, mockupSnapshot, NOW } from './world.ts'

process.env.NODE_ENV = 'production'
const { renderToString } = await import('ink')
const { createElement } = await import('react')
const { ScreenLines } = await import('../../src/tui/screen.tsx')

const DOWN = { boots: [boot({ heartbeatAtMs: NOW - 269_000 })] }
const EMPTY = { traffic: new Traffic(), holds: [], users: new Map(), today: null }

interface Asked extends Partial<View> {
  readonly screen?: Screen
  readonly keys?: readonly string[]
  readonly snapshot?: Snapshot | null
}

function viewOf({
  screen = 'overview',
  keys = [],
  snapshot = mockupSnapshot(),
  ...asked
}: Asked): View {
  const model = modelOf(snapshot, NOW)
  let ui = initialState(screen)
  const isDown = model.daemon.kind === 'down'
  const context = {
    accounts: model.accounts,
    isReadOnly: asked.isReadOnly ?? false,
    isDown,
    nowMs: NOW,
  }
  for (const key of keys) ui = press(ui, key, context).ui
  return {
    model,
    ui,
    nowMs: NOW,
    columns: 80,
    rows: 24,
    zone: 'UTC',
    isReadOnly: false,
    version: '0.1.0',
    staleSinceMs: null,
    refreshMs: 1000,
    ...asked,
  }
}

/** The screen as Ink draws it, without colours. */
function drawn(view: View): string {
  const node = createElement(ScreenLines, {
    lines: frame(view),
    columns: view.columns,
    theme: themeFor(false),
  })
  const text = renderToString(node, { columns: view.columns })
  return text.replace(/\x1b\[[0-9;]*m/g, '').replace(/ +$/gm, '')
}

const GOLDEN: readonly (readonly [name: string, asked: Asked])[] = [
  ['overview-80x24', {}],
  ['overview-120x40', { columns: 120, rows: 40 }],
  ['overview-100x30', { columns: 100, rows: 30 }],
  ['accounts-80x24', { screen: 'accounts', keys: ['down', 'down', 'down'] }],
  ['accounts-120x40', { screen: 'accounts', columns: 120, rows: 40 }],
  ['compact-60x8', { columns: 60, rows: 8 }],
  ['compact-60x20', { columns: 60, rows: 20 }],
  ['compact-40x8', { columns: 40, rows: 8 }],
  ['too-small-30x5', { columns: 30, rows: 5 }],
  ['down-80x24', { snapshot: mockupSnapshot(DOWN) }],
  ['down-accounts-80x24', { screen: 'accounts', snapshot: mockupSnapshot(DOWN) }],
  ['down-compact-60x8', { columns: 60, rows: 8, snapshot: mockupSnapshot(DOWN) }],
  ['loading-80x24', { snapshot: null }],
  ['no-accounts-80x24', { snapshot: mockupSnapshot({ ...EMPTY, accounts: [] }) }],
  ['no-requests-80x24', { snapshot: mockupSnapshot(EMPTY) }],
  ['no-requests-120x40', { columns: 120, rows: 40, snapshot: mockupSnapshot(EMPTY) }],
  ['never-ran-80x24', { snapshot: mockupSnapshot({ ...EMPTY, boots: [], accounts: [] }) }],
  ['ask-disable-80x24', { keys: ['down', 'd'] }],
  [
    'ask-disable-last-80x24',
    { snapshot: mockupSnapshot({ accounts: ACCOUNTS.slice(2) }), keys: ['d', 'eu'] },
  ],
  ['help-80x24', { screen: 'accounts', keys: ['?'] }],
  ['help-read-only-80x24', { isReadOnly: true, keys: ['?'] }],
  [
    'badges-80x24',
    { isReadOnly: true, keys: ['p'], snapshot: mockupSnapshot({ boots: [boot({ demo: true })] }) },
  ],
  [
    'closed-accounts-80x24',
    {
      screen: 'accounts',
      keys: ['down', 'down'],
      snapshot: mockupSnapshot({ accounts: placed() }),
    },
  ],
  [
    'closed-accounts-120x40',
    {
      screen: 'accounts',
      columns: 120,
      rows: 40,
      keys: ['down', 'down'],
      snapshot: mockupSnapshot({ accounts: placed() }),
    },
  ],
  ['closed-overview-80x24', { snapshot: mockupSnapshot({ accounts: placed() }) }],
  [
    'down-closed-80x24',
    { screen: 'accounts', snapshot: mockupSnapshot({ ...DOWN, accounts: placed() }) },
  ],
  [
    'many-accounts-80x24',
    { snapshot: mockupSnapshot({ accounts: dozen() }), keys: many(9, () => 'j') },
  ],
]

/** Two that are closed, one of them with all that an operator can say; one that is about to be tried again. */
function placed() {
  const base = { hours: 'mon-fri 08:00-18:00', tags: ['eu', 'fast'] }
  const rested = account('rested')
  return [
    account('office', { ...base, proxy: 'socks5://proxy.example.com:1080' }),
    account('night', { hours: '22:00-06:00', id: 'acct_night' }),
    { ...rested, health: [health(rested.id, { untilMs: NOW - 5_000 })] },
  ]
}

function dozen() {
  const names = many(12, () => '').map((_, i) => `account-${String(i + 1).padStart(2, '0')}`)
  return names.map((name) => account(name, { id: `acct_${name}` }))
}

for (const [name, asked] of GOLDEN) {
  test(`the screen ${name} is drawn as it was reviewed`, () => {
    const file = new URL(`../golden/tui/${name}.txt`, import.meta.url)
    const text = `${drawn(viewOf(asked))}\n`
    if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, text)
    assert.ok(existsSync(file), 'missing: run with UPDATE_GOLDEN=1 and read the new file')
    assert.equal(text, readFileSync(file, 'utf8'))
  })
}

test('whatever the size, screen and world, the frame fits the terminal exactly', () => {
  const names = fc.oneof(
    fc.string({ minLength: 1, maxLength: 63 }),
    fc.constantFrom(
      '名前が長いアカウント名前が長いアカウント',
      '\u001b[31mred\u001b[0m',
      'a\nb',
      '🦊🦊🦊',
    ),
  )
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 1, max: 60 }),
      fc.constantFrom<Screen>('overview', 'accounts'),
      fc.constantFrom<readonly string[]>([], ['d'], ['?'], ['d', 'y'], ['p'], ['G', 'd']),
      fc.array(names, { maxLength: 14 }),
      fc.boolean(),
      (columns, rows, screen, keys, accountNames, isDown) => {
        const accounts = accountNames.map((name, i) =>
          account(name, {
            id: `acct_${i}`,
            health: i % 3 === 0 ? [health(name, { reason: name })] : [],
          }),
        )
        const snapshot = mockupSnapshot({ accounts, ...(isDown ? DOWN : {}) })
        const lines = frame(viewOf({ columns, rows, screen, keys, snapshot }))
        assert.equal(lines.length, rows)
        for (const line of lines) assert.ok(textWidth(textOf(line)) <= columns, textOf(line))
        // The last cell of the last row stays free.
        assert.ok(textWidth(textOf(lines[rows - 1])) < Math.max(columns, 2))
        for (const line of lines) assert.doesNotMatch(textOf(line), /[\x00-\x1f\x7f]/)
      },
    ),
    { numRuns: 60 },
  )
})

test('without colour no colour code is written, and bold and reverse video stay', () => {
  const monochrome = Object.values(themeFor(false))
  assert.ok(monochrome.every((look) => look.color === undefined))
  assert.deepEqual(themeFor(false).inverse, { inverse: true })
  assert.ok(Object.values(themeFor(true)).some((look) => look.color !== undefined))
})

test('a screen reader is not read the charts', () => {
  const view = viewOf({})
  const node = createElement(ScreenLines, {
    lines: frame(view),
    columns: 80,
    theme: themeFor(false),
  })
  const charts = frame(view).flatMap(({ spans }) => spans.filter((span) => span.chart))
  assert.ok(charts.length > 0)
  const text = renderToString(node, { columns: 80 })
  assert.match(text, /Requests\/min/)
})

test('the message line shows a result for 8 seconds, then what is wrong', () => {
  const view = viewOf({})
  const message = { text: 'spare enabled', tone: 'ok', untilMs: NOW + 1 } as const
  const at = (nowMs: number) => textOf(frame({ ...view, nowMs, ui: { ...view.ui, message } })[22])
  assert.match(at(NOW), /spare enabled/)
  assert.match(at(NOW + 2), /ci-bot has \$3\.02 left/)
  assert.match(textOf(frame({ ...view, staleSinceMs: NOW })[22]), /database busy.*12:04:31/)
  assert.match(
    textOf(frame({ ...view, version: '0.2.0' })[22]),
    /runs 0\.1\.0, this monitor is 0\.2\.0/,
  )
})
