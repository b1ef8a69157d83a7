/**
 * Median output tokens per second by model class at standard speed: first guesses from the families'
 * usual speeds, until receipts have taught better ones.
 */
export const MEDIAN_TOKENS_PER_SECOND: Readonly<Record<string, number>> = {
  'fable-5': 45,
  'fable-5-2': 50,
  'mythos-5': 45,
  'opus-4': 50,
  'opus-5': 55,
  'opus-5-5': 60,
  'sonnet-4': 65,
  'sonnet-5': 70,
  'sonnet-5-5': 75,
  'haiku-4-5': 120,
  'haiku-5-5': 150,
}
/** For classes that the table above does not know. */
export const DEFAULT_TOKENS_PER_SECOND = 50
/** How much faster an answer of speed `fast` comes. */
export const FAST_SPEED_FACTOR = 2.5
