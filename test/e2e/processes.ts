import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

/** The checkout that the tests run in. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** Starts ccgate. */
export const LAUNCHER = join(ROOT, 'bin', 'ccgate.js')

/** How a process ended. */
export interface Ended {
  /** Exit code; -1 after a signal. */
  readonly code: number
  readonly out: string
  readonly err: string
}

export interface SpawnOptions {
  readonly cwd?: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdin?: string
}

/** A process that still runs. */
export interface Running {
  readonly child: ChildProcess
  readonly out: () => string
  readonly err: () => string
  readonly ended: Promise<Ended>
  /** What `find` answers about stdout and stderr, as soon as it is not null; fails when the process ends before. */
  until<T>(find: (out: string, err: string) => T | null): Promise<T>
}

/** A temporary folder that goes with the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'ccgate-e2e-'))
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }))
  return folder
}

/** An environment in which no setting, no home and no npm of this machine is seen, but its PATH is. */
export function cleanEnvironment(home: string): Readonly<Record<string, string | undefined>> {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(CCGATE_|XDG_|NODE_|npm_|NO_COLOR|FORCE_COLOR|INIT_CWD)/i.test(name),
  )
  return { ...Object.fromEntries(kept), HOME: home, CCGATE_TZ: 'UTC' }
}

/** The environment of this process for npm: its registry and cache, but not what `npm test` told us. */
export function npmEnvironment(): Readonly<Record<string, string | undefined>> {
  const own =
    /^(CCGATE_|NODE_TEST|INIT_CWD|npm_(lifecycle|package|command|execpath|node|config_local))/i
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name)))
}

/** The `node` that PATH finds outside of this checkout, null when there is none. */
export function nodeOfMachine(): string | null {
  const folders = (process.env.PATH ?? '').split(':').filter((folder) => !folder.startsWith(ROOT))
  return folders.map((folder) => join(folder, 'node')).find((file) => existsSync(file)) ?? null
}

/** Whether npm failed because it could not reach its registry. */
export function isOffline(ended: Ended): boolean {
  return /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED)\b/.test(
    ended.err,
  )
}

/** Starts a process that dies with the test at the latest. */
export function start(
  t: TestContext,
  command: string,
  args: readonly string[],
  options: SpawnOptions,
): Running {
  // In a group of its own, so that what it starts dies with it.
  const child = spawn(command, args, { cwd: options.cwd, env: options.env, detached: true })
  let out = ''
  let err = ''
  const heard: (() => void)[] = []
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
    for (const hear of heard) hear()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
    for (const hear of heard) hear()
  })
  child.stdin.on('error', () => {})
  child.stdin.end(options.stdin ?? '')
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code: code ?? -1, out, err }))
  })
  t.after(() => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch {
      // It has ended in this very moment.
    }
  })
  return {
    child,
    out: () => out,
    err: () => err,
    ended,
    until: (find) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = find(out, err)
          if (found !== null) resolve(found)
        }
        heard.push(look)
        ended.then(
          (end) => reject(new Error(`it ended with ${end.code} before: ${end.err}${end.out}`)),
          reject,
        )
        look()
      }),
  }
}
