import { dirname, resolve } from 'node:path'
import type { ModelLists } from '../billing/price-changes.ts'
import type { DisconnectPolicy, Fraction, SpendLimit } from '../core/model.ts'
import type { Micro } from '../core/money.ts'
import { type ConfiguredChange, unknownModelChange } from './models.ts'
import { defaultDatabaseFile, type Place, processPlace } from './place.ts'
import { DEFAULTS, type ListenAddress, type Settings, schema } from './schema.ts'

/** How long an account rests: `firstMs`, doubling up to `maxMs`. */
export interface RestSpan {
  readonly firstMs: number
  readonly maxMs: number
}

/** The settings as the program uses them: checked, in plain units, with absolute paths. */
export interface Config {
  readonly listen: ListenAddress
  /** Origin with optional path, no trailing slash. */
  readonly publicUrl: string
  readonly supportEmail: string
  readonly store: {
    readonly path: string
    readonly busyTimeoutMs: number
    /** null: next to the config file, else next to the database. */
    readonly masterKeyFile: string | null
  }
  /** Addresses and networks in CIDR form. */
  readonly trustedProxies: readonly string[]
  readonly upstream: {
    readonly baseUrl: string
    readonly anthropicVersion: string
    /** Of accounts without their own, as `core/proxy-url.ts` spells it; maybe with a password. null: none. */
    readonly proxy: string | null
    readonly timeouts: {
      readonly connectMs: number
      readonly firstByteMs: number
      readonly firstByteUnaryMs: number
      readonly idleMs: number
      readonly answerBeginsMs: number
      readonly longestStreamMs: number
    }
    readonly pool: { readonly connectionsPerAccount: number; readonly keepAliveMs: number }
  }
  /** How long and how many requests wait for an account. */
  readonly queue: {
    readonly maxWaitMs: number
    readonly maxPerKey: number
    readonly maxLength: number
  }
  readonly retry: {
    readonly maxAttempts: number
    /** Percent of the requests of the last ten seconds. */
    readonly budgetPercent: number
  }
  readonly cooldown: {
    readonly overloaded: RestSpan
    readonly rateLimited: RestSpan
    /** Rests only after `tripAfter` failures in a row. */
    readonly serverError: RestSpan & { readonly tripAfter: number }
    readonly probeEveryMs: number
  }
  readonly limits: {
    /** For new keys; null is unlimited. */
    readonly defaultRpm: number | null
    readonly defaultConcurrency: number | null
    readonly defaultSpendLimit: SpendLimit | null
    readonly maxBodyBytes: number
    readonly headersTimeoutMs: number
  }
  readonly streams: {
    /** Streaming clients get a ping after so long without an answer, and again; null: never. */
    readonly earlyPingMs: number | null
  }
  readonly billing: {
    /** On every model and key that has none of its own. */
    readonly markup: Fraction
    readonly hold: 'progressive' | 'full'
    /** Output tokens that a progressive hold reserves at a time. */
    readonly holdStepTokens: number
    readonly onDisconnect: DisconnectPolicy
    /** People are told of users below it, unless they have a limit of their own; null: of nobody. */
    readonly lowBalanceMicro: Micro | null
  }
  readonly models: {
    readonly lists: ModelLists
    /** Prices, mark-ups and what unknown models cost: in force once they are in the store. */
    readonly changes: readonly ConfiguredChange[]
    /** Names and globs that only clients of OpenAI's formats use, and the models they stand for. */
    readonly openAiNames: Readonly<Record<string, string>>
  }
  /** Chat completions and the Responses API. */
  readonly openAi: {
    readonly enabled: boolean
    /** Web search tools are honoured. */
    readonly webSearch: boolean
    readonly autoCache: 'off' | 'seen' | 'always'
    /** What happens to a forced tool choice that the model does not accept. */
    readonly forcedToolChoice: 'degrade' | 'reject'
    /** Calls without results, and results without calls, are mended instead of refused. */
    readonly repairToolHistory: boolean
    /** `service_tier` `priority` and `fast` ask for upstream's fast mode. */
    readonly priorityIsFast: boolean
  }
  readonly logging: {
    readonly level: 'debug' | 'info' | 'warn' | 'error'
    readonly format: 'auto' | 'text' | 'json'
    /** null: stderr. */
    readonly file: string | null
    readonly access: 'all' | 'errors' | 'off'
  }
  /** Where metrics can be read; null: nowhere. */
  readonly metricsListen: ListenAddress | null
  readonly shutdownGraceMs: number
  /** IANA name: days of reports and of limits begin at its midnight. */
  readonly timeZone: string
}

/** The config of a machine where nobody set anything. */
export function defaultConfig(place: Place = processPlace()): Config {
  return toConfig(schema.parse(DEFAULTS), {
    place,
    configFile: null,
    fromFile: () => false,
    isSet: () => false,
  })
}

