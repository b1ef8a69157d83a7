import type { DestinationStream, Logger } from 'pino'
import { pino, stdTimeFunctions } from 'pino'
import { safeText } from '../core/text.ts'

/** The daemon's log: one fixed event name, then fields. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'fatal'>

/** How the log looks and where it goes. */
export interface LogSetup {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  /** `text` for a terminal, `json` for machines. */
  readonly format: 'text' | 'json'
  /** Takes whole lines. */
  readonly write: (line: string) => void
}

/** A log whose lines can hold no credential and no key, whatever was passed in. */
export function createLog(setup: LogSetup): Log {
  const stream: DestinationStream = {
    write(line) {
      const clean = redact(line)
      setup.write(setup.format === 'json' ? clean : textLine(clean))
    },
  }
  return pino(
    {
      level: setup.level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      serializers: { err: (error: unknown) => errorFields(error) },
      formatters: { level: (label) => ({ level: label }), log: snakeCase },
    },
    stream,
  )
}

/** Anything shaped like an upstream credential or one of our keys, but for its first letters. */
export function redact(text: string): string {
  return text.replace(/(sk-ant-|cc_user_)[\w-]+/g, '$1…')
}

function snakeCase(fields: Record<string, unknown>): Record<string, unknown> {
  const named: Record<string, unknown> = {}
  for (const name in fields)
    named[name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)] = fields[name]
  return named
}

/** Causes told of one error; a chain may be a circle. */
const MAX_CAUSES = 5

/** Errors by known fields only: libraries hang requests, headers and sockets on theirs. */
function errorFields(error: unknown, causes = MAX_CAUSES): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) }
  const code = 'code' in error ? error.code : undefined
  return {
    type: error.name,
    message: error.message,
    ...(typeof code === 'string' ? { code } : {}),
    stack: error.stack,
    ...(error.cause === undefined || causes === 0
      ? {}
      : { cause: errorFields(error.cause, causes - 1) }),
  }
}

/** `12:04:29 info  request.done request_id=ccr_… status=200`. */
function textLine(json: string): string {
  const { time, level, msg, ...fields } = JSON.parse(json) as Record<string, unknown> // our own line
  const parts = Object.entries(fields)
    .filter(([, value]) => value !== null)
    .map(
      ([name, value]) =>
        `${name}=${safeText(typeof value === 'object' ? JSON.stringify(value) : String(value))}`,
    )
  return `${String(time).slice(11, 19)} ${String(level).padEnd(5)} ${String(msg)} ${parts.join(' ')}\n`
}
