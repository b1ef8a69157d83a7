import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hints, KEYS } from '../../src/tui/keys.ts'
import { modelOf } from '../../src/tui/model.ts'
import {
  type Effect,
  initialState,
  type PressContext,
  press,
  pressAll,
  selectedIndex,
} from '../../src/tui/state.ts'
import { ACCOUNTS, mockupSnapshot, NOW } from './world.ts'

function context(change: Partial<PressContext> = {}): PressContext {
  const accounts = modelOf(mockupSnapshot(), NOW).accounts
  return { accounts, isReadOnly: false, isDown: false, nowMs: NOW, ...change }
}

/** Presses the keys one after the other; `effects` are what they asked for. */
function play(keys: readonly string[], given = context()) {
  let ui = initialState('overview')
  const effects: Effect[] = []
  for (const key of keys) {
    const result = press(ui, key, given)
    ui = result.ui
    if (result.effect !== null) effects.push(result.effect)
  }
  return { ui, effects }
}

const LAST = { accounts: modelOf(mockupSnapshot({ accounts: ACCOUNTS.slice(2) }), NOW).accounts }

test('arrows and j k move, g and G go to the ends, and nothing leaves the list', () => {
  const at = (...keys: string[]) => selectedIndex(play(keys).ui, context().accounts)
  assert.equal(at('down', 'j'), 2)
  assert.equal(at('down', 'k', 'up'), 0)
  assert.equal(at('G'), 4)
  assert.equal(at('G', 'down', 'g'), 0)
})

test('a key that repeats faster than it is delivered moves as often; pasted text does nothing', () => {
  const given = context()
  const at = (input: string) => {
    const { ui, effect } = pressAll(initialState('overview'), input, given)
    return [selectedIndex(ui, given.accounts), ui.overlay, effect]
  }
  assert.deepEqual(at('jjj'), [3, null, null])
  assert.deepEqual(at('dy'), [0, null, null])
  assert.deepEqual(at('jd'), [0, null, null])
})

test('the selection follows its account when the list is sorted anew', () => {
  const { ui } = play(['down'])
  const backwards = [...context().accounts].reverse()
  assert.equal(backwards[selectedIndex(ui, backwards)].name, 'backup')
})

test('numbers and arrows change the screen', () => {
  assert.equal(play(['2']).ui.screen, 'accounts')
  assert.equal(play(['right', 'right']).ui.screen, 'overview')
  assert.equal(play(['left']).ui.screen, 'accounts')
})

test('disable asks first; only y does it, and n, esc and q keep the account', () => {
  assert.deepEqual(play(['d']).effects, [])
  const [effect] = play(['down', 'd', 'y']).effects
  assert.deepEqual([effect.kind, 'account' in effect && effect.account.name], ['disable', 'backup'])
  for (const key of ['n', 'escape', 'q']) {
    const { ui, effects } = play(['d', key])
    assert.deepEqual([ui.overlay, effects], [null, []])
  }
})

test('the question is about the account that was selected when it was asked', () => {
  const asked = play(['d']).ui
  const others = context({ accounts: [...context().accounts].reverse() })
  const { effect } = press(asked, 'y', others)
  assert.equal(effect?.kind === 'disable' && effect.account.name, 'main')
})

test('the last healthy account is disabled only when its name is typed', () => {
  const given = context(LAST)
  assert.deepEqual(play(['d', 'y', 'return'], given).effects, [])
  const typed = play(['d', ...'eu-2', 'backspace', '1', 'return'], given)
  assert.equal(typed.effects[0]?.kind, 'disable')
  assert.equal(typed.ui.overlay, null)
})

test('no sequence without y or the typed name disables anything', () => {
  const keys = fc.constantFrom(
    'd',
    'n',
    'q',
    'e',
    'c',
    'up',
    'down',
    'return',
    'escape',
    '?',
    '1',
    '2',
    'p',
  )
  fc.assert(
    fc.property(fc.array(keys, { maxLength: 30 }), fc.boolean(), (pressed, isLast) => {
      const { effects } = play(pressed, isLast ? context(LAST) : context())
      assert.ok(effects.every(({ kind }) => kind !== 'disable'))
    }),
  )
})

test('enable and clear need no question', () => {
  assert.deepEqual(
    play(['G', 'e', 'up', 'c']).effects.map(({ kind }) => kind),
    ['enable', 'clear'],
  )
})

test('a disabled account is not disabled again, and the message says so', () => {
  const { ui, effects } = play(['G', 'd'])
  assert.deepEqual([ui.overlay, effects], [null, []])
  assert.equal(ui.message?.text, 'old-key is already disabled')
})

test('with --read-only nothing changes anything, and no hint offers it', () => {
  const given = context({ isReadOnly: true })
  assert.deepEqual(play(['d', 'y', 'e', 'c'], given).effects, [])
  const shown = { screen: 'overview', isReadOnly: true, hasAccounts: true, isDown: false } as const
  assert.doesNotMatch(hints(shown, 200), /disable|enable|clear/)
})

test('without accounts there is nothing to select or change', () => {
  assert.deepEqual(play(['d', 'e', 'c', 'down', 'G'], context({ accounts: [] })).effects, [])
})

test('q quits, and a key in the help only closes the help', () => {
  assert.deepEqual(play(['q']).effects, [{ kind: 'quit' }])
  assert.deepEqual(play(['?', 'q']).effects, [])
})

test('no key stands for two things, and each has its line in the help or a sister that has', () => {
  const keys = KEYS.flatMap((row) => row.keys)
  assert.equal(new Set(keys).size, keys.length)
  for (const row of KEYS) {
    const helped = KEYS.some((each) => each.help !== '' && each.action.kind === row.action.kind)
    assert.ok(helped, row.label)
  }
})

test('hints give way one by one from the back, but help and quit stay to the last', () => {
  const shown = { screen: 'overview', isReadOnly: false, hasAccounts: true, isDown: true } as const
  const whole = hints(shown, 300)
  for (let width = 0; width < whole.length; width++) {
    const text = hints(shown, width)
    const end = '? help  q quit'
    assert.ok(text.length <= width)
    assert.ok(text === '' ? width <= end.length : text.endsWith(end), text)
    const first = text.slice(0, -end.length)
    assert.ok(whole.startsWith(first), text)
  }
})
