import { createServer } from 'node:http'
import type { SandboxAccount } from './accounts.ts'
import type { FaultLimits, Scenario } from './fault-board.ts'
import { type Fault, parseFault } from './faults.ts'
import { openFront } from './front.ts'
import { createIntake } from './intake.ts'
import {
  type BilledRequest,
  type BilledTotals,
  type Counters,
  createRing,
  type RecordedRequest,
} from './record.ts'
import { createWorld, type SandboxOptions } from './world.ts'

export type { SandboxOptions } from './world.ts'

/** A running simulated upstream. */
export interface Sandbox {
  readonly url: string
  readonly port: number
  /** Every account known so far. */
  readonly accounts: readonly SandboxAccount[]
  /** The latest requests, oldest first. */
  readonly requests: readonly RecordedRequest[]
  readonly counters: Readonly<Counters>
  /** An account by name or key; throws when there is none. */
  account(nameOrKey: string): SandboxAccount
  setScenario(scenario: Scenario): void
  /**
   * Spoils the answers of one account or of all (`*`): a fault or its text form (`status=529`).
   * null takes back what was set for the same account, model and path.
   */
  setFault(account: string, fault: Fault | string | null, limits?: FaultLimits): void
  clearFaults(): void
  /** From now on the account's key is a 401, until `restore`. */
  revoke(account: string): void
  restore(account: string): void
  /** True: connections are refused (ECONNREFUSED) and open ones reset; false: back to normal. */
  refuse(isRefusing: boolean): Promise<void>
  /** What upstream would bill, request by request; of all accounts when none is named. */
  billed(account?: string): readonly BilledRequest[]
  /** Sums of what upstream would bill, however many requests there were. */
  totals(account?: string): BilledTotals
  /** Forgets requests and bills; keeps faults, caches and limits. */
  forget(): void
  /** Ends all sockets and timers. */
  close(): Promise<void>
}

const RECORDED_BYTES = 64 * 1024 * 1024
/** Starts a simulated upstream; resolves when it listens, rejects when the port is taken. */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const host = options.host ?? '127.0.0.1'
  const world = createWorld(options)
  const { accounts, bills, counters, faults, timers } = world
  const requests = createRing<RecordedRequest>(options.recordLimit ?? 1_000, RECORDED_BYTES)
  const nameOf = (account?: string) =>
    account === undefined ? undefined : accounts.named(account).name

  const server = createServer(
    { requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 60_000, maxHeaderSize: 65_536 },
    createIntake(world, requests),
  )
  const front = await openFront(server, host, options.port ?? 0, () => counters.connections++)

  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${front.port}`,
    port: front.port,
    get accounts() {
      return accounts.all()
    },
    get requests() {
      return requests.all()
    },
    counters,
    account: (nameOrKey) => accounts.named(nameOrKey),
    setScenario: (scenario) => faults.setScenario(scenario),
    setFault(account, fault, limits) {
      const name = account === '*' ? '*' : accounts.named(account).name
      faults.set(name, typeof fault === 'string' ? parseFault(fault) : fault, limits)
    },
    clearFaults: () => faults.clear(),
    revoke: (account) => accounts.setRevoked(accounts.named(account), true),
    restore: (account) => accounts.setRevoked(accounts.named(account), false),
    refuse: (isRefusing) => front.refuse(isRefusing),
    billed: (account) => bills.list(nameOf(account)),
    totals: (account) => bills.totals(nameOf(account)),
    forget() {
      requests.clear()
      bills.clear()
    },
    async close() {
      timers.stopAll()
      await front.close()
    },
  }
}
