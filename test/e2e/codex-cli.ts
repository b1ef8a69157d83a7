import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { World } from '../support/world.ts'
import { type Ended, type Running, start, temporaryFolder } from './processes.ts'

/** Codex CLI: what `CCGATE_CODEX` names, else `codex` on PATH. */
const CODEX = process.env.CCGATE_CODEX ?? 'codex'

/** Why tests with Codex CLI are skipped; false where it is installed. */
export const noCodex: string | false =
  spawnSync(CODEX, ['--version']).status === 0
    ? false
    : 'no Codex CLI: npm i --prefix /tmp/codex @openai/codex, CCGATE_CODEX=/tmp/codex/node_modules/.bin/codex'

/** Codex CLI, set up by its config.toml as `docs/openai-responses.md` says it. */
export interface Codex {
  /** Where it works; what a script of the upstream makes it do happens here. */
  readonly work: string
  /** `codex exec` with these arguments. */
  start(...args: readonly string[]): Running
  /** The same, until it ends. */
  exec(...args: readonly string[]): Promise<Ended>
}

/** What a test wants of its Codex CLI; the numbers are Codex's own defaults where it leaves them out. */
export interface CodexOptions {
  readonly model?: string
  readonly key?: string
  readonly requestRetries?: number
  readonly streamRetries?: number
  /** Further lines of config.toml, above its tables. */
  readonly settings?: readonly string[]
}

/** Sets Codex CLI up before a world's gateway, in a home of its own. */
export function codexFor(t: TestContext, w: World, options: CodexOptions = {}): Codex {
  const home = temporaryFolder(t)
  const work = join(home, 'work')
  mkdirSync(work)
  const number = (name: string, value: number | undefined) =>
    value === undefined ? [] : [`${name} = ${value}`]
  const lines = [
    `model = "${options.model ?? 'claude-opus-5-5'}"`,
    'model_provider = "ccgate"',
    'model_reasoning_effort = "high"',
    'model_reasoning_summary = "auto"',
    ...(options.settings ?? []),
    '[model_providers.ccgate]',
    'name = "ccgate"',
    `base_url = "${w.url}/v1"`,
    'env_key = "CCGATE_KEY"',
    'wire_api = "responses"',
    ...number('request_max_retries', options.requestRetries),
    ...number('stream_max_retries', options.streamRetries),
    '',
  ]
  writeFileSync(join(home, 'config.toml'), lines.join('\n'))
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    CODEX_HOME: home,
    CCGATE_KEY: options.key ?? w.key,
  }
  const begin = (...args: readonly string[]) =>
    start(t, CODEX, ['exec', '--skip-git-repo-check', '-s', 'danger-full-access', ...args], {
      cwd: work,
      env,
    })
  return { work, start: begin, exec: (...args) => begin(...args).ended }
}

/** The last error that Codex printed; null where there was none. */
export function errorOf({ err, out }: Ended): string | null {
  const errors = `${err}\n${out}`.split('\n').filter((line) => line.startsWith('ERROR: '))
  return errors.at(-1)?.slice('ERROR: '.length) ?? null
}

/** How often Codex asked, as far as it says it: what it tries again without a word is not counted. */
export function attemptsOf({ err }: Ended): number {
  return 1 + err.split('\n').filter((line) => line.startsWith('ERROR: Reconnecting...')).length
}
