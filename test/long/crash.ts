// Kills the gateway at random instants under load and audits what is left:
// `npm run test:long [-- --kills N --seed S --clients N]`.

import { parseArgs } from 'node:util'
import { runCrashCampaign } from '../support/crash-campaign.ts'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '180' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    clients: { type: 'string', default: '32' },
  },
})
const result = await runCrashCampaign({
  kills: Number(values.kills),
  seed: Number(values.seed),
  clients: Number(values.clients),
  report: (line) => process.stdout.write(`${line}\n`),
})
for (const violation of result.violations) process.stdout.write(`VIOLATION ${violation}\n`)
process.exitCode = result.violations.length === 0 ? 0 : 1
