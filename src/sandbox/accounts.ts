import { hash32 } from './random.ts'

/** A login of the simulated upstream. Keys of one workspace share its cache, of one organisation its limits. */
export interface SandboxAccount {
  readonly name: string
  /** Looks like a real one and is worth nothing. */
  readonly key: string
  readonly organizationId: string
  readonly workspaceId: string
  /** Model ids on offer here; null: all. */
  readonly models: readonly string[] | null
  /** False: this organisation keeps no data, so models that need retention refuse. */
  readonly dataRetention: boolean
}

/** How a caller describes an account; everything but the name has a default. */
export interface AccountOptions {
  readonly name: string
  readonly key?: string
  /** Accounts that name the same organisation share its rate limits. */
  readonly organization?: string
  /** Accounts that name the same workspace (of one organisation) share its prompt cache. */
  readonly workspace?: string
  readonly models?: readonly string[]
  readonly dataRetention?: boolean
}

/** Keys that begin so are accepted without having been announced. */
export const KEY_PREFIXES = ['sk-ant-api03-sandbox-', 'sk-ant-sandbox-'] as const

/** The accounts by key; unknown sandbox keys make their account on first use. */
export interface AccountBook {
  /** Every account known so far, in the order of appearance. */
  all(): readonly SandboxAccount[]
  /** The account of a key, made when the key is a sandbox key; null: `invalid x-api-key`. */
  byKey(key: string): SandboxAccount | null
  /** By name or key (a sandbox key makes its account); throws when there is none. */
  named(nameOrKey: string): SandboxAccount
  isRevoked(account: SandboxAccount): boolean
  setRevoked(account: SandboxAccount, revoked: boolean): void
}

/** A sandbox key for `name`: `sk-ant-api03-sandbox-<name>-…`, as long as a real one. */
export function sandboxKey(name: string): string {
  const head = `${KEY_PREFIXES[0]}${name}-`
  const filling = 'notARealKey'.repeat(9).slice(0, Math.max(8, 104 - head.length))
  // People tell keys apart by their last four characters.
  return `${head}${filling}${hexOf(name, 4)}`
}

/** An account book that starts with `list`. */
export function createAccounts(list: readonly AccountOptions[]): AccountBook {
  const accounts: SandboxAccount[] = []
  const byKey = new Map<string, SandboxAccount>()
  const revoked = new Set<string>()

  function add(options: AccountOptions): SandboxAccount {
    const organization = options.organization ?? options.name
    const workspace = options.workspace ?? (options.organization ? options.name : 'default')
    const account: SandboxAccount = {
      name: options.name,
      key: options.key ?? sandboxKey(options.name),
      organizationId: uuidOf(`organization ${organization}`),
      workspaceId: `wrkspc_01${hexOf(`workspace ${organization} ${workspace}`, 24)}`,
      models: options.models ?? null,
      dataRetention: options.dataRetention ?? true,
    }
    if (byKey.has(account.key))
      throw new Error(`two sandbox accounts share the key of ${account.name}`)
    accounts.push(account)
    byKey.set(account.key, account)
    return account
  }

  function find(key: string): SandboxAccount | null {
    const known = byKey.get(key)
    if (known) return known
    const prefix = KEY_PREFIXES.find((text) => key.startsWith(text))
    return prefix === undefined || key === prefix ? null : add({ ...read(key, prefix), key })
  }

  for (const options of list) add(options)

  return {
    all: () => accounts,
    byKey: find,
    named(nameOrKey) {
      const found = accounts.find((account) => account.name === nameOrKey) ?? find(nameOrKey)
      if (!found) throw new Error(`no sandbox account is called ${nameOrKey}`)
      return found
    },
    isRevoked: (account) => revoked.has(account.key),
    setRevoked(account, isRevoked) {
      if (isRevoked) revoked.add(account.key)
      else revoked.delete(account.key)
    },
  }
}

/** The name of the account that a sandbox key with this ending is for: `red` of `red_org_acme`. */
export function accountNameOf(ending: string): string {
  return read(ending, '').name
}

/** `<prefix>NAME[_org_ORGANISATION][_ws_WORKSPACE]` */
function read(key: string, prefix: string): AccountOptions {
  const match = /^(.*?)(?:_org_(.*?))?(?:_ws_(.*))?$/s.exec(key.slice(prefix.length))
  const name = match?.[1] || key.slice(prefix.length)
  return { name, organization: match?.[2], workspace: match?.[3] }
}

function hexOf(text: string, length: number): string {
  let hex = ''
  for (let i = 0; hex.length < length; i++)
    hex += hash32(text, i + 1)
      .toString(16)
      .padStart(8, '0')
  return hex.slice(0, length)
}

function uuidOf(text: string): string {
  const hex = hexOf(text, 32)
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
  ]
  return [...parts, hex.slice(20)].join('-')
}
