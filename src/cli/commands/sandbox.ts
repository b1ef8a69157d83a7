import { readFile } from 'node:fs/promises'
import { type Parsed, parseCount, parseDuration } from '../../core/quantity.ts'
import { accountNameOf, KEY_PREFIXES } from '../../sandbox/accounts.ts'
import { SCENARIOS, type Scenario } from '../../sandbox/fault-board.ts'
import { startSandbox } from '../../sandbox/sandbox.ts'
import { parseScript, type Script } from '../../sandbox/script.ts'
import type { Context } from '../context.ts'
import { CliError, EXIT, usageError } from '../errors.ts'
import { accept, type Invocation } from '../invocation.ts'
import { untilSignal } from '../signals.ts'

/** `ccgate sandbox`: the simulated upstream alone, until a signal ends it. */
export async function sandbox(context: Context, call: Invocation): Promise<number> {
  const port = call.read('port', parsePort) ?? 0
  const scriptFile = call.text('script')
  const script = scriptFile === null ? undefined : await readScript(scriptFile)
  for (const warning of unfitNames(script ?? [])) context.print.warn(warning)
  const running = await startSandbox({
    port,
    scenario: scenarioOf(call),
    latencyMs: call.read('latency', parseLatency) ?? [20, 60],
    tokenRate: call.read('token-rate', parseCount) ?? 80,
    seed: call.read('seed', parseCount) ?? 1,
    script,
  }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE') throw error
    throw new CliError({
      code: 'port_in_use',
      message: `Port ${port} is in use.`,
      hint: `Pick another: ccgate sandbox --port ${port + 1}`,
      exitCode: EXIT.failure,
    })
  })
  const { print } = context
  if (print.json) {
    print.document({
      object: 'sandbox',
      url: running.url,
      accounts: running.accounts.map(({ name, key }) => ({ name, key })),
    })
  } else {
    print.out(`Simulated upstream   ${running.url}   (no internet used)`)
    for (const { name, key } of running.accounts) print.out(`  ${name}   ${key}`)
    print.note('Try it:')
    print.note(
      `  curl ${running.url}/v1/messages -H "x-api-key: ${running.accounts[0]?.key}" -H "anthropic-version: 2023-06-01" -d '{"model":"claude-sonnet-4-6","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}'`,
    )
    print.note('Stop: Ctrl-C')
  }
  await untilSignal()
  await running.close()
  return EXIT.ok
}

/** The scenario that was asked for, `ok` by default. */
export function scenarioOf(call: Invocation): Scenario {
  const name = call.text('scenario') ?? 'ok'
  const found = SCENARIOS.find((scenario) => scenario === name)
  if (found === undefined)
    throw usageError(
      `--scenario: there is no scenario "${name}".`,
      `Use one of: ${SCENARIOS.join(', ')}`,
      'bad_value',
    )
  return found
}

/** A TCP port, 1 to 65535. */
export function parsePort(text: string): Parsed<number> {
  const port = Number(text)
  return /^\d{1,5}$/.test(text) && port > 0 && port < 65_536
    ? { kind: 'ok', value: port }
    : { kind: 'bad', problem: `"${text}" is not a port. Example: 8787` }
}

/** `20ms..900ms`, or one duration for both ends. */
function parseLatency(text: string): Parsed<readonly [number, number]> {
  const [least, most = least] = text.split('..')
  const from = accept(parseDuration(least), '--latency')
  const to = accept(parseDuration(most), '--latency')
  return from <= to
    ? { kind: 'ok', value: [from, to] }
    : { kind: 'bad', problem: `"${text}" ends before it begins. Example: 20ms..900ms` }
}

/** Rules that never fit, because no account can have such a name. */
function unfitNames(script: Script): readonly string[] {
  return script.flatMap(({ match: { account } }, at) => {
    if (account === undefined) return []
    const prefix = KEY_PREFIXES.find((start) => account.startsWith(start)) ?? ''
    const name = accountNameOf(account.slice(prefix.length))
    return name === account
      ? []
      : [`Rule ${at + 1} never fits: the account is called ${name}, not ${account}.`]
  })
}

async function readScript(file: string): Promise<Script> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException // readFile throws system errors only
    throw usageError(
      `--script: cannot read ${file} (${code}).`,
      'Give a file with a list of steps.',
      'bad_value',
    )
  }
  try {
    return parseScript(text)
  } catch (error) {
    throw usageError(
      `${file}: ${(error as Error).message}`,
      'See docs/sandbox.md for the form of a script.',
      'bad_value',
    )
  }
}
