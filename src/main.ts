import { runCli } from './cli/run.ts'
import { processTerminal } from './cli/terminal.ts'

// `ccgate usage list | head` closes our stdout: a reader that has enough is no failure.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
}

process.umask(0o077)
process.exitCode = await runCli(process.argv.slice(2), processTerminal())
