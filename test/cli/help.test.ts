import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { CcgateCommand } from '../../src/cli/command.ts'
import { buildProgram } from '../../src/cli/program.ts'
import { cliWorld } from './support.ts'

function commands(parent: CcgateCommand): readonly CcgateCommand[] {
  return parent.commands.flatMap((command) =>
    command instanceof CcgateCommand
      ? command.commands.length > 0
        ? commands(command)
        : [command]
      : [],
  )
}

const program = buildProgram(async () => {}, { out: () => {}, err: () => {} })

test('every command explains itself, with an example that is one of its own', async (t) => {
  const world = cliWorld(t)
  for (const command of commands(program)) {
    const path = command.path()
    const ran = await world.run(`${path} --help`)
    assert.equal(ran.code, 0, path)
    assert.equal(ran.err, '', path)
    assert.match(ran.out, /\nExamples\n {2}ccgate /, path)
    const [first] = command.facts.help.examples
    // `accounts cooldown` is short for `accounts cooldown list`; a pipe may stand before.
    assert.ok(first.includes(`ccgate ${path.replace(/ list$/, '')}`), first)
    assert.equal((await world.run(`help ${path}`)).out, ran.out)
    assert.equal((await world.run(`${path} -h`)).out, ran.out)
    for (const line of ran.out.split('\n')) assert.ok(line.length <= 110, `${path}: ${line}`)
  }
})

test('the overview names every command at the top, and nothing else', async (t) => {
  const overview = (await cliWorld(t).run('help')).out
  const named = [
    ...overview
      .split('Options for every command')[0]
      .matchAll(/^ {2}(\w+)(?:.*? {8,}(\w+)(?: {2}|$))?/gm),
  ].flatMap((match) => match.slice(1).filter(Boolean))
  const top = program.commands.map((command) => command.name()).filter((name) => name !== 'help')
  for (const name of top) assert.match(overview, new RegExp(`(^| {2,})${name}( {2,}|$)`, 'm'), name)
  for (const name of named) assert.ok(top.includes(name), name)
})

test('see-also lines lead to commands that exist', () => {
  const paths = new Set(commands(program).map((command) => command.path()))
  for (const command of commands(program)) {
    for (const other of command.facts.help.see) {
      assert.ok(
        paths.has(other) || [...paths].some((path) => path.startsWith(`${other} `)),
        `${command.path()}: ${other}`,
      )
    }
  }
})

test('a noun alone shows its help and ends with 2; nothing at all shows the overview', async (t) => {
  const world = cliWorld(t)
  const keys = await world.run('keys')
  assert.equal(keys.code, 2)
  assert.equal(keys.out, '')
  assert.match(keys.err, /create <user\/name>/)
  const nothing = await world.run([])
  assert.equal(nothing.code, 0)
  assert.match(nothing.out, /First time\? Run: {2}ccgate demo/)
  assert.equal((await world.run('help no such')).code, 2)
})

test('the version is that of the package', async (t) => {
  const { version } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { version: string }
  const world = cliWorld(t)
  assert.equal((await world.run('--version')).out, `ccgate ${version}\n`)
  assert.equal(await world.ok('version'), `ccgate ${version}\n`)
  assert.equal((await world.json('version')).ccgate, version)
})
