/** The screens that exist, in the order of their tabs. */
export const SCREENS = [
  { id: 'overview', label: 'Overview' },
  { id: 'accounts', label: 'Accounts' },
] as const

export type Screen = (typeof SCREENS)[number]['id']

export type Action =
  | { readonly kind: 'screen'; readonly to: Screen | 'next' | 'previous' }
  | { readonly kind: 'select'; readonly to: 'up' | 'down' | 'first' | 'last' }
  | { readonly kind: 'disable' | 'enable' | 'clear' | 'pause' | 'refresh' | 'help' | 'quit' }

/** One key of the monitor: the hint line and the help overlay are made of these rows. */
export interface KeyRow {
  /** Names as `keyName` gives them. */
  readonly keys: readonly string[]
  /** How people see the key. */
  readonly shown: string
  readonly label: string
  /** The longer label of the help overlay. */
  readonly help: string
  readonly screens: readonly Screen[]
  readonly action: Action
  /** When the hint line shows it; `down`: only while the daemon is down. */
  readonly hint: 'always' | 'down' | 'never'
  /** It changes something: hidden with --read-only. */
  readonly writes?: true
  /** It needs a selected account. */
  readonly onAccount?: true
}

const BOTH: readonly Screen[] = ['overview', 'accounts']

export const KEYS: readonly KeyRow[] = [
  {
    keys: ['up', 'k'],
    shown: '↑↓',
    label: 'select',
    help: '↑ ↓  j k     select an account',
    screens: BOTH,
    action: { kind: 'select', to: 'up' },
    hint: 'always',
    onAccount: true,
  },
  {
    keys: ['down', 'j'],
    shown: '↓',
    label: 'select',
    help: '',
    screens: BOTH,
    action: { kind: 'select', to: 'down' },
    hint: 'never',
    onAccount: true,
  },
  {
    keys: ['g', 'home'],
    shown: 'g G',
    label: 'ends',
    help: 'g G          first, last account',
    screens: BOTH,
    action: { kind: 'select', to: 'first' },
    hint: 'never',
    onAccount: true,
  },
  {
    keys: ['G', 'end'],
    shown: 'G',
    label: 'last',
    help: '',
    screens: BOTH,
    action: { kind: 'select', to: 'last' },
    hint: 'never',
    onAccount: true,
  },
  {
    keys: ['d'],
    shown: 'd',
    label: 'disable',
    help: 'd            disable the account (asks)',
    screens: BOTH,
    action: { kind: 'disable' },
    hint: 'always',
    writes: true,
    onAccount: true,
  },
  {
    keys: ['e'],
    shown: 'e',
    label: 'enable',
    help: 'e            enable the account',
    screens: BOTH,
    action: { kind: 'enable' },
    hint: 'always',
    writes: true,
    onAccount: true,
  },
  {
    keys: ['c'],
    shown: 'c',
    label: 'clear cooldown',
    help: 'c            clear its cooldown',
    screens: BOTH,
    action: { kind: 'clear' },
    hint: 'always',
    writes: true,
    onAccount: true,
  },
  {
    keys: ['r'],
    shown: 'r',
    label: 'retry now',
    help: 'r            read the database now',
    screens: BOTH,
    action: { kind: 'refresh' },
    hint: 'down',
  },
  {
    keys: ['p'],
    shown: 'p',
    label: 'pause',
    help: 'p            pause, go on',
    screens: BOTH,
    action: { kind: 'pause' },
    hint: 'always',
  },
  {
    keys: ['1'],
    shown: '1 2',
    label: 'screens',
    help: '1 2  ← →     screens',
    screens: BOTH,
    action: { kind: 'screen', to: 'overview' },
    hint: 'never',
  },
  {
    keys: ['2'],
    shown: '2',
    label: 'accounts',
    help: '',
    screens: BOTH,
    action: { kind: 'screen', to: 'accounts' },
    hint: 'never',
  },
  {
    keys: ['right'],
    shown: '→',
    label: 'next screen',
    help: '',
    screens: BOTH,
    action: { kind: 'screen', to: 'next' },
    hint: 'never',
  },
  {
    keys: ['left'],
    shown: '←',
    label: 'screen before',
    help: '',
    screens: BOTH,
    action: { kind: 'screen', to: 'previous' },
    hint: 'never',
  },
  {
    keys: ['?'],
    shown: '?',
    label: 'help',
    help: '?            this help',
    screens: BOTH,
    action: { kind: 'help' },
    hint: 'always',
  },
  {
    keys: ['q'],
    shown: 'q',
    label: 'quit',
    help: 'q  Ctrl-C    quit; the gateway goes on',
    screens: BOTH,
    action: { kind: 'quit' },
    hint: 'always',
  },
]

/** What holds while a key is pressed or a hint is shown. */
export interface KeyContext {
  readonly screen: Screen
  readonly isReadOnly: boolean
  readonly hasAccounts: boolean
  readonly isDown: boolean
}

/** Whether the key does something here. */
export function isUsable(row: KeyRow, context: KeyContext): boolean {
  if (row.writes && context.isReadOnly) return false
  if (row.onAccount && !context.hasAccounts) return false
  return row.screens.includes(context.screen)
}

/** What the key does here; null: nothing. */
export function actionOf(name: string, context: KeyContext): Action | null {
  const row = KEYS.find((each) => each.keys.includes(name) && isUsable(each, context))
  return row?.action ?? null
}

/** The hint line: as many whole hints as fit into `width` columns; help and quit come last and stay. */
export function hints(context: KeyContext, width: number): string {
  const shown = KEYS.filter(
    (row) =>
      isUsable(row, context) && (row.hint === 'always' || (row.hint === 'down' && context.isDown)),
  )
  const staying = ['help', 'quit']
  const textOf = (rows: readonly KeyRow[]) => rows.map((row) => `${row.shown} ${row.label}`)
  const last = textOf(shown.filter(({ action }) => staying.includes(action.kind)))
  const others = textOf(shown.filter(({ action }) => !staying.includes(action.kind)))
  for (let count = others.length; count >= 0; count--) {
    const text = ` ${[...others.slice(0, count), ...last].join('  ')}`
    if (text.length <= width) return text
  }
  return ''
}

/** What Ink says of a key press. */
export interface InkKey {
  readonly upArrow: boolean
  readonly downArrow: boolean
  readonly leftArrow: boolean
  readonly rightArrow: boolean
  readonly home: boolean
  readonly end: boolean
  readonly return: boolean
  readonly escape: boolean
  readonly backspace: boolean
  readonly delete: boolean
  readonly ctrl: boolean
  readonly meta: boolean
}

/** One name per key: `up`, `return`, or the character itself; '' for keys nobody listens to. */
export function keyName(input: string, key: InkKey): string {
  if (key.upArrow) return 'up'
  if (key.downArrow) return 'down'
  if (key.leftArrow) return 'left'
  if (key.rightArrow) return 'right'
  if (key.home) return 'home'
  if (key.end) return 'end'
  if (key.return) return 'return'
  if (key.escape) return 'escape'
  if (key.backspace || key.delete) return 'backspace'
  return key.ctrl || key.meta ? '' : input
}
