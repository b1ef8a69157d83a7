/** Models whose thinking only the organisation that made it can read; elsewhere it is dropped in silence. */
const BINDING_MODELS: ReadonlySet<string> = new Set([
  'claude-fable-5-2',
  'claude-mythos-5-2',
  'claude-sonnet-5-5',
  'claude-haiku-5-5',
])

/** Whether thinking blocks of this model (its id, not an alias) bind a conversation to an organisation. */
export function bindsThinking(modelId: string): boolean {
  return BINDING_MODELS.has(modelId)
}
