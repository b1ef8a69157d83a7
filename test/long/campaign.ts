/** A long test: run with a few options for CI, with larger ones by hand. */
export interface Campaign {
  readonly name: string
  /** One line for `npm run test:long -- --help`. */
  readonly what: string
  /** Every option is a number; these are the values of the bounded run. */
  readonly options: Readonly<Record<string, number>>
  /** Answers what it found wrong, one sentence each; prints its seed and its figures. */
  readonly run: (
    options: Readonly<Record<string, number>>,
    report: (line: string) => void,
  ) => Promise<readonly string[]>
}

/** A seed for a run that was given none. */
export function newSeed(): number {
  return Date.now() % 1_000_000_000
}
