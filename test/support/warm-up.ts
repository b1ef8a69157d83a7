import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase, openDaemonStore } from '../../src/store/open.ts'

// Fills Node's compile cache with the store's threads, before any test. Without it each of them strips types
// with a WebAssembly module of its own, and V8 now and then ends the process when such threads come and go
// ("Check failed: jit_page.has_value()", nodejs/node#64500). What is built has no types to strip.
const folder = mkdtempSync(join(tmpdir(), 'ccgate-warm-up-'))
const path = join(folder, 'data', 'ccgate.db')
await createDatabase(path)
const opened = await openDaemonStore({ path })
if (opened.kind === 'opened') {
  await opened.store.checkLedger(Date.now())
  await opened.store.close()
}
rmSync(folder, { recursive: true, force: true })
