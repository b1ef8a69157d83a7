import { Box, Text } from 'ink'
import { memo } from 'react'
import { type Line, textOf } from './lines.ts'
import { lookOf, type Theme } from './theme.ts'

/** The lines as they are, one row each. */
export function ScreenLines({
  lines,
  columns,
  theme,
}: {
  readonly lines: readonly Line[]
  readonly columns: number
  readonly theme: Theme
}) {
  return (
    <Box flexDirection="column" width={columns} height={lines.length} overflow="hidden">
      {lines.map((each, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a row of the screen is its position.
        <Row key={i} line={each} theme={theme} />
      ))}
    </Box>
  )
}

const Row = memo(
  function Row({ line, theme }: { readonly line: Line; readonly theme: Theme }) {
    // An empty Text has no height, and would let the rows below move up.
    if (textOf(line) === '') return <Text> </Text>
    return (
      <Text wrap="truncate-end">
        {line.spans.map((span, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: spans have no identity but their place.
          <Text key={i} {...lookOf(theme, line, span)} aria-hidden={span.chart}>
            {span.text}
          </Text>
        ))}
      </Text>
    )
  },
  (before, after) => before.theme === after.theme && isSame(before.line, after.line),
)

function isSame(a: Line, b: Line): boolean {
  if (a.look !== b.look || a.spans.length !== b.spans.length) return false
  return a.spans.every((span, i) => span.text === b.spans[i].text && span.tone === b.spans[i].tone)
}
