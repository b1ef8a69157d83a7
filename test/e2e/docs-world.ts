import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { PassThrough } from 'node:stream'
import type { TestContext } from 'node:test'
import type { CcgateCommand } from '../../src/cli/command.ts'
import { buildProgram } from '../../src/cli/program.ts'
import { runCli } from '../../src/cli/run.ts'
import { sandboxKey } from '../../src/sandbox/accounts.ts'
import { world } from '../support/world.ts'
import { ROOT, temporaryFolder } from './processes.ts'

/** A fenced block of a document. */
export interface Block {
  readonly file: string
  readonly language: string
  readonly text: string
}

/** The documents, by name. */
export function documents(): ReadonlyMap<string, string> {
  const names = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'))
  const files = ['README.md', ...names.map((name) => `docs/${name}`)]
  return new Map(files.map((file) => [file, readFileSync(join(ROOT, file), 'utf8')]))
}

/** All fenced blocks of a language. */
export function blocksOf(language: string): readonly Block[] {
  return [...documents()].flatMap(([file, text]) =>
    [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
      .filter(([, found]) => found === language)
      .map(([, , body]) => ({ file, language, text: body })),
  )
}

/** The `ccgate` commands of a shell text, word by word: pipes, `&&`, redirections and `sudo -u` taken off. */
export function ccgateCommands(shell: string): readonly (readonly string[])[] {
  const lines = shell.replaceAll('\\\n', ' ').split('\n')
  return lines
    .flatMap((line) => line.split(/ && | \| /))
    .map((part) => words(part.replace(/^\s*sudo -u ccgate /, '').trim()))
    .filter((found) => found[0] === 'ccgate')
    .map((found) => found.slice(1))
}

/** Words as a shell makes them, up to a comment or a redirection. */
function words(text: string): readonly string[] {
  const found: string[] = []
  for (const [word] of text.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)) {
    if (/^(#|>|<)/.test(word)) break
    found.push(word.replace(/["']/g, ''))
  }
  return found
}

/** Null when the tree of commands takes these words, else what it says. */
export async function complaintOf(argv: readonly string[]): Promise<string | null> {
  const program = buildProgram(async () => {}, { out: () => {}, err: () => {} })
  // A bare group or command, as prose names it.
  let command: CcgateCommand | undefined = program
  for (const word of argv) {
    command = command?.commands.find((sub) => sub.name() === word) as CcgateCommand | undefined
  }
  if (command !== undefined) return null
  try {
    // Values that begin with a minus are the runner's matter, not the tree's.
    await program.parseAsync(
      argv.map((word) => word.replace(/^-(?=[\d$])/, '')),
      { from: 'user' },
    )
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** A served world in which the names of the documents exist, and commands that run against it. */
export async function documentedWorld(t: TestContext) {
  const w = await world(t)
  const folder = temporaryFolder(t)
  // The world's own key, where commands look for it.
  writeFileSync(join(dirname(w.databaseFile), 'master.key'), '07'.repeat(32), { mode: 0o600 })
  const answered = await w.post()
  await answered.text()
  const requestId = answered.headers.get('x-cc-request-id') ?? ''
  const upstreamId = (await w.usage(requestId)).upstreamRequestId ?? ''
  writeFileSync(join(folder, 'config.yaml'), 'support_email: ann@example.com\n')
  let made = 0

  async function run(argv: readonly string[], stdin = '') {
    const [input, output, errors] = [new PassThrough(), new PassThrough(), new PassThrough()]
    input.end(stdin)
    const text = { out: '', err: '' }
    output.on('data', (chunk) => (text.out += String(chunk)))
    errors.on('data', (chunk) => (text.err += String(chunk)))
    const code = await runCli(argv, {
      stdin: input,
      stdout: output,
      stderr: errors,
      place: {
        env: { CCGATE_DB: w.databaseFile, CCGATE_TZ: 'UTC', ANTHROPIC_API_KEY: sandboxKey('env') },
        home: folder,
        cwd: folder,
        isRoot: false,
      },
      userName: 'ann',
      nowMs: () => Date.now(),
    })
    await new Promise((resolve) => setImmediate(resolve))
    return { code, ...text }
  }

  const at = ['--base-url', w.sandbox.url, '--allow-private', '--key-stdin']

  /** The names of the documents; what a command before has taken away is there again. */
  async function furnish(): Promise<void> {
    for (const name of ['main', 'spare', 'backup', 'old-key']) {
      await run(['accounts', 'add', name, ...at, '--no-test', '--if-not-exists'], sandboxKey(name))
    }
    for (const key of ['alice/laptop', 'bob/phone', 'ci/deploy']) {
      await run(['keys', 'create', key, '--create-user', '--if-not-exists'])
    }
    await run(['users', 'create', 'ci-bot', '--if-not-exists'])
    await run(['credit', 'grant', 'bob', '100'])
    const { out } = await run(['models', 'list', '--all', '--json'])
    writeFileSync(join(folder, 'prices.json'), out)
  }

  return {
    ...w,
    run,
    furnish,
    /** A documented command as it can run here; null for one that runs until it is stopped. */
    adapted(argv: readonly string[]): { argv: readonly string[]; stdin: string } | null {
      const [noun, verb] = argv
      const has = (option: string) => argv.includes(option)
      if (['serve', 'demo', 'sandbox'].includes(noun)) return null
      if (noun === 'monitor' && !has('--once')) return null
      if (noun === 'usage' && verb === 'tail') return null
      if (has('--watch')) return null
      const here = argv.map((word) =>
        word
          .replace(/^ccr_\S+$/, requestId)
          .replace(/^req_\S+$/, upstreamId)
          .replace(/^\/var\/backups\/.*/, w.databaseFile)
          .replace(/^\/etc\/ccgate\//, `${folder}/etc/`),
      )
      const extra: string[] = []
      let stdin = ''
      if (noun === 'init') {
        const own = join(folder, `init-${made++}`)
        extra.push('--db', join(own, 'ccgate.db'))
        // In its usual place it would be in force for all commands that follow.
        if (!has('--dir') && !has('-c')) extra.push('-c', join(own, 'config.yaml'))
      }
      // There is no proxy here.
      if (noun === 'accounts' && verb === 'update') {
        const isProxy = (word: string | undefined) => /^--proxy(-file)?$/.test(word ?? '')
        const bare = here.filter((word, i) => !isProxy(word) && !isProxy(here[i - 1]))
        return { argv: bare, stdin }
      }
      if (noun === 'accounts' && (verb === 'add' || verb === 'rotate')) {
        const keyOptions = ['--key-stdin', '--key-file', '--key-env', '--base-url', '--proxy']
        const bare = here.filter(
          (word, i) =>
            !keyOptions.includes(word) &&
            word !== '--allow-private' &&
            !keyOptions.slice(1).includes(here[i - 1] ?? ''),
        )
        stdin = sandboxKey(`${bare[2]}-${made++}`)
        const options = verb === 'add' ? [...at, '--if-not-exists'] : ['--key-stdin']
        return { argv: [...bare, ...options], stdin }
      }
      if (noun === 'keys' && verb === 'create') extra.push('--if-not-exists')
      if (noun === 'users' && verb === 'create') extra.push('--if-not-exists')
      if (noun === 'users' && verb === 'delete') {
        return { argv: ['users', 'delete', here[2], '--forfeit', '--confirm', here[2]], stdin }
      }
      if (noun === 'credit' && verb === 'refund') {
        // There is one request, which cost less than a cent: its whole charge can be given back only once.
        return { argv: [...here.filter((word) => word !== '0.01'), '--dry-run'], stdin }
      }
      extra.push('--yes')
      return { argv: [...here, ...extra], stdin }
    },
  }
}
