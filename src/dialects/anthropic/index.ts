import type { Dialect } from '../dialect.ts'
import { renderError, renderStreamError, renderStreamRefusal } from './errors.ts'
import { readRequest } from './request.ts'

/** Anthropic's Messages format: nothing is translated, so next month's features pass today. */
export const anthropic: Dialect = {
  name: 'anthropic',
  api: 'anthropic',
  readRequest,
  renderError,
  renderStreamError,
  renderStreamRefusal,
  // As upstream's own.
  ping: 'event: ping\ndata: {"type": "ping"}\n\n',
}
