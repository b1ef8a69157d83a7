import type { Micro } from '../core/money.ts'
import type { Usage } from '../core/usage.ts'
import {
  type Bound,
  type BoundInput,
  type BoundOptions,
  type CachedPrefix,
  costBound,
  growsInRounds,
  surelyWarm,
  tighterBound,
} from './bound.ts'
import type { BoundModels } from './bound-models.ts'
import { costOf } from './cost.ts'
import { partialUsage } from './cut-stream.ts'
import type { PriceTable } from './price-table.ts'

/** Everything that the size of a hold depends on. */
export interface HoldTerms {
  readonly input: BoundInput
  readonly models: BoundModels
  readonly options: Omit<BoundOptions, 'limit'>
  readonly table: PriceTable
  /** Time of admission: its prices count. */
  readonly atMs: number
  /** `full` holds the whole bound; `progressive` grows with the answer (design: RFC 8506 grants quota so). */
  readonly mode: 'full' | 'progressive'
  /** Output tokens held at a time in progressive mode. */
  readonly stepTokens: number
}

/** Output and rounds of an answer so far, at the cautious end of the estimates. */
export interface Produced {
  readonly outputTokens: number
  /** Server tools that have run: each reads the grown prompt again. */
  readonly rounds: number
}

/** What a hold takes of its user's wallet, and at list price of an account's own budget. */
interface Size {
  readonly micro: Micro
  readonly listMicro: Micro
}

/** The hold grows again when the answer has used this much of the output that it covers. */
const USED_SHARE = 0.75
/** Fewer tokens than this are not worth another extension. */
const LEAST_TOKENS = 64

/**
 * How large the hold of one request has to be, from its opening to its end. Pure: it asks for a size,
 * is told what was granted, and says when the answer has used all of it. Sizes are the whole hold, not what to add.
 */
export class HoldMeter {
  readonly #terms: HoldTerms
  /** The most that the request can cost in all. */
  readonly bound: Bound
  /** What to hold before the request leaves. */
  readonly openMicro: Micro
  /** The same at list price; a thin hold's with all of the prompt cold, for an account's cap is kept in any case. */
  readonly openListMicro: Micro
  /**
   * What the opening hold of a thin request lacks should the cache be cold: so far its wallet may fall below
   * zero. 0 for all others.
   */
  readonly riskMicro: Micro
  readonly #isGrowing: boolean
  readonly #maxTokens: number
  #held: Size
  /** Output tokens and rounds that the hold pays for. */
  #covered: Produced
  #asked: { readonly size: Size; readonly covers: Produced } | null = null
  #started: Usage | null = null
  /** `message_start` is here: nothing is taken for warm any more but what it says. */
  #isTold = false
  #isThin: boolean

