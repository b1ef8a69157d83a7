import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type ConfigOption, loadConfig } from '../../config/load.ts'
import { defaultConfigFile, findConfigFile } from '../../config/place.ts'
import { createDatabase, SCHEMA_VERSION } from '../../store/open.ts'
import { initInstall } from '../../vault/install.ts'
import {
  createMasterKey,
  type MasterKeyPlaces,
  masterKeyFile,
  readMasterKey,
} from '../../vault/master-key.ts'
import { type Context, createContext, notReady, problemLine } from '../context.ts'
import { usageError } from '../errors.ts'
import { accept, type Invocation } from '../invocation.ts'
import { openError } from '../open-store.ts'
import { parseName } from '../parse/name.ts'

type Part = 'config' | 'db' | 'master_key'

/** Makes config, master key and database where they are missing; safe to repeat, also after a crash half-way. */
export async function init(context: Context, call: Invocation): Promise<void> {
  const { print, terminal, globals } = context
  const { place } = terminal
  const folder = call.text('dir') === null ? null : resolve(place.cwd, call.text('dir') ?? '')
  const configFile = configFileOf(context, folder)
  const account = call.text('account')
  if (account !== null) accept(parseName(account), '--account')
  const hadConfig = existsSync(configFile)
  const answers = hadConfig && !call.flag('force') ? null : await answersFrom(context, call)
  const created: Part[] = []
  const already: Part[] = []
  const note = (part: Part, isNew: boolean) => (isNew ? created : already).push(part)

  if (answers === null) note('config', false)
  else {
    await checkAnswers(answers, configFile, place)
    const databasePath =
      globals.databaseFile !== null
        ? resolve(place.cwd, globals.databaseFile)
        : folder === null
          ? null
          : './ccgate.db'
    writeConfig(configFile, configText(answers, databasePath))
    note('config', true)
  }
  const inner = createContext(terminal, { ...globals, configFile })
  try {
    const { config } = await inner.config()
    const places: MasterKeyPlaces = {
      explicitFile: config.store.masterKeyFile,
      configFile,
      databaseFile: config.store.path,
    }
    const keyFile = masterKeyFile(places)
    const hadDatabase = existsSync(config.store.path)
    // A database without its key must not get a new key: what it holds would be lost in silence.
    note(
      'master_key',
      !existsSync(keyFile) &&
        !(hadDatabase && (await isSealed(inner))) &&
        createMasterKey(keyFile) === 'created',
    )
    const key = readMasterKey(places)
    if (key.kind === 'unusable') throw notReady('master_key_unusable', key.message, key.hint)
    const database = await createDatabase(config.store.path)
    if (database.kind !== 'created' && database.kind !== 'exists') throw openError(database)
    note('db', database.kind === 'created')
    const install = await initInstall(await inner.store(), key.key)
    if (install.kind === 'wrong_master_key')
      throw notReady('wrong_master_key', install.message, install.hint)
    const files = { config: configFile, db: config.store.path, master_key_file: keyFile }
    if (print.json) print.document({ object: 'init', ...files, created, already })
    else if (print.quiet) print.out(files.config)
    else report(context, files, created)
    if (account !== null) {
      const { addNamedAccount } = await import('./accounts-add.ts')
      await addNamedAccount(inner, call, account)
    }
    if (!print.json && !print.quiet) nextSteps(context, configFile, account !== null)
  } finally {
    await inner.close()
  }
}

function configFileOf(context: Context, folder: string | null): string {
  const { place } = context.terminal
  const { configFile } = context.globals
  if (configFile !== null) {
    const named = resolve(place.cwd, configFile)
    if (folder === null || dirname(named) === folder) return named
    throw usageError(
      '--dir and --config name different folders.',
      'Leave one of them out: --dir puts config.yaml into its folder.',
      'bad_value',
    )
  }
  // What is typed wins over what the environment says, as everywhere.
  if (folder !== null) return join(folder, 'config.yaml')
  const named = place.env.CCGATE_CONFIG || null
  return named === null ? defaultConfigFile(place) : resolve(place.cwd, named)
}

interface Answers {
  readonly publicUrl: string | null
  readonly listen: string | null
  readonly supportEmail: string | null
}

async function answersFrom(context: Context, call: Invocation): Promise<Answers> {
  const { ask } = context
  const listen = call.text('listen')
  const fallbackUrl = `http://${listen === null || listen.startsWith('unix:') ? '127.0.0.1:8787' : listen}`
  const publicUrl = call.text('public-url') ?? (await ask.line('Public URL', fallbackUrl))
  const supportEmail =
    call.text('support-email') ?? (await ask.line('Support e-mail', 'support@example.com'))
  return {
    listen,
    publicUrl: publicUrl === 'http://127.0.0.1:8787' ? null : publicUrl,
    supportEmail: supportEmail === 'support@example.com' ? null : supportEmail,
  }
}

