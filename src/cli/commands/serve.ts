import { createWriteStream, statSync } from 'node:fs'
import { unlink, writeFile } from 'node:fs/promises'
import type { Config } from '../../config/config.ts'
import type { ConfigOption } from '../../config/load.ts'
import type { ListenError } from '../../daemon/listen-at.ts'
import type { Daemon, DaemonParts } from '../../daemon/serve.ts'
import { createLog, type Log } from '../../observe/log.ts'
import type { Store, StoreError } from '../../store/store.ts'
import type { Context } from '../context.ts'
import { notReady } from '../context.ts'
import { CliError, EXIT, fileTrouble } from '../errors.ts'
import { formatBytes } from '../format.ts'
import type { Invocation } from '../invocation.ts'
import { ccgateVersion } from '../version.ts'

/** How long a gateway whose store broke may take to say so to its clients. */
const LAST_WORDS_MS = 2_000

/** `ccgate serve`: runs the gateway until a signal ends it. */
export async function serve(context: Context, call: Invocation): Promise<number> {
  const startedMs = performance.now()
  outliveReaders(context)
  const { config, file } = await context.config(optionsOf(call))
  const sink = logSink(context, config)
  const log = createLog({ level: config.logging.level, format: sink.format, write: sink.write })
  const opened = await openParts(context, config, file, log)
  const running: { daemon: Daemon | null } = { daemon: null }
  opened.onFull((isFull) => running.daemon?.storageFull(isFull))
  const broken = new Promise<StoreError>((resolve) => opened.onFatal(resolve))
  const daemon = await startOrExplain({ ...opened.parts, log })
  running.daemon = daemon

  const pidFile = call.text('pid-file')
  const check = call.flag('check')
  try {
    if (pidFile !== null) await writePidFile(pidFile)
    // Armed before anybody is told that it runs: who reads that may send a signal at once.
    const stopped = check ? null : untilStopped(daemon, config, log, broken)
    if (check || isWatched(context)) {
      printBanner(context, config, daemon)
      if (!check) {
        const tookMs = Math.round(performance.now() - startedMs)
        context.print.note(`Ready in ${tookMs} ms. Watch it: ccgate monitor · Stop: Ctrl-C`)
      }
    } else {
      for (const message of warningsOf(config, daemon)) log.warn({ message }, 'serve.warning')
    }
    log.info({ address: daemon.address, pid: process.pid }, 'serve.ready')
    if (stopped !== null) return await stopped
    await daemon.stop(0)
    if (daemon.stoppedBecause() !== null) return EXIT.problems
    context.print.note('Self-test passed: started, checked and stopped.')
    return EXIT.ok
  } catch (error) {
    await daemon.stop(0).catch(() => {})
    throw error
  } finally {
    if (pidFile !== null) await unlink(pidFile).catch(() => {})
    await sink.close()
  }
}

/** A command ends when nobody reads it any more; a gateway goes on, without its log. */
function outliveReaders({ terminal }: Context): void {
  for (const stream of [terminal.stdout, terminal.stderr]) {
    stream.removeAllListeners('error')
    stream.on('error', () => {})
  }
}

