import { anthropic } from './anthropic/index.ts'
import type { Dialect } from './dialect.ts'

/** Every client format that ccgate speaks. */
export const DIALECTS = { anthropic } as const satisfies Record<string, Dialect>
