import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import {
  ask,
  audit,
  type CampaignWorld,
  campaignWorld,
  type Gateway,
  mustStart,
  startGateway,
} from './campaign-world.ts'

/** How many positions of a failing fsync, and where to report. */
export interface FaultsPlan {
  readonly positions: number
  readonly seed: number
  readonly report: (line: string) => void
}

/** Runs the faults one after the other; those whose tools are missing are skipped with a line. */
export async function runSystemFaults(plan: FaultsPlan): Promise<readonly string[]> {
  const found: string[] = []
  for (const fault of [heldLock, fullDisk, clockJumps, failingSync])
    found.push(...(await fault(plan)))
  return found
}

/** Takes `count` clients through a gateway until `stop`, and keeps what they were told. */
function load(gateway: Gateway, key: string, count: number) {
  const told = new Set<string>()
  const statuses = new Map<string, number>()
  let longestGapMs = 0
  let isStopped = false
  const clients = Array.from({ length: count }, async (_, index) => {
    for (let turn = 0; !isStopped; turn++) {
      const got = await ask(gateway.port, key, { stream: (index + turn) % 2 === 0, maxTokens: 200 })
      const code = /"error_code":"(\w+)"/.exec(got.text)?.[1]
      const name = got.isWhole ? 'whole' : `${got.status} ${code ?? ''}`.trim()
      statuses.set(name, (statuses.get(name) ?? 0) + 1)
      if (got.isWhole) told.add(got.requestId)
      else await sleep(20)
      longestGapMs = Math.max(longestGapMs, got.longestGapMs)
    }
  })
  return {
    told,
    statuses,
    longestGapMs: () => longestGapMs,
    async stop() {
      isStopped = true
      await Promise.all(clients)
      return [...statuses].map(([name, times]) => `${times} x ${name}`).join(', ')
    },
  }
}

async function stopGracefully(gateway: Gateway, what: string): Promise<string[]> {
  gateway.child.kill('SIGTERM')
  const { code, signal } = await gateway.ended
  return code === 0 ? [] : [`${what}: a graceful stop ended with ${code ?? signal}`]
}

/** The audit after a fault: a clean ledger, no open hold, no told answer lost. */
async function auditAll(world: CampaignWorld, told: Iterable<string>, what: string) {
  const report = await world.store.checkLedger(Date.now())
  const found = [...report.violations, ...(await audit(world.store, told))]
  if (report.openHolds > 0) found.push(`${report.openHolds} holds are open at the end`)
  return found.map((line) => `${what}: ${line}`)
}

// ── a lock held by another process ───────────────────────────────────────────────────────────────

const LOCK_MS = 5_000

async function heldLock({ seed, report }: FaultsPlan): Promise<readonly string[]> {
  const world = await campaignWorld({ sandbox: { seed, latencyMs: [0, 10], tokenRate: 400 } })
  const gateway = await mustStart(world.configFile)
  const running = load(gateway, world.key, 8)
  await sleep(500)
  // A stream that lasts longer than the lock: its events must go on.
  const stream = ask(gateway.port, world.key, { stream: true, maxTokens: 4_000 })
  await sleep(300)
  const other = new Database(world.databaseFile)
  other.exec('BEGIN IMMEDIATE')
  const before = new Map(running.statuses)
  await sleep(LOCK_MS)
  other.exec('COMMIT')
  other.close()
  await sleep(1_000)
  const summary = await running.stop()
  const long = await stream
  const found = [
    ...(await stopGracefully(gateway, 'held lock')),
    ...(await auditAll(world, [...running.told, long.requestId], 'held lock')),
  ]
  const failed = [...running.statuses].filter(
    ([name, times]) => name !== 'whole' && times > (before.get(name) ?? 0),
  )
  if (failed.length > 0)
    found.push(`held lock: requests failed: ${failed.map(([name]) => name).join(', ')}`)
  if (!long.isWhole) found.push('held lock: a running stream broke')
  if (long.longestGapMs > LOCK_MS / 2)
    found.push(`held lock: a stream stood still for ${long.longestGapMs.toFixed(0)} ms`)
  report(
    `lock held ${LOCK_MS / 1_000} s: ${summary}; longest gap in a running stream ${long.longestGapMs.toFixed(0)} ms`,
  )
  await world.close()
  return found
}

// ── a full disk ──────────────────────────────────────────────────────────────────────────────────

async function fullDisk({ seed, report }: FaultsPlan): Promise<readonly string[]> {
  const folder = join(tmpdir(), `ccgate-full-${process.pid}`)
  mkdirSync(folder)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m,mode=700', 'tmpfs', folder], {
      stdio: 'ignore',
    })
  } catch {
    rmSync(folder, { recursive: true })
    report('full disk: skipped, because mounting a small tmpfs needs root')
    return []
  }
  try {
    return await onFullDisk(folder, seed, report)
  } finally {
    execFileSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true })
  }
}

async function onFullDisk(folder: string, seed: number, report: FaultsPlan['report']) {
  const world = await campaignWorld({
    folder,
    sandbox: { seed, latencyMs: [0, 10], tokenRate: 800 },
  })
  let gateway = await mustStart(world.configFile)
  let running = load(gateway, world.key, 16)
  const found: string[] = []
  const told = new Set<string>()
  const filler = join(folder, 'filler')
  for (const end of ['room', 'kill'] as const) {
    // The gateway makes its file for a full disk some seconds after its start.
    await sleep(end === 'room' ? 13_000 : 1_000)
    fill(filler)
    await sleep(2_500)
    const refused = running.statuses.get('503 storage_full') ?? 0
    if (refused === 0) found.push('full disk: no request was refused with storage_full')
    if (end === 'kill') {
      // Killed while full: what clients were told must survive all the same.
      gateway.child.kill('SIGKILL')
      await gateway.ended
      const summary = await running.stop()
      report(`full disk, then kill -9: ${summary}`)
      for (const id of running.told) told.add(id)
      rmSync(filler)
      gateway = await mustStart(world.configFile)
      break
    }
    rmSync(filler)
    const whole = running.statuses.get('whole') ?? 0
    await sleep(4_000)
    if ((running.statuses.get('whole') ?? 0) <= whole) {
      found.push('full disk: the gateway did not take requests again when there was room')
    }
    const summary = await running.stop()
    report(`full disk, then room: ${summary}`)
    for (const id of running.told) told.add(id)
    running = load(gateway, world.key, 16)
  }
  found.push(...(await stopGracefully(gateway, 'full disk')))
  found.push(...(await auditAll(world, told, 'full disk')))
  await world.close()
  return found
}

