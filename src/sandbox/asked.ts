import type { SandboxAccount } from './accounts.ts'

/** One request on its way through. */
export interface Asked {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: { readonly [name: string]: string | readonly string[] | undefined }
  readonly body: Buffer
  readonly requestId: string
  readonly account: SandboxAccount
}

/** A request header as one text; null when absent. */
export function headerText(asked: Pick<Asked, 'headers'>, name: string): string | null {
  const value = asked.headers[name]
  if (value === undefined) return null
  return typeof value === 'string' ? value : value.join(',')
}

/** The values of `anthropic-beta`. */
export function betasOf(asked: Asked): readonly string[] {
  const text = headerText(asked, 'anthropic-beta')
  if (text === null) return []
  return text.split(',').flatMap((part) => (part.trim() === '' ? [] : [part.trim()]))
}
