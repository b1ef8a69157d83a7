import type { BodyFacts, Scalar } from '../../wire/body-facts.ts'
import type { ReadRequest } from '../dialect.ts'

/** Ids of models are short; a longer one is no model and need not travel. */
const MAX_MODEL_LENGTH = 256

/**
 * Checks the four fields that ccgate itself uses: model, max_tokens, stream, messages. Everything else,
 * known or not, is upstream's to judge.
 */
export function readRequest(body: Uint8Array, facts: BodyFacts): ReadRequest {
  const { model, maxTokens, stream, messages } = facts
  if (model.type !== 'string')
    return refused('model', `${whatIsWrong(model)} the id of a model as text`)
  if (model.value === '' || model.value.length > MAX_MODEL_LENGTH) {
    return refused('model', 'not the id of a model')
  }
  if (messages.type !== 'array') {
    return refused(
      'messages',
      messages.type === 'absent' ? 'required, an array' : 'must be an array',
    )
  }
  if (stream.type !== 'absent' && stream.type !== 'boolean') {
    return refused('stream', 'must be true or false')
  }
  if (maxTokens.type !== 'number' || !maxTokens.integer || maxTokens.value < 0) {
    return refused('max_tokens', `${whatIsWrong(maxTokens)} a whole number from 0 up`)
  }
  return {
    kind: 'ok',
    request: {
      body,
      facts,
      model: model.value,
      maxTokens: maxTokens.value,
      stream: stream.type === 'boolean' && stream.value,
    },
  }
}

function whatIsWrong(field: Scalar): string {
  return field.type === 'absent' ? 'required,' : 'must be'
}

function refused(field: string, problem: string): ReadRequest {
  return { kind: 'refused', field, problem }
}
