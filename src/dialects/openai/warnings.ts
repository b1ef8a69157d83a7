/** Every word of `X-CC-Warnings`, and what was changed where it stands; the documentation's table is made of it. */
export const WARNINGS = {
  'max-tokens-lowered': 'More output was asked for than the model has; it is the most that it has.',
  'temperature-lowered': '`temperature` was above 1, the most that Claude takes; it is 1.',
  'blank-stop-dropped': 'A stop sequence of nothing but white space was left out.',
  'thinking-left-out':
    'Reasoning was asked for and the model does not think: it cannot, `max_tokens` has no room for it (1,024 or less), or it thinks by budget and the history lacks the reasoning before its last calls.',
  'thinking-stays-on':
    'Reasoning was to be off; this model always thinks, and does so with the lowest effort.',
  'thinking-budget-changed':
    '`reasoning.max_tokens` was fitted to 1,024 up to 32,000 and below `max_tokens`, or became an effort where the model thinks by effort.',
  'effort-lowered': 'The effort is the next lower one that the model takes on this request.',
  'format-in-words':
    'The JSON that was asked for is told in words and not enforced: `json_object`, a model without structured outputs, or a schema that refers to itself or leaves an object’s members open (maps).',
  'schema-keywords-in-words':
    'Keywords of a schema that upstream does not enforce (`minimum`, `pattern`, `maxItems` and the like) are told in its descriptions.',
  'strict-tools-degraded':
    'A strict tool’s schema is open or refers to itself, or there are more than 20 strict tools, 24 optional or 16 alternative members: those tools are not strict.',
  'tool-alternatives-merged':
    'A tool’s parameters are alternatives at their top, which upstream refuses; they are one object now.',
  'grammar-in-words': 'A custom tool’s grammar is told in its description and not enforced.',
  'forced-tool-choice-degraded':
    'A call was to be forced that cannot be, by this model or because the tool is none of yours; the model chooses.',
  'allowed-tools-not-enforced':
    'All tools were sent; the model may call one that is not on the list.',
  'cache-markers-changed':
    'Of more than four cache markers the first and the last three stayed, or one lives no longer than one before it.',
} as const satisfies Readonly<Record<string, string>>

/** Words that name what was left out behind a colon: `tool-dropped:image_generation`. */
export const WARNINGS_OF = {
  'tool-dropped':
    'Tools of this type were left out: they do not run here, or the operator or the request itself does not let them.',
  'item-dropped': 'Items of this type in `input` were left out: only their maker can read them.',
} as const satisfies Readonly<Record<string, string>>

/** A word of `X-CC-Warnings`. */
export type Warning = keyof typeof WARNINGS | `${keyof typeof WARNINGS_OF}:${string}`
