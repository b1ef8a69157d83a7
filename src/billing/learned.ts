import { DEFAULT_TOKENS_PER_SECOND, MEDIAN_TOKENS_PER_SECOND } from './speeds.ts'

/** Which end of what was seen an estimate takes: `middle` for bills, `cautious` for holds. */
export type End = 'middle' | 'cautious'

/**
 * The figures behind every estimate of cost, by model class (tokenizers and speeds differ by class).
 * `Learned` knows them from receipts; before there are enough of those it answers first guesses.
 */
export interface Estimates {
  /** Bytes of prose, code or JSON per token of a prompt: the least that hardly any receipt falls below. */
  promptBytesPerToken(modelClass: string): number
  /** UTF-8 bytes of visible output per token. */
  outputBytesPerToken(modelClass: string, end: End): number
  /** Output tokens per second at standard speed. */
  tokensPerSecond(modelClass: string, end: End): number
}

/** Before there are receipts: bytes of a prompt per token. */
export const PROMPT_BYTES_PER_TOKEN = 2
/** Before there are receipts: bytes of visible output per token, for bills and for holds. */
export const OUTPUT_BYTES_PER_TOKEN: Readonly<Record<End, number>> = { middle: 4, cautious: 2.5 }
/** Before there are receipts: how much faster than the middle the fastest answers come. */
const FASTEST = 3

/** A learned end of so many receipts is believed: below it an end is a few odd requests. */
const ENOUGH: Readonly<Record<End, number>> = { middle: 50, cautious: 400 }
/** The cautious end of prompts, which are many and varied; a hundredth lies beyond it. */
const PROMPT_END = 0.01
/** Added to the learned end of prompts, because the next conversation may be a little denser yet. */
const PROMPT_MARGIN = 0.95
/** The cautious end of answers: one in a thousand lies beyond it. */
const ANSWER_END = 0.001
/** Prompts shorter than this tell more of what upstream adds to them than of their text. */
const LEAST_PROMPT_BYTES = 2_000
/** Answers shorter than this tell little. */
const LEAST_OUTPUT_TOKENS = 100

/** The kinds of figures, each with a histogram per model class. */
const KINDS = ['prompt', 'output', 'speed'] as const
type Kind = (typeof KINDS)[number]

/** Learns from exact receipts; small enough to be stored whole every minute. */
export class Learned implements Estimates {
  readonly #histograms = new Map<string, Histogram>()

  /** A prompt of plain text (no images, files, dense text or server tools) and what it was counted as. */
  sawPrompt(modelClass: string, textBytes: number, promptTokens: number): void {
    if (textBytes < LEAST_PROMPT_BYTES || promptTokens <= 0) return
    this.#of('prompt', modelClass).add(textBytes / promptTokens)
  }

  /** A whole answer all of whose output was visible. */
  sawOutput(modelClass: string, visibleBytes: number, outputTokens: number): void {
    if (outputTokens < LEAST_OUTPUT_TOKENS || visibleBytes <= 0) return
    this.#of('output', modelClass).add(visibleBytes / outputTokens)
  }

  /** A whole streamed answer at standard speed: from `message_start` to its end, in ms. */
  sawSpeed(modelClass: string, outputTokens: number, ms: number): void {
    if (outputTokens < LEAST_OUTPUT_TOKENS || ms < 100) return
    this.#of('speed', modelClass).add((outputTokens * 1_000) / ms)
  }

  promptBytesPerToken(modelClass: string): number {
    const learned = this.#learned('prompt', modelClass, 'cautious', PROMPT_END)
    return learned === null ? PROMPT_BYTES_PER_TOKEN : Math.max(0.5, learned * PROMPT_MARGIN)
  }

  outputBytesPerToken(modelClass: string, end: End): number {
    const share = end === 'middle' ? 0.5 : ANSWER_END
    return this.#learned('output', modelClass, end, share) ?? OUTPUT_BYTES_PER_TOKEN[end]
  }

