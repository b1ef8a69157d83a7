import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  cleanEnvironment,
  isOffline,
  nodeOfMachine,
  npmEnvironment,
  ROOT,
  start,
  temporaryFolder,
} from './processes.ts'

interface Packed {
  readonly filename: string
  readonly files: readonly { readonly path: string }[]
}

test('the packed tarball has what it needs, installs into an empty folder, and runs on an old Node', {
  timeout: 120_000,
}, async (t) => {
  const folder = temporaryFolder(t)
  const npm = (args: readonly string[], cwd: string) =>
    start(t, 'npm', args, { cwd, env: npmEnvironment() }).ended
  const pack = await npm(['pack', '--json', '--pack-destination', folder], ROOT)
  assert.equal(pack.code, 0, pack.err)
  // `prepack` may print before it.
  const listed: unknown = JSON.parse(pack.out.slice(pack.out.search(/^[[{]/m)))
  const packed = Object.values(listed as Record<string, Packed>)[0]
  const paths = packed.files.map(({ path }) => path)

  await t.test('it holds the program, its documents and its lock, and no sources', () => {
    for (const path of [
      'package.json',
      'npm-shrinkwrap.json',
      'bin/ccgate.js',
      'dist/main.js',
      'dist/store/sqlite/writer-worker.js',
      'config.example.yaml',
      'LICENSE',
      'README.md',
      'CHANGELOG.md',
      'docs/cli.md',
    ]) {
      assert.ok(paths.includes(path), path)
    }
    const stray = paths.filter((path) => !/^(dist|docs|bin)\/|^[^/]+$/.test(path))
    assert.deepEqual(stray, [])
    assert.ok(!paths.some((path) => /\.(ts|tsx|map)$/.test(path)))
    const { dependencies, optionalDependencies } = JSON.parse(
      readFileSync(join(ROOT, 'package.json'), 'utf8'),
    ) as Record<string, Record<string, string>>
    for (const version of Object.values({ ...dependencies, ...optionalDependencies })) {
      assert.match(version, /^\d+\.\d+\.\d+$/)
    }
    assert.ok(!readFileSync(join(ROOT, 'npm-shrinkwrap.json'), 'utf8').includes('"resolved"'))
  })

  const prefix = join(folder, 'prefix')
  const install = await npm(
    [
      'install',
      '--prefix',
      prefix,
      '--prefer-offline',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      join(folder, packed.filename),
    ],
    folder,
  )
  if (install.code !== 0 && isOffline(install)) {
    t.skip('the registry cannot be reached: the tarball was not installed')
    return
  }
  assert.equal(install.code, 0, install.err)

  await t.test('the demo runs from there', async (t) => {
    const node = nodeOfMachine() ?? process.execPath
    const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
    t.diagnostic(`started with Node ${version}`)
    const launcher = join(prefix, 'node_modules', 'ccgate', 'bin', 'ccgate.js')
    const env = cleanEnvironment(folder)
    const run = (args: readonly string[]) =>
      start(t, node, [launcher, ...args], { cwd: folder, env }).ended
    const demo = await run(['demo', '--once', '--json'])
    assert.equal(demo.code, 0, demo.err)
    const [ready, first] = demo.out.trimEnd().split('\n')
    assert.equal((JSON.parse(ready) as { object: string }).object, 'demo_ready')
    assert.deepEqual(
      { ...(JSON.parse(first) as object), request_id: '', ttft_ms: 0 },
      { object: 'demo_request', request_id: '', status: 200, ttft_ms: 0, cost_micro: 327 },
    )
    const facts = await run(['version', '--all'])
    assert.match(facts.out, /^node +(2[4-9]|[3-9]\d)\./m)
  })
})
