import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import xterm from '@xterm/headless'

/** Whether this machine can give a program a terminal of its own (util-linux `script`, coreutils `stty`). */
export function hasPty(): boolean {
  const probe = spawnSync('script', ['-qfec', 'stty -a', '/dev/null'], {
    input: '',
    timeout: 5_000,
  })
  return probe.status === 0
}

/** A program on a terminal whose screen can be read. */
export interface Pty {
  readonly child: ChildProcess
  /** What the screen shows now, without trailing blanks. */
  screen(): string
  /** All bytes that the program wrote so far. */
  raw(): string
  isAlternate(): boolean
  press(keys: string): void
  /** Waits until the screen matches; rejects with the screen when it does not within 20 s. */
  until(pattern: RegExp): Promise<string>
  /** Sends a signal to the program itself (whose pid the screen does not show). */
  readonly ended: Promise<number | null>
}

/** Starts `command` (a shell line) on a terminal of that size. */
export function onTerminal(
  command: string,
  { columns, rows, env = {} }: { columns: number; rows: number; env?: Record<string, string> },
): Pty {
  const line = `stty cols ${columns} rows ${rows}; ${command}`
  const child = spawn('script', ['-qfec', line, '/dev/null'], {
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      LANG: 'C.UTF-8',
      TERM: 'xterm-256color',
      SHELL: '/bin/sh',
      ...env,
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const terminal = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true })
  let raw = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    raw += text
    terminal.write(text)
  })
  const ended = new Promise<number | null>((resolve) => child.on('close', (code) => resolve(code)))
  const screen = () => {
    const buffer = terminal.buffer.active
    return Array.from(
      { length: rows },
      (_, y) => buffer.getLine(buffer.viewportY + y)?.translateToString(true) ?? '',
    ).join('\n')
  }
  return {
    child,
    screen,
    raw: () => raw,
    isAlternate: () => terminal.buffer.active.type === 'alternate',
    press: (keys) => child.stdin?.write(keys),
    async until(pattern) {
      for (let tries = 0; tries < 800; tries++) {
        const text = screen()
        if (pattern.test(text)) return text
        await sleep(25)
      }
      throw new Error(`never saw ${pattern}:\n${screen()}`)
    },
    ended,
  }
}