/** Settings in plain units; relative paths count from the config file when they stand in it, else from the current folder. */
export function toConfig(
  settings: Settings,
  context: {
    readonly place: Place
    readonly configFile: string | null
    readonly fromFile: (settingPath: string) => boolean
    /** Whether anybody set it, or it is the default. */
    readonly isSet: (settingPath: string) => boolean
  },
): Config {
  const { place, configFile } = context
  const file = (settingPath: string, text: string): string =>
    resolve(
      context.fromFile(settingPath) && configFile !== null ? dirname(configFile) : place.cwd,
      text,
    )
  const fileOrNull = (settingPath: string, text: string | null) =>
    text === null ? null : file(settingPath, text)
  const { timeouts, pool } = settings.upstream
  const { cooldown } = settings
  return {
    listen: settings.listen,
    publicUrl: context.isSet('public_url')
      ? settings.public_url
      : publicUrlOf(settings.listen, settings.public_url),
    supportEmail: settings.support_email,
    store: {
      path: fileOrNull('store.path', settings.store.path) ?? defaultDatabaseFile(place, configFile),
      busyTimeoutMs: settings.store.busy_timeout,
      masterKeyFile: place.env.CCGATE_MASTER_KEY_FILE
        ? resolve(place.cwd, place.env.CCGATE_MASTER_KEY_FILE)
        : fileOrNull('store.master_key_file', settings.store.master_key_file),
    },
    trustedProxies: settings.trusted_proxies,
    upstream: {
      baseUrl: settings.upstream.base_url,
      anthropicVersion: settings.upstream.anthropic_version,
      proxy: settings.upstream.proxy,
      timeouts: {
        connectMs: timeouts.connect,
        firstByteMs: timeouts.first_byte,
        firstByteUnaryMs: timeouts.first_byte_unary,
        idleMs: timeouts.idle,
        answerBeginsMs: timeouts.answer_begins,
        longestStreamMs: timeouts.longest_stream,
      },
      pool: { connectionsPerAccount: pool.connections_per_account, keepAliveMs: pool.keep_alive },
    },
    queue: {
      maxWaitMs: settings.routing.queue.max_wait,
      maxPerKey: settings.routing.queue.max_per_key,
      maxLength: settings.routing.queue.max_length,
    },
    retry: {
      maxAttempts: settings.retry.max_attempts,
      budgetPercent: settings.retry.budget_percent,
    },
    cooldown: {
      overloaded: restSpan(cooldown.overloaded),
      rateLimited: restSpan(cooldown.rate_limited),
      serverError: {
        ...restSpan(cooldown.server_error),
        tripAfter: cooldown.server_error.trip_after,
      },
      probeEveryMs: cooldown.probe_every,
    },
    limits: {
      defaultRpm: settings.limits.default_rpm,
      defaultConcurrency: settings.limits.default_concurrency,
      defaultSpendLimit: settings.limits.default_spend_limit,
      maxBodyBytes: settings.limits.max_body,
      headersTimeoutMs: settings.limits.headers_timeout,
    },
    streams: { earlyPingMs: settings.streams.early_ping },
    billing: {
      markup: settings.billing.markup,
      hold: settings.billing.hold,
      holdStepTokens: settings.billing.hold_step,
      onDisconnect: settings.billing.on_disconnect,
      lowBalanceMicro: settings.billing.low_balance_notice,
    },
    models: {
      lists: {
        allow: settings.models.allow,
        deny: settings.models.deny,
        aliases: settings.models.aliases,
      },
      changes: [
        ...settings.models.prices,
        ...(settings.models.unknown_model === null
          ? []
          : [unknownModelChange(settings.models.unknown_model)]),
      ],
      openAiNames: settings.openai_compat.model_map,
    },
    openAi: openAiOf(settings.openai_compat),
    logging: { ...settings.logging, file: fileOrNull('logging.file', settings.logging.file) },
    metricsListen: settings.metrics.listen,
    shutdownGraceMs: settings.shutdown_grace,
    timeZone: settings.timezone,
  }
}

function openAiOf(settings: Settings['openai_compat']): Config['openAi'] {
  return {
    enabled: settings.enabled,
    webSearch: settings.web_search,
    autoCache: settings.auto_cache,
    forcedToolChoice: settings.forced_tool_choice,
    repairToolHistory: settings.repair_tool_history,
    priorityIsFast: settings.priority_is_fast,
  }
}

/** What users type when nobody said: the listening address, where it is of this machine. */
function publicUrlOf(listen: ListenAddress, fallback: string): string {
  if (listen.kind !== 'tcp' || listen.port === 0 || !/^(127\.|::1$|localhost$)/.test(listen.host)) {
    return fallback
  }
  return `http://${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${listen.port}`
}

function restSpan(span: { readonly first: number; readonly max: number }): RestSpan {
  return { firstMs: span.first, maxMs: span.max }
}
