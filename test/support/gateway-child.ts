import { defaultConfig } from '../../src/config/config.ts'
import { startDaemon } from '../../src/daemon/serve.ts'
import { createLog } from '../../src/observe/log.ts'
import { openDaemonStore } from '../../src/store/open.ts'
import { openInstall } from '../../src/vault/install.ts'

// A daemon in a process of its own, on the database of a test's world: one that can be killed. Prints its URL.
const path = process.argv[2]
const opened = await openDaemonStore({ path })
if (opened.kind !== 'opened') throw new Error(`store: ${opened.kind}`)
const install = await openInstall(opened.store, new Uint8Array(32).fill(7))
if (install.kind !== 'opened') throw new Error(`install: ${install.kind}`)
const base = defaultConfig()
const daemon = await startDaemon({
  config: {
    ...base,
    listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    store: { ...base.store, path },
  },
  store: opened.store,
  install,
  log: createLog({ level: 'error', format: 'json', write: (line) => process.stderr.write(line) }),
  version: 'test',
})
console.log(daemon.url)
