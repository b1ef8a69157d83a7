/** Digests of texts, lower-case hex; given, because this code is pure. */
export interface Digest {
  sha1(text: string): string
  sha256(text: string): string
}

const PLAIN = /^[a-zA-Z0-9_-]+$/
const NOT_PLAIN = /[^a-zA-Z0-9_-]/g

/** Upstream's longest name of a tool. */
const MAX_NAME = 64

/** How much of an id is kept where it is mapped; its digest tells it apart. */
const MAX_ID = 200

/**
 * A tool call's id as upstream accepts it: unchanged where valid, else with bad characters replaced and a
 * digest of the original, so that two never become one. A pure function: both sides of a call agree.
 */
export function upstreamCallId(id: string, digest: Digest): string {
  if (PLAIN.test(id)) return id
  return `${id.slice(0, MAX_ID).replace(NOT_PLAIN, '_')}_${digest.sha1(id).slice(0, 6)}`
}

/** A tool's name as upstream accepts it: 1 to 64 plain characters; unchanged where it is that already. */
export function upstreamToolName(name: string, digest: Digest): string {
  if (name.length <= MAX_NAME && PLAIN.test(name)) return name
  const start = name.slice(0, MAX_NAME - 7).replace(NOT_PLAIN, '_')
  return `${start}_${digest.sha1(name).slice(0, 6)}`
}
