import assert from 'node:assert/strict'
import { test } from 'node:test'
import { world } from '../support/world.ts'

test('a small request is forwarded, metered, settled and can be looked up', async (t) => {
  const w = await world(t)
  const response = await w.post()
  const text = await response.text()
  assert.equal(response.status, 200, text)
  const id = response.headers.get('x-cc-request-id') ?? ''
  console.log(text, [...response.headers])
  const usage = await (await fetch(`${w.url}/v1/usage/${id}`, { headers: { 'x-api-key': w.key } })).json()
  console.log(usage, await w.wallet(), w.log)
})
test('a stream', async (t) => {
  const w = await world(t)
  const response = await w.post({ stream: true })
  console.log(await response.text(), [...response.headers])
  const id = response.headers.get('x-cc-request-id') ?? ''
  const usage = await (await fetch(`${w.url}/v1/usage/${id}`, { headers: { 'x-api-key': w.key } })).json()
  console.log(usage, await w.wallet(), w.log)
})
