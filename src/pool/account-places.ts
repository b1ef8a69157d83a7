import { NOTICE_KINDS } from '../core/account-notices.ts'
import { contradictionsOf, contradictionText, workspacesOf } from '../core/cache-scopes.ts'
import type { AccountEvent, HeadroomRow } from '../core/model.ts'
import type { Entry } from './live-account.ts'

/** Hears that what stood in for a workspace or an organisation is now known under a surer name. */
export type LearnedListener = (
  scope: 'workspace' | 'organization',
  before: string,
  now: string,
) => void

/** In which organisation and workspace each account is, as far as upstream or the operator has told. */
export class AccountPlaces {
  readonly #entries: ReadonlyMap<string, Entry>
  readonly #note: (event: Omit<AccountEvent, 'atMs'>) => void
  #onLearned: LearnedListener = () => {}

  /** `note` hears of accounts that contradict what the operator said of them. */
  constructor(
    entries: ReadonlyMap<string, Entry>,
    note: (event: Omit<AccountEvent, 'atMs'>) => void,
  ) {
    this.#entries = entries
    this.#note = note
  }

  /** Calls `listener` when the name that stood in for an account's workspace or organisation gets a surer one. */
  whenLearned(listener: LearnedListener): void {
    this.#onLearned = listener
  }

  /** Takes what upstream told of an account; what stood in for its organisation and workspace makes way. */
  told(entry: Entry, row: HeadroomRow): void {
    const before = entry.headroom
    entry.headroom = row
    const { id } = entry.live.account
    if (before?.organizationId == null && row.organizationId !== null)
      this.#onLearned('organization', id, row.organizationId)
    if (row.workspaceId !== (before?.workspaceId ?? null)) this.arrange()
  }

  /** Which account is in which workspace; what upstream told one of a cache scope holds for all of it. */
  arrange(): void {
    const members = [...this.#entries.values()].map(({ live: { account }, headroom }) => ({
      id: account.id,
      cacheScope: account.cacheScope,
      told: headroom?.workspaceId ?? null,
    }))
    const names = workspacesOf(members)
    for (const [id, entry] of this.#entries) {
      const before = entry.workspace
      const now = names.get(id) ?? before
      entry.workspace = now
      if (now.certainty > before.certainty) this.#onLearned('workspace', before.name, now.name)
    }
    for (const contradiction of contradictionsOf(members)) {
      const { id } = contradiction
      const entry = this.#entries.get(id)
      const message = contradictionText(contradiction)
      if (entry === undefined || entry.contradicts === message) continue
      entry.contradicts = message
      this.#note({ accountId: id, kind: NOTICE_KINDS.cacheScope, message, requestId: null })
    }
  }
}