  tokensPerSecond(modelClass: string, end: End): number {
    const share = end === 'middle' ? 0.5 : 1 - ANSWER_END
    const learned = this.#learned('speed', modelClass, end, share)
    if (learned !== null) return learned
    const middle = MEDIAN_TOKENS_PER_SECOND[modelClass] ?? DEFAULT_TOKENS_PER_SECOND
    return end === 'middle' ? middle : middle * FASTEST
  }

  /** All of it as text, for `restore`. */
  serialize(): string {
    return JSON.stringify(
      [...this.#histograms].map(([name, histogram]) => [name, histogram.rows()]),
    )
  }

  /** Takes up what `serialize` wrote; anything else is ignored, since it can be learned again. */
  restore(text: string): void {
    for (const [name, rows] of storedHistograms(text)) {
      const histogram = new Histogram()
      for (const [bucket, count] of rows) histogram.put(bucket, count)
      this.#histograms.set(name, histogram)
    }
  }

  #of(kind: Kind, modelClass: string): Histogram {
    const name = `${kind} ${modelClass}`
    let histogram = this.#histograms.get(name)
    if (histogram === undefined) {
      histogram = new Histogram()
      this.#histograms.set(name, histogram)
    }
    return histogram
  }

  #learned(kind: Kind, modelClass: string, end: End, share: number): number | null {
    const histogram = this.#histograms.get(`${kind} ${modelClass}`)
    return histogram === undefined || histogram.total < ENOUGH[end]
      ? null
      : histogram.quantile(share)
  }
}

/** What is believed before there are receipts. */
export const FIRST_GUESSES: Estimates = new Learned()

/** Buckets grow by this factor: an answer is within 2 % of the true quantile. */
const STEP = Math.log(1.02)
/** Beyond so many values all counts are halved: what is new counts more than what is old. */
const MOST_VALUES = 20_000

/** Positive numbers counted in buckets of equal ratio. */
class Histogram {
  total = 0
  readonly #counts = new Map<number, number>()

  add(value: number): void {
    this.put(Math.floor(Math.log(value) / STEP), 1)
    if (this.total > MOST_VALUES) this.#halve()
  }

  put(bucket: number, count: number): void {
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + count)
    this.total += count
  }

  /** The value below which this share of all lies, from 0 to 1. */
  quantile(share: number): number {
    const rows = this.rows()
    let left = share * this.total
    for (const [bucket, count] of rows) {
      left -= count
      if (left < 0) return Math.exp((share < 0.5 ? bucket : bucket + 1) * STEP)
    }
    return Math.exp(((rows.at(-1)?.[0] ?? 0) + 1) * STEP)
  }

  rows(): readonly (readonly [bucket: number, count: number])[] {
    return [...this.#counts].sort(([a], [b]) => a - b)
  }

  #halve(): void {
    this.total = 0
    for (const [bucket, count] of [...this.#counts]) {
      const half = Math.floor(count / 2)
      if (half === 0) this.#counts.delete(bucket)
      else this.#counts.set(bucket, half)
      this.total += half
    }
  }
}

type StoredHistogram = readonly [name: string, rows: readonly (readonly [number, number])[]]

function storedHistograms(text: string): readonly StoredHistogram[] {
  let stored: unknown
  try {
    stored = JSON.parse(text)
  } catch {
    return []
  }
  return Array.isArray(stored) ? stored.filter(isStoredHistogram) : []
}

function isStoredHistogram(value: unknown): value is StoredHistogram {
  if (!Array.isArray(value) || typeof value[0] !== 'string' || !Array.isArray(value[1]))
    return false
  const kind = value[0].slice(0, value[0].indexOf(' '))
  return (
    (KINDS as readonly string[]).includes(kind) &&
    value[1].every(
      (row: unknown) =>
        Array.isArray(row) &&
        Number.isSafeInteger(row[0]) &&
        Number.isSafeInteger(row[1]) &&
        row[1] > 0,
    )
  )
}
