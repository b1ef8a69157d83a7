/** What decides in which workspace's prompt cache an account reads and writes. */
export interface ScopeMember {
  readonly id: string
  /** The operator's word that accounts of this name share a workspace; null: none. */
  readonly cacheScope: string | null
  /** As upstream told it; null: not yet. */
  readonly told: string | null
}

/** A name for a workspace, and how sure it is: 0 the account's own id, 1 the operator's scope, 2 told by upstream. */
export interface WorkspaceName {
  readonly name: string
  readonly certainty: 0 | 1 | 2
}

/**
 * The workspace of each account: what upstream told, else what it told another account of the same scope, else a
 * name for the scope, else the account's id.
 */
export function workspacesOf(members: readonly ScopeMember[]): ReadonlyMap<string, WorkspaceName> {
  const told = toldOf(members)
  return new Map(
    members.map(({ id, cacheScope, told: own }): [string, WorkspaceName] => {
      const name = own ?? (cacheScope === null ? undefined : told.get(cacheScope))
      if (name !== undefined) return [id, { name, certainty: 2 }]
      if (cacheScope !== null) return [id, { name: `scope:${cacheScope}`, certainty: 1 }]
      return [id, { name: id, certainty: 0 }]
    }),
  )
}

/** What people are told of an account that contradicts its scope. */
export function contradictionText({ cacheScope, told, others }: ScopeContradiction): string {
  return `is in workspace ${told}, others of cache scope ${cacheScope} are in ${others}`
}

/** An account that upstream told another workspace than the first of its scope. */
export interface ScopeContradiction {
  readonly id: string
  readonly cacheScope: string
  readonly told: string
  readonly others: string
}

/** Accounts that upstream told another workspace than the first of their scope. */
export function contradictionsOf(members: readonly ScopeMember[]): readonly ScopeContradiction[] {
  const first = toldOf(members)
  return members.flatMap(({ id, cacheScope, told }) => {
    const others = cacheScope === null ? undefined : first.get(cacheScope)
    if (cacheScope === null || told === null || others === undefined || others === told) return []
    return [{ id, cacheScope, told, others }]
  })
}

/** The first workspace that upstream told of each scope. */
function toldOf(members: readonly ScopeMember[]): ReadonlyMap<string, string> {
  const told = new Map<string, string>()
  for (const { cacheScope, told: own } of members)
    if (cacheScope !== null && own !== null && !told.has(cacheScope)) told.set(cacheScope, own)
  return told
}
