/** Which headers pass through the gateway. Both lists are open: what is not named here passes. */

/** Node's flat form: name, value, name, value, … */
export type FlatHeaders = readonly string[]

/** What the verdict on a request header depends on. */
export interface UpOptions {
  /** The workspace of the chosen account; null when unknown, and then the client's header stays here. */
  readonly workspaceId: string | null
}

/**
 * The client's headers as they go upstream, flat, names as the client spelled them. The caller adds
 * `host`, `content-type: application/json`, `accept-encoding: identity`, the length and the account's credential.
 */
export function requestHeadersUp(raw: FlatHeaders, options: UpOptions): string[] {
  throw new Error(`not yet ${raw.length} ${options.workspaceId}`)
}

/** Upstream's headers as they go to the client, flat. The caller adds length, date and the `x-cc-*` ones. */
export function responseHeadersDown(raw: FlatHeaders): string[] {
  throw new Error(`not yet ${raw.length}`)
}

/** The first value of a header, or undefined; `name` in lower case. */
export function readHeader(raw: FlatHeaders, name: string): string | undefined {
  return readHeaders(raw, name)[0]
}

/** All values of a header in order; `name` in lower case. */
export function readHeaders(raw: FlatHeaders, name: string): string[] {
  throw new Error(`not yet ${raw.length} ${name}`)
}

/** K10: whether a value that we write ourselves is 1 to 256 printable ASCII characters. */
export function isSafeHeaderValue(value: string): boolean {
  throw new Error(`not yet ${value}`)
}
