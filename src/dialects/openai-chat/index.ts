import { readRequest } from '../anthropic/request.ts'
import type { Dialect } from '../dialect.ts'
import { bodyChanges } from '../openai/body-changes.ts'
import {
  renderError,
  renderFailure,
  renderStreamError,
  renderStreamRefusal,
  translateUpstreamError,
} from '../openai/errors.ts'
import { translate } from './request.ts'

/** OpenAI's chat completions. */
export const openaiChat: Dialect = {
  name: 'openai',
  api: 'openai-chat',
  readRequest,
  renderError,
  renderStreamError,
  renderStreamRefusal,
  // A comment: the helpers of OpenAI's SDK take an event of an unknown type for a chunk.
  ping: ': keep-alive\n\n',
  translator: {
    translate,
    translateError: translateUpstreamError,
    renderFailure,
    bodies: bodyChanges,
  },
}
