import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { RESPONSES_FIELDS } from '../../../src/dialects/openai-responses/fields.ts'

const FILE = fileURLToPath(new URL('../../../docs/openai-responses.md', import.meta.url))
const TABLE =
  /(<!-- fields: written by test\/dialects\/openai-responses\/docs.test.ts -->\n)[\s\S]*(<!-- end of fields -->)/

/** `UPDATE_GOLDEN=1` writes the table anew. */
test('the documents name every field, and what becomes of it', () => {
  const rows = Object.entries(RESPONSES_FIELDS).map(
    ([name, { action, note }]) => `| \`${name}\` | ${action} | ${note} |\n`,
  )
  const table = `| field | | where it goes |\n|---|---|---|\n${rows.join('')}`
  const text = readFileSync(FILE, 'utf8')
  const wanted = text.replace(TABLE, (_, begin, end) => begin + table + end)
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(FILE, wanted)
  assert.equal(readFileSync(FILE, 'utf8'), wanted)
  assert.ok(wanted.includes(table))
})