  constructor(terms: HoldTerms) {
    const { input, models, options } = terms
    this.#terms = terms
    this.bound = costBound(input, models, options)
    this.#isGrowing = growsInRounds(input, models)
    this.#maxTokens = Math.min(input.maxTokens, models.row.maxOutput)
    this.#covered =
      terms.mode === 'full'
        ? { outputTokens: this.#maxTokens, rounds: Number.POSITIVE_INFINITY }
        : { outputTokens: Math.min(this.#maxTokens, terms.stepTokens), rounds: 1 }
    this.#held = this.#boundFor(this.#covered)
    this.openMicro = this.#held.micro
    this.openListMicro = this.#held.listMicro
    this.riskMicro = input.warmTokens
      ? this.#coldFor(this.#covered).amountMicro - this.openMicro
      : 0
    this.#isThin = this.riskMicro > 0
  }

  /** The same request with its prompt counted by upstream. */
  counted(tokens: number): HoldMeter {
    const { input } = this.#terms
    return new HoldMeter({ ...this.#terms, input: { ...input, countedInputTokens: tokens } })
  }

  /**
   * The same request with the beginning of its prompt at the price of a cache read; null where that saves
   * nothing, is not sure, or where the prompt is read again and again, so that no figure corrects it in time.
   */
  thin(prefix: CachedPrefix): HoldMeter | null {
    const { input, models, options } = this.#terms
    if (this.#isGrowing) return null
    const warmTokens = surelyWarm(input, models.row, prefix, options.estimates)
    const meter = new HoldMeter({ ...this.#terms, input: { ...input, warmTokens } })
    return meter.isThin ? meter : null
  }

  /** A part of the prompt was taken for warm, and no answer has yet shown what it really costs. */
  get isThin(): boolean {
    return this.#isThin
  }

  /** Upstream has counted the prompt. */
  get isCounted(): boolean {
    return this.#terms.input.countedInputTokens !== undefined
  }

  /** Whether any count of the prompt could make the opening hold fit. */
  mayFit(availableMicro: Micro): boolean {
    const { input, models, options } = this.#terms
    const limit = this.#covered
    return (
      availableMicro > 0 &&
      tighterBound(input, models, 1, { ...options, limit }).amountMicro <= availableMicro
    )
  }

  get heldMicro(): Micro {
    return this.#held.micro
  }

  /** What is held, without the mark-up. */
  get heldListMicro(): Micro {
    return this.#held.listMicro
  }

  /** List price of reading the prompt once: what an answer that never came may have cost. */
  promptListMicro(): Micro {
    const { input, models, options } = this.#terms
    const usesTools = input.hasTools || input.serverTools.length > 0 || input.mcp
    const plain = { serverTools: [], mcp: false, compaction: false, warmTokens: 0 }
    return costBound(
      { ...input, ...plain, hasTools: usesTools },
      { ...models, fallbacks: [], advisors: [] },
      { ...options, limit: { outputTokens: 0, rounds: 0 } },
    ).listAmountMicro
  }

  /** Output tokens that the hold pays for now. */
  get coveredTokens(): number {
    return this.#covered.outputTokens
  }

  /** The prompt is read, or other models run, again and again. */
  get growsInRounds(): boolean {
    return this.#isGrowing
  }

  /**
   * `message_start` has told the exact input: the size that the hold should have now, or null when it
   * is right. Nothing where the input can still grow. Ask again after `granted` or `refused`.
   */
  started(usage: Usage): Micro | null {
    this.#isTold = true
    const { input, cacheRead, cacheWrite5m, cacheWrite1h } = usage.tokens
    if (usage.anomalies > 0 || input + cacheRead + cacheWrite5m + cacheWrite1h === 0) {
      // A start whose figures cannot be used tells nothing, not of the cache either: the whole bound stands.
      return this.#isThin ? this.#ask(this.#boundFor(this.#covered), this.#covered) : null
    }
    this.#started = usage
    if (this.#isGrowing) return null
    return this.#ask(this.#exactFor(this.#covered.outputTokens), this.#covered)
  }

  /** The answer went on: the size that the hold should grow to, or null when it is enough or one is asked for. */
  produced(so: Produced): Micro | null {
    if (this.#asked !== null || !this.#needsMore(so)) return null
    const { stepTokens } = this.#terms
    const outputTokens = Math.min(
      this.#maxTokens,
      Math.max(this.#covered.outputTokens, so.outputTokens) + stepTokens,
    )
    const covers = { outputTokens, rounds: Math.max(this.#covered.rounds, so.rounds + 1) }
    if (this.#isGrowing || this.#started === null) return this.#ask(this.#boundFor(covers), covers)
    return this.#ask(this.#exactFor(outputTokens), covers)
  }

  /** The size last asked for is held. */
  granted(): void {
    if (this.#asked === null) return
    this.#held = this.#asked.size
    this.#covered = this.#asked.covers
    this.#asked = null
    if (this.#isTold) this.#isThin = false
  }

  /**
   * The size last asked for does not fit: a smaller one that does, to ask for instead, or null when nothing
   * worth asking is left. The answer may still use what is held, and ends when that `isExhausted`.
   */
  refused(availableMicro: Micro): Micro | null {
    const asked = this.#asked
    this.#asked = null
    if (asked === null || this.#isGrowing || this.#started === null) return null
    const most = asked.covers.outputTokens
    // A correction that does not fit leaves a hold that pays for less than it was opened for.
    const paidFor = Math.min(this.#covered.outputTokens, this.#payable(this.#held.micro, most))
    this.#covered = { ...this.#covered, outputTokens: paidFor }
    const fits = this.#payable(this.#held.micro + Math.max(0, availableMicro), most)
    if (fits - paidFor < LEAST_TOKENS) return null
    return this.#ask(this.#exactFor(fits), { ...asked.covers, outputTokens: fits })
  }

  /** True when what has been produced has used up all that the hold pays for: nothing more may pass now. */
  isExhausted({ outputTokens, rounds }: Produced): boolean {
    const covered = this.#covered
    if (rounds > covered.rounds) return true
    return covered.outputTokens < this.#maxTokens && outputTokens >= covered.outputTokens
  }

  #needsMore({ outputTokens, rounds }: Produced): boolean {
    if (this.#terms.mode === 'full') return false
    const { outputTokens: covered } = this.#covered
    if (rounds > this.#covered.rounds) return true
    return covered < this.#maxTokens && outputTokens >= covered * USED_SHARE
  }

  #ask(wanted: Size, covers: Produced): Micro | null {
    // Where rounds made the hold larger than the news needs, it stays: it is never reduced.
    const size = this.#isGrowing && wanted.micro < this.#held.micro ? this.#held : wanted
    this.#asked = { size, covers }
    if (size.micro !== this.#held.micro) return size.micro
    this.granted()
    return null
  }

  #boundFor(covers: Produced): Size {
    const { input, models, options } = this.#terms
    const cold = this.#coldFor(covers)
    const isWarm = !this.#isTold && Boolean(input.warmTokens)
    const bound = isWarm ? costBound(input, models, { ...options, limit: covers }) : cold
    return { micro: bound.amountMicro, listMicro: cold.listAmountMicro }
  }

  #coldFor(covers: Produced): Bound {
    const { input, models, options } = this.#terms
    return costBound({ ...input, warmTokens: 0 }, models, { ...options, limit: covers })
  }

  /** How many output tokens so much money pays for, beside the exact input; at most `most`. */
  #payable(micro: Micro, most: number): number {
    let fits = 0
    let tooMany = most + 1
    while (tooMany - fits > 1) {
      const outputTokens = Math.floor((fits + tooMany) / 2)
      if (this.#exactFor(outputTokens).micro <= micro) fits = outputTokens
      else tooMany = outputTokens
    }
    return fits
  }

  /** Exact input, so much output. */
  #exactFor(outputTokens: number): Size {
    const { table, atMs, options } = this.#terms
    const usage = this.#started as Usage // only called once it has come
    const { markup } = options
    const { costMicro, listCostMicro } = costOf(partialUsage(usage, outputTokens), table, {
      atMs,
      ...(markup === undefined ? {} : { markup }),
    })
    return { micro: costMicro, listMicro: listCostMicro ?? costMicro }
  }
}
