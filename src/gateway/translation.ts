import { createHash } from 'node:crypto'
import { aliasTarget, findPrice } from '../billing/price-table.ts'
import { GatewayError } from '../core/errors.ts'
import { invariant } from '../core/invariant.ts'
import { matchesModel } from '../core/model-glob.ts'
import type { Translated, TranslationContext, Translator } from '../dialects/dialect.ts'
import type { Refusal } from '../dialects/index.ts'
import { capabilitiesOf } from '../dialects/index.ts'
import type { BodyFacts } from '../wire/body-facts.ts'
import { translatedHeaders } from '../wire/headers.ts'
import { withSeenCache } from './auto-cache.ts'
import type { Call } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { inspectBody, readInference } from './inspect-body.ts'
import type { ReadyRequest } from './ready-request.ts'
import { withRealModel } from './real-model.ts'

/** What every translated request says it speaks: later versions refuse some of what clients send. */
const VERSION = '2023-06-01'
/** Betas that a client of another format may ask for: they change nothing that is translated. */
const BETAS: ReadonlySet<string> = new Set([
  'context-1m-2025-08-07',
  'extended-cache-ttl-2025-04-11',
  'interleaved-thinking-2025-05-14',
  'model-context-window-exceeded-2025-08-26',
  'output-128k-2025-02-19',
  'output-300k-2026-03-24',
  'prompt-caching-2024-07-31',
  'structured-outputs-2025-11-13',
  'token-efficient-tools-2025-02-19',
])
const DIGEST = {
  sha1: (text: string) => createHash('sha1').update(text).digest('hex'),
  sha256: (text: string) => createHash('sha256').update(text).digest('hex'),
}

/** Checks a body, whose facts are given, and makes of it what goes upstream; throws what its client must be told. */
export function readyRequest(
  gateway: Gateway,
  call: Call,
  body: Buffer,
  facts: BodyFacts,
): ReadyRequest {
  const { translator } = call.dialect
  if (translator !== undefined) return translated(gateway, call, translator, body)
  const request = withRealModel(gateway, call, readInference(call, body, facts))
  const { target, rawHeaders } = call
  // These bytes are changed on their way where the message that they name is not the client's own.
  const mayChange = request.facts.diagnosticsMessageId.type === 'string'
  const identity = mayChange ? sha256(request.body) : request.body
  return { request, up: { target, rawHeaders }, identity, format: null }
}

function translated(
  gateway: Gateway,
  call: Call,
  translator: Translator,
  body: Buffer,
): ReadyRequest {
  // The scan has found it to be JSON.
  const translation = translator.translate(
    JSON.parse(body.toString('utf8')),
    contextOf(gateway, call),
  )
  if (translation.kind === 'refused') throw refusalError(translation)
  const read = (text: string) => {
    const upBody = Buffer.from(text)
    return readInference(call, upBody, inspectBody(upBody))
  }
  const request = read(translation.body)
  const { bodies } = translator
  const cached = withSeenCache(gateway, call, translation, { request, bodies })
  return {
    request: cached === null ? request : read(cached),
    up: { target: '/v1/messages', rawHeaders: headersUp(call.rawHeaders, translation.betas) },
    identity: sha256(body),
    format: {
      translator,
      stream: translation.stream,
      headers: noteHeaders(translation),
      // An answer that comes whole may break off and be made once more.
      openAnswer: translation.stream ? once(translation.openAnswer) : translation.openAnswer,
    },
  }
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}

function contextOf(gateway: Gateway, call: Call): TranslationContext {
  const { prices, policy } = gateway
  const { modelMap, settings } = policy.translation
  const atMs = call.arrivedAtMs
  return {
    keyId: call.live.key.id,
    digest: DIGEST,
    settings,
    modelOf(name) {
      const asked = mappedModel(modelMap, name)
      // A name that upstream knows means what upstream means by it.
      const isKnown = findPrice(prices, asked, atMs) !== null
      const id = isKnown ? asked : (aliasTarget(prices, asked, atMs) ?? asked)
      const row = findPrice(prices, id, atMs)
      if (row === null) return { id, capabilities: capabilitiesOf(id) }
      return { id, capabilities: capabilitiesOf(row.id, { maxOutput: row.maxOutput }) }
    },
  }
}

/** What a client's name for a model stands for: its own line, else the first glob that fits, else itself. */
export function mappedModel(modelMap: Readonly<Record<string, string>>, name: string): string {
  if (Object.hasOwn(modelMap, name)) return modelMap[name]
  for (const glob in modelMap) if (matchesModel([glob], name)) return modelMap[glob]
  return name
}

function headersUp(raw: readonly string[], needed: readonly string[]): readonly string[] {
  const betas = new Set(needed)
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (raw[i].toLowerCase() !== 'anthropic-beta') continue
    for (const beta of raw[i + 1].split(',')) if (BETAS.has(beta.trim())) betas.add(beta.trim())
  }
  const headers = translatedHeaders(raw)
  headers.push('anthropic-version', VERSION)
  if (betas.size > 0) headers.push('anthropic-beta', [...betas].join(','))
  return headers
}

function noteHeaders({ ignored, warnings }: Translated): readonly string[] {
  const headers: string[] = []
  if (ignored.length > 0) headers.push('x-cc-ignored-params', ignored.join(', '))
  if (warnings.length > 0) headers.push('x-cc-warnings', warnings.join(', '))
  return headers
}

/** What opens an answer may hold the whole request, so it goes once it has been used. */
function once(openAnswer: Translated['openAnswer']): Translated['openAnswer'] {
  let open: Translated['openAnswer'] | null = openAnswer
  return (about) => {
    invariant(open !== null, 'an answer is opened once')
    const answer = open(about)
    open = null
    return answer
  }
}

function refusalError({ code, field, message }: Refusal): GatewayError {
  const problem = message.replace(/\.$/, '')
  const at = field === null ? {} : { field }
  switch (code) {
    case 'missing_required_parameter':
      return new GatewayError('missing_required_parameter', { facts: { problem }, ...at })
    case 'unsupported_parameter':
      return new GatewayError('unsupported_parameter', { facts: { problem }, ...at })
    case 'unsupported_value':
      return new GatewayError('unsupported_value', { facts: { problem }, ...at })
    case 'previous_response_not_found':
      return new GatewayError('previous_response_not_found', { facts: { problem }, ...at })
    // The scan of the bytes refuses the last two before.
    case 'invalid_value':
    case 'invalid_json':
    case 'json_too_complex':
      return new GatewayError('invalid_value', { facts: { problem }, ...at })
  }
}
