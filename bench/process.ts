// Child processes of the bench: pinned to a core, measured through /proc, ended by their pid.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { accessSync, constants, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { availableParallelism } from 'node:os'
import { delimiter, join } from 'node:path'

/** Cores of the proxy under test, of everything else, and of work that may use both. */
export const PROXY_CORE = '0'
export const LOAD_CORE = '1'
export const BOTH_CORES = '0,1'

const works = (program: string, args: readonly string[]): boolean => {
  try {
    execFileSync(program, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** False where `taskset` or a second core is missing: figures then mix proxy and load. */
export const canPin = availableParallelism() >= 2 && works('taskset', ['-c', PROXY_CORE, 'true'])
// A bench that is killed takes its children along.
const canBind = works('setpriv', ['--pdeathsig', 'KILL', 'true'])

const children = new Set<ChildProcess>()

/** A child that lives until it is stopped. */
export interface Child {
  readonly pid: number
  readonly process: ChildProcess
  /** Last output, for people, when something went wrong. */
  readonly tail: () => string
  readonly stop: () => Promise<void>
}

/** How to start a child. */
export interface Command {
  readonly program: string
  readonly args: readonly string[]
  readonly cores: string
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
}

function commandLine(command: Command): readonly [string, readonly string[]] {
  let line: readonly string[] = [command.program, ...command.args]
  if (canPin) line = ['taskset', '-c', command.cores, ...line]
  if (canBind) line = ['setpriv', '--pdeathsig', 'KILL', ...line]
  return [line[0] ?? command.program, line.slice(1)]
}

/** Starts a child; `taskset` and `setpriv` become it, so the pid is the program's own. */
export function start(command: Command): Child {
  const [program, args] = commandLine(command)
  const child = spawn(program, args, {
    cwd: command.cwd,
    env: command.env ?? process.env,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  children.add(child)
  let tail = ''
  const keep = (text: Buffer) => {
    tail = (tail + text.toString()).slice(-2000)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  child.stdin.on('error', () => {})
  const exited = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      tail += String(error)
      resolve()
    })
    child.once('close', () => resolve())
  }).then(() => {
    children.delete(child)
  })
  return {
    pid: child.pid ?? -1,
    process: child,
    tail: () => tail,
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      const hard = setTimeout(() => child.kill('SIGKILL'), 3000)
      await exited
      clearTimeout(hard)
    },
  }
}

/** Kills whatever still runs; for the way out. */
export function killChildren(): void {
  for (const child of children) child.kill('SIGKILL')
}

/** Starts one of the bench's own servers, which print their port and end with their input. */
export async function startScript(
  file: URL,
  args: readonly string[],
  cores: string,
): Promise<Child & { readonly port: number }> {
  const child = start({ program: process.execPath, args: [file.pathname, ...args], cores })
  const port = await new Promise<number>((resolve, reject) => {
    child.process.stdout?.once('data', (text: Buffer) => resolve(Number(text.toString())))
    child.process.once('close', () => reject(new Error(`it ended: ${child.tail()}`)))
  })
  return { ...child, port }
}

/** What a finished command printed, and how long it ran as a whole process. */
export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  readonly tookMs: number
}

/** Runs a command to its end, killed after `limitMs`. */
export function run(command: Command & { readonly input?: string; readonly limitMs: number }) {
  const [program, args] = commandLine(command)
  const startedMs = performance.now()
  const child = spawn(program, args, { cwd: command.cwd, env: command.env ?? process.env })
  children.add(child)
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (text: Buffer) => {
    stdout += text.toString()
  })
  child.stderr.on('data', (text: Buffer) => {
    stderr += text.toString()
  })
  child.stdin.on('error', () => {})
  child.stdin.end(command.input ?? '')
  const limit = setTimeout(() => child.kill('SIGKILL'), command.limitMs)
  return new Promise<Finished>((resolve) => {
    const finish = (code: number | null, error?: Error) => {
      clearTimeout(limit)
      children.delete(child)
      if (error !== undefined) stderr += String(error)
      resolve({ code, stdout, stderr, tookMs: performance.now() - startedMs })
    }
    child.once('error', (error) => finish(null, error))
    child.once('close', (code) => finish(code))
  })
}

/** Moves this process, all its threads, to the core of the load. */
export function pinSelf(): void {
  if (!canPin) return
  execFileSync('taskset', ['-a', '-c', '-p', LOAD_CORE, String(process.pid)], { stdio: 'ignore' })
}

const ticksPerSecond = (() => {
  try {
    return Number(execFileSync('getconf', ['CLK_TCK']).toString())
  } catch {
    return 100
  }
})()

/** CPU seconds of a process with all its threads since it started, in steps of a clock tick. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // The name in brackets may hold spaces; the fields after it are numbered from 3.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

/** Resident memory of a process in MB (10^6 bytes): now, and the most there was. */
export function memoryMb(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const read = (name: string) =>
    (Number(new RegExp(`${name}:\\s*(\\d+)`).exec(status)?.[1] ?? Number.NaN) * 1024) / 1e6
  return { now: read('VmRSS'), peak: read('VmHWM') }
}

/** A port that was free a moment ago, for programs that cannot choose one themselves. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0))
    })
  })
}

/** Full path of a program on the PATH or among the places of system programs, or null. */
export function findProgram(name: string): string | null {
  const places = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  for (const place of places) {
    const file = join(place, name)
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {}
  }
  return null
}
