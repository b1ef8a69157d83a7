import { BUILT_IN_PRICES } from '../../billing/prices.ts'
import { SCHEMA_VERSION } from '../../store/open.ts'
import type { Context } from '../context.ts'
import type { Invocation } from '../invocation.ts'
import { ccgateVersion } from '../version.ts'

/** What runs here. */
export async function version(context: Context, call: Invocation): Promise<void> {
  const { print } = context
  const facts = {
    object: 'version',
    ccgate: ccgateVersion(),
    node: process.versions.node,
    schema: SCHEMA_VERSION,
    prices_as_of: BUILT_IN_PRICES.version,
  }
  if (print.json) return print.document(facts)
  if (print.quiet) return print.out(facts.ccgate)
  print.out(`ccgate ${facts.ccgate}`)
  if (!call.flag('all')) return
  print.out(`node   ${facts.node}`)
  print.out(`schema ${facts.schema}`)
  print.out(`prices ${facts.prices_as_of}`)
}
