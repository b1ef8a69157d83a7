/** The two clocks that rules are given: wall time for records, monotonic time for durations. */
export interface Clock {
  /** Milliseconds since the epoch; may jump. */
  nowMs(): number
  /** Milliseconds that only grow; unrelated to wall time. */
  monotonicMs(): number
}
