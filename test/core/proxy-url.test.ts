import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hideProxyLogin, parseProxyUrl } from '../../src/core/proxy-url.ts'

function read(text: string) {
  const parsed = parseProxyUrl(text)
  assert.ok(parsed.kind === 'ok', parsed.kind === 'bad' ? `${text}: ${parsed.problem}` : '')
  return parsed.value
}

function problem(text: string): string {
  const parsed = parseProxyUrl(text)
  assert.ok(parsed.kind === 'bad', `${text} was read`)
  return parsed.problem
}

test('a proxy is a kind, a host and a port, and maybe a login', () => {
  assert.deepEqual(read('http://Proxy.Example.com:3128/'), {
    scheme: 'http',
    host: 'proxy.example.com',
    port: 3128,
    login: null,
    url: 'http://proxy.example.com:3128',
    text: 'http://proxy.example.com:3128',
  })
  assert.deepEqual(read('socks5h://me:p%40ss@10.0.0.7'), {
    scheme: 'socks5',
    host: '10.0.0.7',
    port: 1080,
    login: { user: 'me', password: 'p@ss' },
    url: 'socks5://me:p%40ss@10.0.0.7:1080',
    text: 'socks5://10.0.0.7:1080',
  })
  assert.equal(read('HTTPS://[::1]').text, 'https://[::1]:443')
  assert.equal(read('https://[::1]').host, '::1')
  assert.equal(read('http://token@proxy').url, 'http://token@proxy:80')
  assert.equal(read('socks5://p:80').text, 'socks5://p:80')
  assert.deepEqual(read('http://me:a:b@proxy:8080').login, { user: 'me', password: 'a:b' })
})

test('what cannot be a proxy is told, and how to write it', () => {
  assert.match(problem('proxy.example.com:3128'), /not the address of a proxy. Example: http:/)
  assert.match(problem('ftp://proxy:21'), /kind "ftp" is not supported: use http, https or socks5/)
  assert.match(problem('http://proxy:70000'), /70000 is not a port/)
  assert.match(problem('http://proxy:0'), /0 is not a port/)
  assert.match(problem('http://proxy:3128/path'), /not the address/)
  assert.match(problem('http://proxy:3128?x=1'), /not the address/)
  assert.match(problem('http://[::g]:1'), /not the address/)
  assert.match(problem('http://@proxy'), /no user before it/)
  assert.match(problem(`http://u:${'x'.repeat(256)}@proxy`), /at most 255 bytes/)
})

test('problems never quote user or password', () => {
  for (const text of [
    'bob:hunter2:proxy:3128',
    'http://bob:hunter2:proxy:3128',
    'proxy:3128:bob:hunter2',
    'http://bob:hunter2/proxy',
    'bob:hunter2!',
  ]) {
    assert.match(problem(text), /^this is not the address of a proxy. Example/)
  }
  assert.match(problem('proxy:3128'), /^"proxy:3128" is not/)
  const secrets = ['http://anna:hunter2@', 'anna:hunter2@proxy:1', 'ftp://anna:hunter2@proxy']
  const more = [
    'http://anna:hunter2%zz@proxy',
    'http://anna:hunter2@proxy:99999',
    'http://an%3Ana:hunter2@proxy',
  ]
  for (const text of [
    ...secrets,
    ...more,
    'http://anna:hun\nhunter2%0a@p',
    'http://anna:hunter2@p/x?y',
  ]) {
    assert.doesNotMatch(problem(text), /hunter2|anna/, text)
  }
})

test('the login is hidden in what was written, however it was written', () => {
  assert.equal(hideProxyLogin('http://anna:hun@ter2@proxy:1'), 'http://***@proxy:1')
  assert.equal(hideProxyLogin('anna:hunter2@proxy:1'), '***@proxy:1')
  assert.equal(hideProxyLogin('socks5://proxy:1080'), 'socks5://proxy:1080')
  assert.equal(hideProxyLogin('none'), 'none')
})

test('property: the one spelling reads back as itself, and its visible text has no login', () => {
  const part = fc
    .string({ unit: 'grapheme', maxLength: 40 })
    .filter((text) => !/[\x00-\x1f\x7f]/.test(text))
  const proxy = fc.record({
    scheme: fc.constantFrom('http', 'https', 'socks5'),
    host: fc.oneof(
      fc.domain(),
      fc.ipV4(),
      fc.ipV6().map((address) => `[${address}]`),
    ),
    port: fc.integer({ min: 1, max: 65_535 }),
    user: part.filter((text) => text !== '' && !text.includes(':')),
    password: part,
  })
  fc.assert(
    fc.property(proxy, ({ scheme, host, port, user, password }) => {
      const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`
      const once = read(`${scheme}://${login}@${host}:${port}`)
      assert.deepEqual(read(once.url), once)
      assert.deepEqual(once.login, { user, password })
      assert.equal(once.port, port)
      assert.equal(read(once.text).login, null)
      assert.doesNotMatch(once.text, /@/)
    }),
  )
})
