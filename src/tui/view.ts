import type { Model } from './facts.ts'
import type { UiState } from './state.ts'

/** All that one frame is drawn from. */
export interface View {
  readonly model: Model
  readonly ui: UiState
  readonly nowMs: number
  readonly columns: number
  readonly rows: number
  /** IANA time zone of the times shown. */
  readonly zone: string
  readonly isReadOnly: boolean
  /** ccgate's own version. */
  readonly version: string
  /** Since when the database could not be read; null: it can. */
  readonly staleSinceMs: number | null
  readonly refreshMs: number
}
