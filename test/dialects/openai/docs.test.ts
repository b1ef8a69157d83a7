import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ERRORS } from '../../../src/core/errors.ts'
import { openAiError } from '../../../src/dialects/openai/errors.ts'
import type { FieldRules } from '../../../src/dialects/openai/field-rules.ts'
import { WARNINGS, WARNINGS_OF } from '../../../src/dialects/openai/warnings.ts'
import { CHAT_FIELDS } from '../../../src/dialects/openai-chat/fields.ts'
import { RESPONSES_FIELDS } from '../../../src/dialects/openai-responses/fields.ts'

const FILE = fileURLToPath(new URL('../../../docs/api.md', import.meta.url))
const TABLE =
  /(<!-- fields: written by test\/dialects\/openai\/docs.test.ts -->\n)[\s\S]*(<!-- end of fields -->)/
const ERROR_TABLE =
  /(<!-- errors: written by test\/dialects\/openai\/docs.test.ts -->\n)[\s\S]*(<!-- end of errors of OpenAI's paths -->)/
const WARNING_TABLE =
  /(<!-- warnings: written by test\/dialects\/openai\/docs.test.ts -->\n)[\s\S]*(<!-- end of warnings -->)/

function cell(rules: FieldRules, name: string): string {
  return Object.hasOwn(rules, name) ? rules[name].action : ''
}

/** `UPDATE_GOLDEN=1` writes the table anew. */
test('the API’s document names every field of both formats, and what becomes of it', () => {
  const names = new Set([...Object.keys(CHAT_FIELDS), ...Object.keys(RESPONSES_FIELDS)])
  const rows = [...names].map(
    (name) => `| \`${name}\` | ${cell(CHAT_FIELDS, name)} | ${cell(RESPONSES_FIELDS, name)} |\n`,
  )
  const table = `| field | chat completions | responses |\n|---|---|---|\n${rows.join('')}`
  const text = readFileSync(FILE, 'utf8')
  const wanted = text.replace(TABLE, (_, begin, end) => begin + table + end)
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(FILE, wanted)
  assert.equal(readFileSync(FILE, 'utf8'), wanted)
  assert.ok(wanted.includes(table))
})

/** `UPDATE_GOLDEN=1` writes the table anew. */
test('the API’s document tells which errors have other words on OpenAI’s paths', () => {
  const groups = new Map<string, string[]>()
  for (const [code, row] of Object.entries(ERRORS)) {
    const types = { anthropic: row.anthropic, openai: row.openai }
    const about = { field: null, message: '', details: {}, requestId: 'ccr_test' }
    const error = openAiError({ status: row.status, code, types, ...about })
    const usual = row.status < 500 ? 'invalid_request_error' : 'server_error'
    if (error.code === code && error.type === usual) continue
    const said = error.code === null ? 'null' : `\`${error.code}\``
    const words = `\`${error.type}\` | ${said}`
    groups.set(words, [...(groups.get(words) ?? []), `\`${code}\``])
  }
  const rows = Array.from(groups, ([words, codes]) => `| ${codes.join(', ')} | ${words} |\n`)
  const table = `| ours | \`type\` | \`code\` |\n|---|---|---|\n${rows.join('')}`
  const text = readFileSync(FILE, 'utf8')
  const wanted = text.replace(ERROR_TABLE, (_, begin, end) => begin + table + end)
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(FILE, wanted)
  assert.equal(readFileSync(FILE, 'utf8'), wanted)
  assert.ok(wanted.includes(table))
})

/** `UPDATE_GOLDEN=1` writes the table anew. */
test('the API’s document has every word of the warnings', () => {
  const rows = [
    ...Object.entries(WARNINGS).map(([word, note]) => `| \`${word}\` | ${note} |\n`),
    ...Object.entries(WARNINGS_OF).map(([word, note]) => `| \`${word}:TYPE\` | ${note} |\n`),
  ]
  const table = `| word | what was changed |\n|---|---|\n${rows.join('')}`
  const text = readFileSync(FILE, 'utf8')
  const wanted = text.replace(WARNING_TABLE, (_, begin, end) => begin + table + end)
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(FILE, wanted)
  assert.equal(readFileSync(FILE, 'utf8'), wanted)
  assert.ok(wanted.includes(table))
})

test('every field that OpenAI’s SDK can send is known', () => {
  const sent = (file: string, name: string) => {
    const path = new URL(`../../../node_modules/openai/resources/${file}.d.ts`, import.meta.url)
    const text = readFileSync(path, 'utf8')
    const from = text.indexOf(`export interface ${name} {`)
    const members = text.slice(from, text.indexOf('\n}', from)).matchAll(/^ {4}(\w+)\??:/gm)
    return Array.from(members, ([, member]) => member)
  }
  const chat = sent('chat/completions/completions', 'ChatCompletionCreateParamsBase')
  const responses = sent('responses/responses', 'ResponseCreateParamsBase')
  assert.ok(chat.length > 25 && responses.length > 20, `${chat.length}, ${responses.length}`)
  assert.deepEqual(
    chat.filter((name) => !Object.hasOwn(CHAT_FIELDS, name)),
    [],
  )
  assert.deepEqual(
    responses.filter((name) => !Object.hasOwn(RESPONSES_FIELDS, name)),
    [],
  )
})
