import { parseEvent, SseFramer } from '../../wire/sse.ts'
import type {
  AnswerContext,
  AnswerTranslator,
  Translated,
  Translation,
  TranslationContext,
  Translator,
  WireError,
} from '../dialect.ts'
import { bodyChanges } from '../openai/body-changes.ts'
import type { TranslatedError } from '../openai/error-shape.ts'
import { openAiError, renderFailure, streamBroken, translateStreamError } from '../openai/errors.ts'
import { isObject, parseJson } from '../openai/json.ts'
import { catchRefusal } from '../openai/refusal.ts'
import { Answer } from './answer.ts'
import type { CalledTool } from './call-item.ts'
import { echoOf } from './echo.ts'
import { responseError, responseId, translateError } from './errors.ts'
import type { TranslatedRequest } from './request.ts'
import { translateRequest } from './request.ts'
import type { ResponsesTool } from './tools.ts'

/** Translates the Responses API: nothing is stored, every request carries its whole conversation. */
export const translator: Translator = {
  translate,
  translateError,
  renderFailure,
  bodies: bodyChanges,
}

function translate(json: unknown, context: TranslationContext): Translation {
  return catchRefusal(() => translated(translateRequest(json, context)))
}

function translated(request: TranslatedRequest): Translated {
  const { composed } = request
  return {
    kind: 'ok',
    body: composed.text,
    betas: composed.betas,
    ignored: request.ignored,
    warnings: request.warnings,
    stream: request.stream,
    autoCache: composed.autoCache,
    autoCacheTtl: composed.autoCacheTtl,
    cacheKey: request.cacheKey,
    openAnswer: (about) => new ResponsesAnswer(request, about),
  }
}

const NOTHING = Buffer.alloc(0)

class ResponsesAnswer implements AnswerTranslator {
  readonly #answer: Answer
  readonly #stream: boolean
  readonly #framer = new SseFramer()
  #state: AnswerTranslator['state'] = 'open'
  #failure: TranslatedError | null = null

  constructor(request: TranslatedRequest, about: AnswerContext) {
    const { composed } = request
    const { byUpstreamName } = composed.tools
    this.#stream = request.stream
    this.#answer = new Answer({
      id: responseId(about.requestId),
      itemTag: about.requestId.replace(/^.*_/, ''),
      createdS: about.createdS,
      nowS: about.nowS ?? null,
      bill: about.bill ?? null,
      toolNamed: (name) => calledTool(byUpstreamName.get(name), name),
      echo: echoOf(request.body, composed.sampling),
      isLooseJson: request.format.isLooseJson,
    })
  }

  get state(): AnswerTranslator['state'] {
    return this.#state
  }

  push(bytes: Buffer): Buffer {
    const framer = this.#framer
    framer.push(bytes)
    let out = ''
    while (framer.next()) {
      if (this.#state !== 'open' && this.#state !== 'paused') continue
      if (framer.oversized) {
        out += this.#fail(streamBroken(this.#stream))
        continue
      }
      const { data } = parseEvent(framer.buffer, framer.start, framer.end)
      if (data !== null) out += this.#take(parseJson(data))
    }
    return this.#bytes(out)
  }

  fail(error: WireError): Buffer {
    if (this.#state !== 'open' && this.#state !== 'paused') return NOTHING
    const { status } = error
    const isRetryable = status === 429 || status >= 500
    return this.#bytes(this.#fail({ status, error: openAiError(error), isRetryable }))
  }

  get pausedContent(): readonly unknown[] | null {
    return this.#state === 'paused' ? this.#answer.content() : null
  }

  finishPaused(): Buffer {
    if (this.#state !== 'paused') return NOTHING
    this.#state = 'done'
    return this.#bytes(this.#answer.finish())
  }

  get failure(): TranslatedError | null {
    return this.#failure
  }

  body(): string | null {
    return this.#state === 'done' ? this.#answer.response() : null
  }

  #take(event: unknown): string {
    if (!isObject(event)) return this.#fail(streamBroken(this.#stream))
    if (event.type === 'error') return this.#fail(translateStreamError(event))
    if (event.type === 'message_stop') return this.#stop()
    if (event.type === 'message_start') this.#state = 'open'
    return this.#answer.accept(event)
  }

  #stop(): string {
    const reason = this.#answer.stopReason
    if (reason === null) return this.#fail(streamBroken(this.#stream))
    if (reason === 'pause_turn') {
      this.#state = 'paused'
      return ''
    }
    this.#state = 'done'
    return this.#answer.finish()
  }

  #fail(failure: TranslatedError): string {
    this.#state = 'failed'
    this.#failure = failure
    return this.#answer.fail(responseError(failure.error))
  }

  #bytes(text: string): Buffer {
    return text === '' || !this.#stream ? NOTHING : Buffer.from(text)
  }
}

/** The client's tool; one that was not sent keeps upstream's name. */
function calledTool(tool: ResponsesTool | undefined, upstreamName: string): CalledTool {
  if (tool === undefined) return { isCustom: false, name: upstreamName, namespace: null }
  return { isCustom: tool.kind === 'custom', name: tool.ownName, namespace: tool.namespace }
}
