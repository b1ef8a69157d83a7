// Run on a terminal by monitor.test.ts: a monitor that meets a bug, of the kind that the argument names.
import type { Snapshot } from '../../src/tui/facts.ts'
import { mockupSnapshot } from './world.ts'

process.env.NODE_ENV = 'production'
const { runTui } = await import('../../src/tui/run.tsx')

const kind = process.argv[2]
let looks = 0

const source = {
  async read(): Promise<Snapshot> {
    looks += 1
    if (looks < 3) return mockupSnapshot()
    if (kind === 'reading') throw new TypeError('bug while reading')
    // A snapshot that the model cannot digest: the bug shows while drawing.
    if (kind === 'drawing') return { ...mockupSnapshot(), accounts: [null] } as unknown as Snapshot
    if (looks === 3)
      setTimeout(() => {
        throw new TypeError('bug in a timer')
      })
    return mockupSnapshot()
  },
}

try {
  const unused = () => Promise.reject(new Error('unused'))
  await runTui({
    source,
    store: { setAccountDisabled: unused, clearCooldown: unused },
    screen: 'overview',
    actor: 'tui:test',
    isReadOnly: false,
    hasColour: false,
    refreshMs: 250,
    zone: 'UTC',
    version: '0.1.0',
    clock: Date.now,
    stdin: process.stdin,
    stdout: process.stdout,
  })
  console.log('ended without an error')
} catch (error) {
  console.log(`ended by ${error}`)
  process.exitCode = 1
}