/** Leaves not one free block, whatever else is written meanwhile. */
function fill(filler: string): void {
  for (let bytes = 4_194_304; bytes >= 512; bytes /= 2) {
    try {
      for (;;) writeFileSync(filler, Buffer.alloc(bytes), { flag: 'a' })
    } catch {
      // Full for pieces of this size.
    }
  }
}

// ── clock jumps ──────────────────────────────────────────────────────────────────────────────────

const LIBRARIES = [
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1',
]

async function clockJumps({ seed, report }: FaultsPlan): Promise<readonly string[]> {
  const library = LIBRARIES.find((path) => existsSync(path))
  if (library === undefined) {
    report('clock jumps: skipped, because libfaketime is not installed')
    return []
  }
  const world = await campaignWorld({ sandbox: { seed, latencyMs: [0, 10], tokenRate: 400 } })
  const clock = join(world.folder, 'clock')
  writeFileSync(clock, '+0s\n')
  const gateway = await mustStart(world.configFile, {
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: clock,
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      FAKETIME_NO_CACHE: '1',
    },
  })
  const found: string[] = []
  const told: string[] = []
  const parts: string[] = []
  for (const jump of ['-2h', '+1d', '+0s']) {
    const running = load(gateway, world.key, 8)
    const stream = ask(gateway.port, world.key, { stream: true, maxTokens: 800 })
    await sleep(500)
    writeFileSync(clock, `${jump}\n`)
    await sleep(1_500)
    const long = await stream
    const summary = await running.stop()
    parts.push(`${jump}: ${summary}`)
    told.push(...running.told, long.requestId)
    if (!long.isWhole) found.push(`clock ${jump}: a running stream broke`)
    const failed = [...running.statuses.keys()].filter((name) => name !== 'whole')
    if (failed.length > 0) found.push(`clock ${jump}: requests failed: ${failed.join(', ')}`)
    const open = (await world.store.checkLedger(Date.now())).violations
    found.push(...open.map((line) => `clock ${jump}: ${line}`))
  }
  found.push(...(await stopGracefully(gateway, 'clock jumps')))
  found.push(...(await auditAll(world, told, 'clock jumps')))
  report(`clock jumps ${parts.join('; ')}`)
  await world.close()
  return found
}

// ── fsync errors ─────────────────────────────────────────────────────────────────────────────────

async function failingSync({ positions, seed, report }: FaultsPlan): Promise<readonly string[]> {
  try {
    execFileSync('strace', ['-f', '-o', '/dev/null', 'true'], { stdio: 'ignore' })
  } catch {
    report('fsync errors: skipped, because strace is not installed or may not trace')
    return []
  }
  const world = await campaignWorld({ sandbox: { seed, latencyMs: [0, 5], tokenRate: 4_000 } })
  const found: string[] = []
  const codes = new Map<string, number>()
  for (let at = 1; at <= positions; at++) {
    const trace = join(world.folder, 'trace')
    const inject = `inject=fsync,fdatasync:error=EIO:when=${at}`
    const under = [
      'strace',
      // The tracer in the background: the child that we end is the gateway itself.
      '-D',
      '-f',
      '-qq',
      '-y',
      '-o',
      trace,
      '-e',
      'trace=fsync,fdatasync',
      '-e',
      inject,
    ]
    const start = await startGateway(world.configFile, { under })
    let told = new Set<string>()
    let code: number | null = null
    if ('started' in start) {
      const gateway = start.started
      const running = load(gateway, world.key, 4)
      code = (await Promise.race([gateway.ended, sleep(10_000).then(() => null)]))?.code ?? null
      if (code === null) {
        // SQLite ignores what the sync of a folder says (its file is synced all the same).
        if (hitDatabase(trace)) found.push(`fsync error ${at}: the gateway went on`)
        gateway.child.kill('SIGKILL')
      }
      await running.stop()
      told = running.told
    } else code = start.code
    const name = `${'started' in start ? 'running' : 'starting'}: ${code ?? 'a folder, ignored'}`
    codes.set(name, (codes.get(name) ?? 0) + 1)
    if (code !== null && code !== 70)
      found.push(`fsync error ${at}: exit ${code} while ${name}, not 70`)
    // A healthy start recovers; nothing that was told is lost.
    const again = await mustStart(world.configFile)
    found.push(...(await stopGracefully(again, `fsync error ${at}`)))
    found.push(...(await auditAll(world, told, `fsync error ${at}`)))
  }
  const summary = [...codes].map(([name, times]) => `${times} x ${name}`).join(', ')
  report(`fsync errors at ${positions} positions, exit codes while ${summary}`)
  await world.close()
  return found
}

/** Whether an injected error hit a file of the database, and not the folder it lies in. */
function hitDatabase(trace: string): boolean {
  return readFileSync(trace, 'utf8')
    .split('\n')
    .some((line) => line.includes('INJECTED') && /<[^>]*\.db(-wal)?>/.test(line))
}
