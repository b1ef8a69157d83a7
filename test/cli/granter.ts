// A process for granters.test.ts: says when it is ready, and at a line on stdin runs its command lines at once,
// each on a connection of its own. Prints what each printed. Usage: node granter.ts <config> <line>...
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { runCli } from '../../src/cli/run.ts'

const [configFile, ...lines] = process.argv.slice(2)
process.stdout.write('ready\n')
await once(process.stdin, 'data')
const codes = await Promise.all(
  lines.map((line) =>
    runCli(line.split(' '), {
      stdin: Object.assign(new PassThrough(), { setRawMode: () => process.stdin }),
      stdout: process.stdout,
      stderr: process.stderr,
      place: {
        env: { CCGATE_CONFIG: configFile, CCGATE_TZ: 'UTC' },
        home: '/nonexistent',
        cwd: process.cwd(),
        isRoot: false,
      },
      userName: 'ann',
      nowMs: () => Date.now(),
    }),
  ),
)
process.exit(Math.max(...codes))
