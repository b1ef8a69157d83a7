import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import type { TestContext } from 'node:test'
import { runCli } from '../../src/cli/run.ts'
import type { Terminal } from '../../src/cli/terminal.ts'

/** What one command line printed, and how it ended. */
export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

export interface RunOptions {
  /** What stands on stdin, at once. */
  readonly stdin?: string
  readonly env?: Readonly<Record<string, string | undefined>>
  /** A person sits there: stdin and the outputs are terminals. */
  readonly tty?: boolean
  readonly columns?: number
  readonly userName?: string
}

/** Sunday, 22 November 2026, 12:04:31 UTC: a little before the first command of each world. */
export const NOW_MS = Date.UTC(2026, 10, 22, 12, 4, 31)

/** A temp folder with commands that run in this process against it. */
export function cliWorld(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), 'ccgate-cli-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const configFile = join(dir, 'home', 'config.yaml')
  // Each command runs a second after the one before, so that ids sort by the order of making.
  let nowMs = NOW_MS
  const world = {
    dir,
    configFile,
    databaseFile: join(dir, 'home', 'ccgate.db'),
    keyFile: join(dir, 'home', 'master.key'),
    /** A word per argument; texts with spaces come as arrays. */
    async run(line: string | readonly string[], options: RunOptions = {}): Promise<Ran> {
      const argv = typeof line === 'string' ? line.split(' ').filter((word) => word !== '') : line
      nowMs += 1_000
      const atMs = nowMs
      const [stdin, stdout, stderr] = [stream(options), stream(options), stream(options)]
      if (options.stdin !== undefined) stdin.write(options.stdin)
      if (!options.tty) stdin.end()
      const terminal: Terminal = {
        stdin: Object.assign(stdin, { setRawMode: () => stdin }),
        stdout,
        stderr,
        place: {
          env: { CCGATE_CONFIG: configFile, CCGATE_TZ: 'UTC', TERM: 'xterm', ...options.env },
          home: join(dir, 'nobody'),
          cwd: dir,
          isRoot: false,
        },
        userName: options.userName ?? 'ann',
        nowMs: () => atMs,
      }
      const code = await runCli(argv, terminal)
      return { code, out: textOf(stdout), err: textOf(stderr) }
    },
    /** Runs a command that must succeed. */
    async ok(line: string | readonly string[], options: RunOptions = {}): Promise<string> {
      const ran = await world.run(line, options)
      if (ran.code !== 0)
        throw new Error(`${String(line)} ended with ${ran.code}: ${ran.err}${ran.out}`)
      return ran.out
    },
    async json(
      line: string | readonly string[],
      options: RunOptions = {},
    ): Promise<Record<string, unknown>> {
      const argv = typeof line === 'string' ? line.split(' ') : line
      return JSON.parse(await world.ok([...argv, '--json'], options)) as Record<string, unknown>
    },
    async init(): Promise<void> {
      await world.ok('init --dir home')
    },
  }
  return world
}

function stream(options: RunOptions): PassThrough & { isTTY?: boolean; columns?: number } {
  const made = new PassThrough({ highWaterMark: 16_000_000 })
  return options.tty ? Object.assign(made, { isTTY: true, columns: options.columns ?? 100 }) : made
}

function textOf(from: PassThrough): string {
  const rest: unknown = from.read()
  return rest === null ? '' : String(rest)
}
