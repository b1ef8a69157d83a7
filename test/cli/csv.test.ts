import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { csvLine } from '../../src/cli/csv.ts'

/** Reads one line back as RFC 4180 says. */
function cellsOf(line: string): readonly string[] {
  const cells: string[] = []
  const form = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/y
  for (let match = form.exec(line); match !== null; match = form.exec(line)) {
    cells.push(match[1] === undefined ? match[2] : match[1].replaceAll('""', '"'))
    if (match[3] === '\r\n') break
  }
  assert.equal(form.lastIndex, line.length, 'the whole line is understood')
  return cells
}

test('numbers, truth and nothing stay bare', () => {
  assert.equal(csvLine([1, -2, true, null, 'a']), '1,-2,true,,a\r\n')
})

test('what a spreadsheet could run gets an apostrophe, also behind spaces, tabs and line breaks', () => {
  for (const text of ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '\n=1', ' =1', '\tx'])
    assert.match(cellsOf(csvLine([text]))[0], /^'/, JSON.stringify(text))
  assert.equal(csvLine(['=HYPERLINK("a","b")']), `"'=HYPERLINK(""a"",""b"")"\r\n`)
  assert.equal(csvLine(['a=b', 'claude-sonnet-4-6']), 'a=b,claude-sonnet-4-6\r\n')
})

test('every line reads back cell by cell, and no text can begin a formula or steer a terminal', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^[\s=+\-@"',\x1b\u202e]{0,6}$/),
  )
  fc.assert(
    fc.property(fc.array(text, { minLength: 1 }), (texts) => {
      const line = csvLine(texts)
      const cells = cellsOf(line)
      assert.equal(cells.length, texts.length)
      for (const cell of cells) {
        assert.doesNotMatch(cell, /^\s*[=+\-@]/)
        assert.doesNotMatch(cell, /[\x00-\x1f\x7f-\x9f\u202a-\u202e]/)
      }
    }),
  )
})
