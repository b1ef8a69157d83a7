import type { BodyChanges } from '../dialect.ts'
import { repairBody } from './repair.ts'
import { withAutoCache, withPausedContent } from './upstream.ts'

/** What both of OpenAI's formats let the gateway change in a translated body. */
export const bodyChanges: BodyChanges = { withAutoCache, withPausedContent, repair: repairBody }
