// A second process for processes.test.ts. Prints one line per fact, at once, so that nothing is lost when it
// is killed. Usage: node child.ts <role> <path> <json of arguments>
import { writeSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { openDaemonStore, openStore } from '../../src/store/open.ts'
import type { Store } from '../../src/store/store.ts'
import { by, makeId, newHold, recordOf } from './world.ts'

const [role, path, json] = process.argv.slice(2)
const args = JSON.parse(json) as Record<string, string & number>

function say(line: string): void {
  writeSync(1, `${line}\n`)
}

async function store(
  opening: Promise<{ kind: 'opened'; store: Store } | { kind: string }>,
): Promise<Store> {
  const result = await opening
  if (!('store' in result)) throw new Error(result.kind)
  return result.store
}

const roles: Record<string, () => Promise<void>> = {
  /** Grants `times` times with the same refs as everybody else. */
  async grant() {
    const cli = await store(openStore({ path, mode: 'write' }))
    for (let i = 0; i < args.times; i++) {
      const result = await cli.addCredit(
        {
          id: makeId('entry'),
          userId: args.userId,
          type: 'grant',
          amountMicro: 1_000,
          ref: `ref-${i}`,
          note: null,
        },
        by(),
      )
      say(result.kind)
    }
    await cli.close()
  },

  /** Keeps the write lock for `ms`. */
  async lock() {
    const db = new Sqlite(path)
    db.exec('BEGIN IMMEDIATE')
    say('locked')
    await new Promise((resolve) => setTimeout(resolve, args.ms))
    db.exec('ROLLBACK')
    db.close()
  },

  /** Opens and settles as fast as it can until somebody kills it; says what was acknowledged. */
  async serve() {
    const daemon = await store(openDaemonStore({ path }))
    const who = { userId: args.userId, keyId: args.keyId, bootId: args.bootId }
    const caller = async () => {
      for (;;) {
        const hold = newHold(who)
        await daemon.openHold(hold)
        say(`held ${hold.requestId}`)
        await daemon.settleHold(recordOf(hold, { costMicro: 7 }))
        say(`settled ${hold.requestId}`)
      }
    }
    await Promise.all(Array.from({ length: 16 }, caller))
  },
}

await roles[role]()
