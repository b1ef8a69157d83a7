import { runFuzz, runStreamFuzz } from '../dialects/openai-chat/fuzz.ts'
import { type Campaign, newSeed } from './campaign.ts'

/** Random bodies and random upstream streams for the translator of chat completions. */
export const openaiChat: Campaign = {
  name: 'openai-chat',
  what: 'random bodies and upstream streams: translated or refused, never a crash',
  options: { bodies: 100_000, streams: 30_000, seed: newSeed() },
  async run({ bodies, streams, seed }, report) {
    const requests = runFuzz({ runs: bodies, seed })
    report(`${bodies} bodies, ${requests.passed} of them translated`)
    const answers = runStreamFuzz({ runs: streams, seed })
    report(`${streams} upstream streams`)
    return [...requests.problems, ...answers.problems]
  },
}