async function writePidFile(file: string): Promise<void> {
  try {
    await writeFile(file, `${process.pid}\n`, { mode: 0o644 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException // writeFile throws system errors only
    throw new CliError({
      code: 'cannot_write_pid_file',
      message: `Cannot write the pid file ${file}: ${code === 'ENOENT' ? 'its folder does not exist' : fileTrouble(error)}.`,
      hint: 'Name a file in a folder that exists: ccgate serve --pid-file /run/ccgate.pid',
      exitCode: EXIT.failure,
    })
  }
}

function optionsOf(call: Invocation): ConfigOption[] {
  const options: ConfigOption[] = []
  for (const [name, path] of [
    ['listen', 'listen'],
    ['public-url', 'public_url'],
    ['log-format', 'logging.format'],
    ['log-level', 'logging.level'],
  ] as const) {
    const value = call.text(name)
    if (value !== null) options.push({ path, value, name: `--${name}` })
  }
  return options
}

/** Store, install and what tells of the store's trouble. */
async function openParts(context: Context, config: Config, configFile: string | null, log: Log) {
  const { openDaemonStore } = await import('../../store/open.ts')
  let tellFatal: (error: StoreError) => void = () => {}
  let tellFull: (isFull: boolean) => void = () => {}
  const opened = await openDaemonStore({
    ...config.store,
    onFatal: (error) => tellFatal(error),
    onLargeLog: (bytes) => log.warn({ bytes }, 'store.large_log'),
    onFull: (isFull) => {
      log[isFull ? 'error' : 'info']({}, isFull ? 'store.full' : 'store.has_room')
      tellFull(isFull)
    },
  })
  if (opened.kind !== 'opened') {
    const { openError } = await import('../open-store.ts')
    throw openError(opened)
  }
  const { store } = opened
  try {
    await refuseSecond(store, context.nowMs)
    return {
      parts: await partsOf(context, config, configFile, store, log),
      onFatal(tell: (error: StoreError) => void) {
        tellFatal = tell
      },
      onFull(tell: (isFull: boolean) => void) {
        tellFull = tell
      },
    }
  } catch (error) {
    // Its threads would keep the process alive.
    await store.close().catch(() => {})
    throw error
  }
}

/** Two gateways on one database would each count limits and rests for themselves. */
async function refuseSecond(store: Store, nowMs: number): Promise<void> {
  const { provablyRuns } = await import('../../daemon/process-id.ts')
  const other = (await store.listBoots()).find(
    (boot) => boot.state === 'serving' && provablyRuns(boot, nowMs),
  )
  if (other === undefined) return
  throw new CliError({
    code: 'already_running',
    message: `ccgate runs already: pid ${other.pid}, on this database.`,
    hint: `Stop it first: kill ${other.pid}   (or watch it: ccgate monitor)`,
    exitCode: EXIT.conflict,
  })
}

async function partsOf(
  context: Context,
  config: Config,
  configFile: string | null,
  store: Store,
  log: Log,
): Promise<Omit<DaemonParts, 'log'>> {
  const { readMasterKey } = await import('../../vault/master-key.ts')
  const { openInstall } = await import('../../vault/install.ts')
  const key = readMasterKey({
    explicitFile: config.store.masterKeyFile,
    configFile,
    databaseFile: config.store.path,
  })
  if (key.kind === 'unusable') throw notReady('master_key_unusable', key.message, key.hint)
  const install = await openInstall(store, key.key)
  if (install.kind === 'not_initialised') {
    throw notReady(
      'not_initialised',
      `The database ${config.store.path} was never set up.`,
      'Run: ccgate init',
    )
  }
  if (install.kind !== 'opened') throw notReady('wrong_master_key', install.message, install.hint)
  for (const warning of key.warnings) {
    if (isWatched(context)) context.print.warn(warning)
    else log.warn({ message: warning }, 'serve.warning')
  }
  return { config, store, install, version: ccgateVersion() }
}

/** Whether stderr is read by a person; where it is a log file, only log lines belong there. */
function isWatched({ terminal }: Context): boolean {
  return terminal.stderr.isTTY === true
}

/** Starts the daemon; what stands in its way becomes one line of what and one of what to do. */
export async function startOrExplain(parts: DaemonParts): Promise<Daemon> {
  const { startDaemon } = await import('../../daemon/serve.ts')
  const { ListenError } = await import('../../daemon/listen-at.ts')
  const { VaultError } = await import('../../vault/vault.ts')
  try {
    return await startDaemon(parts)
  } catch (error) {
    await parts.store.close().catch(() => {})
    if (error instanceof VaultError) {
      throw notReady(
        'cannot_decrypt',
        'A stored account key cannot be opened with this master key.',
        'Use the master key that was made with this database, or add the account again: ccgate accounts rotate <name>',
      )
    }
    if (error instanceof ListenError) throw await listenFailure(error, parts.config)
    throw error
  }
}

async function listenFailure(error: ListenError, config: Config): Promise<CliError> {
  const { at } = error
  const address = at.kind === 'unix' ? at.path : `${at.host}:${at.port}`
  const isMetrics = at === config.metricsListen
  if (error.code === 'EADDRINUSE' && at.kind === 'tcp') {
    const { ownerOfPort } = await import('../port-owner.ts')
    const owner = ownerOfPort(at.port)
    const by = owner === null ? '' : ` by pid ${owner.pid} (${owner.name})`
    return new CliError({
      code: 'port_in_use',
      message: `Port ${at.port} is in use${by}.`,
      hint: isMetrics
        ? `Pick another in the config: metrics: {listen: ${at.host}:${at.port + 1}}`
        : `Pick another: ccgate serve --listen ${at.host}:${at.port + 1}`,
      exitCode: EXIT.failure,
    })
  }
  const why: Record<string, string> = {
    EADDRINUSE: 'another program answers there',
    EACCES: 'permission denied',
    EADDRNOTAVAIL: 'this machine has no such address',
    ENOENT: 'its folder does not exist',
  }
  return new CliError({
    code: 'cannot_listen',
    message: `Cannot listen on ${address}: ${why[error.code] ?? error.message}.`,
    hint: isMetrics
      ? 'Pick another in the config: metrics: {listen: 127.0.0.1:9464}'
      : 'Pick another: ccgate serve --listen 127.0.0.1:8787',
    exitCode: EXIT.failure,
  })
}

function printBanner(context: Context, config: Config, daemon: Daemon): void {
  const { print } = context
  const { healthy, resting, disabled } = daemon.counts.accounts
  const accounts = [`${healthy} healthy`]
  if (resting > 0) accounts.push(`${resting} resting`)
  if (disabled > 0) accounts.push(`${disabled} disabled`)
  const bytes = statSync(config.store.path, { throwIfNoEntry: false })?.size ?? 0
  print.note(`ccgate ${ccgateVersion()} · pid ${process.pid} · node ${process.versions.node}`)
  print.note(`  API        ${config.publicUrl}     (listening on ${daemon.address})`)
  print.note(`  Accounts   ${accounts.join(', ')}      Keys ${daemon.counts.activeKeys} active`)
  if (daemon.metricsAddress !== null)
    print.note(`  Metrics    ${metricsUrl(daemon.metricsAddress)}`)
  print.note(`  Data       ${config.store.path} (${formatBytes(bytes)})`)
  for (const warning of warningsOf(config, daemon)) print.warn(warning)
}

function metricsUrl(address: string): string {
  return address.startsWith('/') ? `/metrics at ${address}` : `http://${address}/metrics`
}

/** What the operator should know before the first request. */
function warningsOf(config: Config, daemon: Daemon): readonly string[] {
  const warnings: string[] = []
  const { healthy, resting, disabled } = daemon.counts.accounts
  if (healthy + resting + disabled === 0) {
    warnings.push('No upstream account yet. Add one: ccgate accounts add main')
  }
  const broken = daemon.stoppedBecause()
  if (broken !== null) {
    warnings.push(`No request is admitted: ${broken.message}. Look closer: ccgate db check`)
  }
  const at = config.listen
  if (
    at.kind === 'tcp' &&
    (at.host === '0.0.0.0' || at.host === '::') &&
    config.publicUrl.startsWith('http:')
  ) {
    warnings.push(
      'Listening on all interfaces without HTTPS: keys travel in clear. Put a reverse proxy in front.',
    )
  }
  return warnings
}

/** Waits for a signal or a dead store; drains, then answers the exit code. */
export async function untilStopped(
  daemon: Daemon,
  config: Config,
  log: Log,
  broken: Promise<StoreError>,
): Promise<number> {
  const signals = ['SIGINT', 'SIGTERM'] as const
  let onSignal: (signal: NodeJS.Signals) => void = () => {}
  const signalled = new Promise<NodeJS.Signals>((resolve) => {
    onSignal = resolve
  })
  for (const signal of signals) process.on(signal, onSignal)
  const cause = await Promise.race([signalled, broken])
  if (typeof cause !== 'string') return afterBreak(daemon, log, cause)
  log.info({ signal: cause, inFlight: daemon.inFlight() }, 'serve.draining')
  const cut = (signal: NodeJS.Signals) => {
    log.warn({ signal }, 'serve.cut')
    daemon.cut()
  }
  // First the new ones: a signal that nobody listens to ends the process.
  for (const signal of signals) process.on(signal, cut).off(signal, onSignal)
  const beat = setInterval(() => log.info({ inFlight: daemon.inFlight() }, 'serve.draining'), 5_000)
  const stopping = daemon.stop(config.shutdownGraceMs)
  const brokeMeanwhile = await Promise.race([stopping.then(() => null), broken])
  clearInterval(beat)
  for (const signal of signals) process.off(signal, cut)
  if (brokeMeanwhile !== null) return afterBreak(daemon, log, brokeMeanwhile, stopping)
  log.info({}, 'serve.stopped')
  return EXIT.ok
}

/** What the store could not take is on disk as an open hold; the next start recovers it. */
async function afterBreak(
  daemon: Daemon,
  log: Log,
  cause: StoreError,
  stopping = daemon.stop(0),
): Promise<number> {
  log.fatal({ err: cause }, 'store.broken')
  daemon.cut()
  await Promise.race([
    stopping.catch(() => {}),
    new Promise((resolve) => setTimeout(resolve, LAST_WORDS_MS)),
  ])
  return EXIT.storeBroken
}

/** Where log lines go: the file that the config names, else stderr. */
function logSink(context: Context, config: Config) {
  const { stderr } = context.terminal
  const { format, file } = config.logging
  if (file !== null) {
    const stream = createWriteStream(file, { flags: 'a', mode: 0o600 })
    stream.on('error', (error) =>
      stderr.write(`! Cannot write the log ${file}: ${error.message}\n`),
    )
    return {
      format: format === 'text' ? ('text' as const) : ('json' as const),
      write: (line: string) => void stream.write(line),
      close: () => new Promise<void>((resolve) => stream.end(resolve)),
    }
  }
  const isText = format === 'text' || (format === 'auto' && stderr.isTTY === true)
  return {
    format: isText ? ('text' as const) : ('json' as const),
    write: (line: string) => void stderr.write(line),
    close: () => Promise.resolve(),
  }
}
