import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { createPrinter } from '../../src/cli/print.ts'
import { createProgress } from '../../src/cli/progress.ts'
import type { Terminal } from '../../src/cli/terminal.ts'

/** A work of 200 rows, of which so many are done at each instant; what stderr got. */
function told(
  options: { tty?: boolean; quiet?: boolean },
  steps: readonly (readonly [atMs: number, done: number])[],
) {
  const stderr = Object.assign(new PassThrough(), { isTTY: options.tty ?? false })
  let nowMs = 0
  const terminal: Terminal = {
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    stderr,
    place: { env: {}, home: '/', cwd: '/', isRoot: false },
    userName: 'ann',
    nowMs: () => nowMs,
  }
  const form = {
    json: false,
    quiet: options.quiet ?? false,
    verbose: false,
    dryRun: false,
    color: 'auto',
  } as const
  const print = createPrinter(terminal, form)
  const progress = createProgress(
    { terminal, print },
    { verb: 'Exporting', total: 200, unit: 'rows' },
  )
  for (const [atMs, done] of steps) {
    nowMs = atMs
    progress.update(done, done * 100_000)
  }
  progress.end()
  return String(stderr.read() ?? '')
}

test('a short work is not worth a word', () => {
  assert.equal(
    told({ tty: true }, [
      [100, 50],
      [299, 200],
    ]),
    '',
  )
  assert.equal(told({ quiet: true }, [[60_000, 100]]), '')
})

test('on a terminal a bar grows in place, at most ten times a second, and leaves no trace', () => {
  const text = told({ tty: true }, [
    [1_000, 50],
    [1_050, 60],
    [2_500, 100],
    [5_000, 200],
  ])
  assert.equal(
    text,
    [
      '\rExporting  200 rows ━━━━━━────────────────── 25%  5.0 MB  1.0 s\x1b[K',
      '\rExporting  200 rows ━━━━━━━━━━━━──────────── 50%  10 MB  2.5 s left\x1b[K',
      '\rExporting  200 rows ━━━━━━━━━━━━━━━━━━━━━━━━ 100%  20 MB  5.0 s\x1b[K',
      '\r\x1b[K',
    ].join(''),
  )
})

test('elsewhere there is a line at the start and one in half a minute', () => {
  const text = told({}, [
    [400, 1],
    [1_000, 2],
    [20_000, 40],
    [30_500, 61],
    [31_000, 62],
  ])
  assert.deepEqual(
    text
      .trimEnd()
      .split('\n')
      .map((line) => /(\d+)%/.exec(line)?.[1]),
    ['0', '30'],
  )
})
