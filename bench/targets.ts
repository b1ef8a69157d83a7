// What is measured side by side: the upstream itself, nginx, the bare proxy, and the gateway.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Child,
  canPin,
  findProgram,
  freePort,
  PROXY_CORE,
  run,
  start,
  startScript,
} from './process.ts'

/** Columns of the report, in the order in which they are measured. */
export const TARGETS = ['direct', 'nginx', 'bare', 'ccgate'] as const

/** One of the things measured. */
export type TargetName = (typeof TARGETS)[number]

/** A running target. `pid` is null for the upstream, whose CPU is nobody's figure. */
export interface Target {
  readonly name: TargetName
  readonly port: number
  readonly key: string
  readonly pid: number | null
  readonly tail: () => string
  readonly stop: () => Promise<void>
}

/** Starts a fresh process of a target in front of the upstream. */
export type Starter = () => Promise<Target>

/** A starter, or the line that says why there is none. */
export type Available = { kind: 'ready'; start: Starter } | { kind: 'absent'; why: string }

const NO_KEY = 'cc_user_benchbenchbenchbenchbenchbenchbenchbench'

const asTarget = (name: TargetName, child: Child, port: number, key = NO_KEY): Target => ({
  name,
  port,
  key,
  pid: child.pid,
  tail: child.tail,
  stop: child.stop,
})

/** The floor: the upstream with nothing in between. */
export function direct(upstreamPort: number): Available {
  const target: Target = {
    name: 'direct',
    port: upstreamPort,
    key: NO_KEY,
    pid: null,
    tail: () => '',
    stop: async () => {},
  }
  return { kind: 'ready', start: async () => target }
}

/** The bare pass-through proxy. */
export function bare(upstreamPort: number): Available {
  return {
    kind: 'ready',
    start: async () => {
      const script = new URL('./bare-proxy.ts', import.meta.url)
      const child = await startScript(script, [`http://127.0.0.1:${upstreamPort}`], PROXY_CORE)
      return asTarget('bare', child, child.port)
    },
  }
}

// The body buffer matters: with its usual 16 KB nginx needs a third more CPU for 30 KB and above,
// and the yardstick should not be bent in our favour.
const nginxConfig = (dir: string, port: number, upstreamPort: number) => `
daemon off;
master_process off;
worker_processes 1;
pid ${dir}/nginx.pid;
error_log stderr error;
events { worker_connections 16384; }
http {
  access_log off;
  client_body_temp_path ${dir}/body;
  proxy_temp_path ${dir}/proxy;
  fastcgi_temp_path ${dir}/fastcgi;
  uwsgi_temp_path ${dir}/uwsgi;
  scgi_temp_path ${dir}/scgi;
  client_max_body_size 64m;
  client_body_buffer_size 128k;
  keepalive_requests 100000000;
  upstream canned {
    server 127.0.0.1:${upstreamPort};
    keepalive 2048;
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://canned;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_request_buffering off;
    }
  }
}
`

/** nginx as a keep-alive reverse proxy without buffering, one process. */
export function nginx(upstreamPort: number, tempDir: string): Available {
  const program = findProgram('nginx')
  if (program === null) {
    return {
      kind: 'absent',
      why: 'nginx is not installed: its columns and the ratios to it are skipped',
    }
  }
  return {
    kind: 'ready',
    start: async () => {
      const port = await freePort()
      const dir = join(tempDir, `nginx-${port}`)
      mkdirSync(dir, { recursive: true })
      const config = join(dir, 'nginx.conf')
      writeFileSync(config, nginxConfig(dir, port, upstreamPort))
      const args = ['-p', dir, '-e', 'stderr', '-c', config]
      const child = start({ program, args, cores: PROXY_CORE, cwd: dir })
      await answers({ name: 'nginx', child, url: `http://127.0.0.1:${port}/stats` })
      return asTarget('nginx', child, port)
    },
  }
}

/** The gateway's folder: config, database and key of a world of its own. */
export interface GatewayWorld {
  readonly config: string
  readonly key: string
  readonly env: NodeJS.ProcessEnv
}

const ROOT = join(import.meta.dirname, '..')
const LAUNCHER = join(ROOT, 'bin', 'ccgate.js')

/** Runs `ccgate <args>` to its end. */
export function ccgate(
  args: readonly string[],
  options: { readonly env: NodeJS.ProcessEnv; readonly input?: string; readonly cores: string },
) {
  const all = [LAUNCHER, ...args]
  return run({ program: process.execPath, args: all, cwd: ROOT, limitMs: 30_000, ...options })
}

/** Makes the gateway's world: one account that is the canned upstream, one key without limits. */
export async function gatewayWorld(
  upstreamPort: number,
  tempDir: string,
): Promise<{ kind: 'ready'; world: GatewayWorld } | { kind: 'absent'; why: string }> {
  if (!existsSync(LAUNCHER) || !existsSync(join(ROOT, 'dist'))) {
    return { kind: 'absent', why: 'dist/ is not built: the columns of ccgate are skipped' }
  }
  const dir = join(tempDir, 'ccgate')
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('CCGATE_'))
  const env = { ...Object.fromEntries(kept), NO_COLOR: '1' }
  const config = join(dir, 'config.yaml')
  const cores = PROXY_CORE
  const must = async (args: readonly string[], input?: string) => {
    const done = await ccgate(args, { env, cores, ...(input === undefined ? {} : { input }) })
    if (done.code === 0) return done.stdout.trim()
    throw new Error(`ccgate ${args.slice(0, 2).join(' ')}: exit ${done.code}\n${done.stderr}`)
  }
  await must(['init', '--dir', dir, '--no-input'])
  const account = ['accounts', 'add', 'bench', '--key-stdin', '--allow-private', '--no-test']
  const upstream = ['--base-url', `http://127.0.0.1:${upstreamPort}`, '-c', config]
  await must([...account, ...upstream], `sk-ant-api03-${'bench'.repeat(18)}-benchAA\n`)
  const limits = ['--credit', '1000000', '--rpm', 'none', '--concurrency', 'none']
  const create = ['keys', 'create', 'bench/k', '--create-user', ...limits, '-q', '-y']
  const key = await must([...create, '-c', config])
  return { kind: 'ready', world: { config, key, env } }
}

/** The gateway, `serve` on its world. */
export function gateway(world: GatewayWorld): Available {
  return {
    kind: 'ready',
    start: async () => {
      const port = await freePort()
      const child = start({
        program: process.execPath,
        args: [LAUNCHER, 'serve', '--listen', `127.0.0.1:${port}`, '-c', world.config],
        cores: PROXY_CORE,
        cwd: ROOT,
        env: world.env,
      })
      await answers({ name: 'ccgate', child, url: `http://127.0.0.1:${port}/healthz` })
      return asTarget('ccgate', child, port, world.key)
    },
  }
}

/** Waits until a server answers 200; says what it printed when it does not. */
async function answers(wait: { name: string; child: Child; url: string }): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const status = await fetch(wait.url).then(
      async (answer) => {
        await answer.arrayBuffer()
        return answer.status
      },
      () => 0,
    )
    if (status === 200) return
    if (wait.child.process.exitCode !== null || wait.child.process.signalCode !== null) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const tail = wait.child.tail()
  await wait.child.stop()
  throw new Error(`${wait.name} did not come up${tail === '' ? '' : `:\n${tail}`}`)
}

/** One line on where things run. */
export const placement = (): string =>
  canPin
    ? 'proxy on core 0; load generator and upstream on core 1'
    : 'no second core or no taskset: nothing is pinned, figures mix proxy and load'