/** Bad answers end here, before anything is written. */
async function checkAnswers(
  answers: Answers,
  configFile: string,
  place: Context['terminal']['place'],
): Promise<void> {
  const options: ConfigOption[] = []
  if (answers.listen !== null)
    options.push({ path: 'listen', value: answers.listen, name: '--listen' })
  if (answers.publicUrl !== null)
    options.push({ path: 'public_url', value: answers.publicUrl, name: '--public-url' })
  if (answers.supportEmail !== null)
    options.push({ path: 'support_email', value: answers.supportEmail, name: '--support-email' })
  const file = existsSync(configFile) ? configFile : null
  const withoutFile = {
    ...place,
    env: { ...place.env, CCGATE_CONFIG: undefined },
    home: '/nonexistent',
  }
  const result = await loadConfig({ file, options, place: withoutFile })
  if (result.kind !== 'invalid') return
  const wrong = result.problems.find((problem) => problem.origin.kind === 'option')
  if (wrong !== undefined) throw usageError(problemLine(wrong), 'Nothing was written.', 'bad_value')
}

/** Whether secrets were ever sealed in the existing database. */
async function isSealed(context: Context): Promise<boolean> {
  return (await (await context.store('read')).getMeta('pepper_sealed')) !== null
}

function configText(answers: Answers, databasePath: string | null): string {
  const value = (text: string | null, fallback: string, key: string) =>
    text === null ? `# ${key}: ${fallback}` : `${key}: ${JSON.stringify(text)}`
  const lines = [
    '# ccgate configuration. What is not here is at its default; all settings: ccgate config example',
    '# Check with: ccgate config check',
    '',
    '# Where the gateway listens. Keep 127.0.0.1 when a reverse proxy does HTTPS.',
    value(answers.listen, '127.0.0.1:8787', 'listen'),
    '',
    '# The address your users type.',
    value(answers.publicUrl, 'http://127.0.0.1:8787', 'public_url'),
    '',
    '# Whom users should ask; shown in error messages.',
    value(answers.supportEmail, 'support@example.com', 'support_email'),
  ]
  if (databasePath !== null)
    lines.push(
      '',
      'store:',
      `  path: ${JSON.stringify(databasePath)}   # from the folder of this file`,
    )
  return `${lines.join('\n')}\n`
}

function writeConfig(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const partial = `${file}.partial`
  const fd = openSync(partial, 'w', 0o600)
  try {
    writeSync(fd, text)
  } finally {
    closeSync(fd)
  }
  chmodSync(partial, 0o600)
  renameSync(partial, file)
}

function report(
  context: Context,
  files: { readonly config: string; readonly db: string; readonly master_key_file: string },
  created: readonly Part[],
): void {
  const { print, terminal } = context
  if (created.length === 0) print.out('Already initialised.')
  const width = Math.max(...Object.values(files).map((file) => file.length))
  const line = (label: string, file: string, part: Part, facts: string) =>
    print.out(
      `${label.padEnd(10)} ${file.padEnd(width)}  ${created.includes(part) ? `created${facts}` : 'exists'}`,
    )
  line('Config', files.config, 'config', ' (0600)')
  line('Database', files.db, 'db', `, schema ${SCHEMA_VERSION}`)
  line('Master key', files.master_key_file, 'master_key', ' (0600)')
  if (created.includes('master_key'))
    print.note('Back the master key up: without it stored account keys cannot be read.')
  if (
    !terminal.place.isRoot &&
    files.config === defaultConfigFile(terminal.place) &&
    created.includes('config')
  ) {
    print.note('Set up for this user only. For the whole machine: sudo ccgate init')
  }
}

function nextSteps(context: Context, configFile: string, hasAccount: boolean): void {
  const { print, terminal } = context
  const isFound = configFile === findConfigFile(terminal.place, null).file
  const with_ = isFound ? '' : ` -c ${configFile}`
  const steps = [
    ...(hasAccount ? [] : [`ccgate accounts add main${with_}   # paste an Anthropic API key`]),
    `ccgate keys create alice/laptop --create-user --credit 25${with_}`,
    `ccgate serve${with_}`,
  ]
  print.note('Next:')
  for (const [i, step] of steps.entries()) print.note(`  ${i + 1}. ${step}`)
}
