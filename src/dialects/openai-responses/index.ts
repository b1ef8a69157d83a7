import { readRequest } from '../anthropic/request.ts'
import type { Dialect } from '../dialect.ts'
import { renderError } from '../openai/errors.ts'
import { renderStreamError, renderStreamRefusal } from './errors.ts'
import { translator } from './translator.ts'

/** OpenAI's Responses API, as far as it works without storing anything. */
export const openaiResponses: Dialect = {
  name: 'openai',
  api: 'openai-responses',
  readRequest,
  renderError,
  renderStreamError,
  renderStreamRefusal,
  // A comment: clients take an event of an unknown type for an error.
  ping: ': keep-alive\n\n',
  translator,
}
