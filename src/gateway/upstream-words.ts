/** Reasons of ours, by how they begin, in words for customers: no names of ours, no names of errors. */
const WORDS: readonly (readonly [begins: string, words: string])[] = [
  ['no connection', 'no connection could be made'],
  ['no free connection', 'no connection could be made'],
  ['connection broke', 'the connection broke'],
  ['stream closed the connection', 'the connection broke'],
  ['closed the connection', 'the connection broke'],
  ['stream ended', 'the answer ended early'],
  ['ended the stream early', 'the answer ended early'],
  ['stream fell silent', 'the answer fell silent'],
  ['fell silent', 'the answer fell silent'],
  ['ran longer than this server allows', 'the answer ran longer than this server allows'],
  ['answer too large', 'the answer was too large'],
]

/**
 * How a try failed, for the customer: `Anthropic answered 529 (overloaded_error)`, `the connection broke`. `reason` is
 * that of its outcome.
 */
export function upstreamWords(reason: string, isLate = false): string {
  if (isLate) return 'no answer came in time'
  const [, status, type] = /^([1-5]\d\d) (.*)$/.exec(reason) ?? []
  if (status !== undefined) return answeredWords(Number(status), type)
  const [, event] = /^stream (?:began|broke) with (\w+)$/.exec(reason) ?? []
  if (event !== undefined) return `the answer stopped with ${event}`
  return WORDS.find(([begins]) => reason.startsWith(begins))?.[1] ?? 'the answer was no usable one'
}

function answeredWords(status: number, type: string): string {
  if (status < 300) return `Anthropic answered ${status} with nothing usable`
  // Only words of upstream's own follow its status; what else does is a reason of ours.
  return /^[a-z_]+$/.test(type)
    ? `Anthropic answered ${status} (${type})`
    : `Anthropic answered ${status}`
}
