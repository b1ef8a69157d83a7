/** An error as OpenAI's SDKs read it. */
export interface OpenAiError {
  readonly message: string
  readonly type: string
  readonly param: string | null
  readonly code: string | null
}

/** An upstream error as the client gets it. */
export interface TranslatedError {
  readonly status: number
  readonly error: OpenAiError
  /** False: the answer says `x-should-retry: false`. */
  readonly isRetryable: boolean
}
