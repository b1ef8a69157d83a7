import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bar, sparkline } from '../../src/core/spark.ts'
import { cutText, fitText, keepWhole, safeText, textWidth, wrapText } from '../../src/core/text.ts'

const STEERING = /[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/

test('nothing that steers a terminal survives', () => {
  assert.equal(safeText('a\x1b[31mred\x1b[0m'), 'a�[31mred�[0m')
  assert.equal(safeText('\x9b31m\x07\x7f'), '�31m��')
  assert.equal(safeText('evil\u202egnp.exe'), 'evil�gnp.exe')
  assert.equal(safeText('ad\u200bmin\ufeff'), 'ad�min�')
  assert.equal(safeText('one\ntwo\tthree\r'), 'one two three ')
  assert.equal(safeText('\ud800x'), '�x')
  assert.equal(safeText('Zoë 北京 🚀 …'), 'Zoë 北京 🚀 …')
  for (let code = 0; code < 0x2100; code++) {
    assert.doesNotMatch(safeText(String.fromCharCode(code)), STEERING)
  }
})

test('text is measured in columns', () => {
  assert.equal(textWidth('abc'), 3)
  assert.equal(textWidth('北京'), 4)
  assert.equal(textWidth('e\u0301'), 1)
  assert.equal(textWidth('🚀'), 2)
  assert.equal(textWidth('●◐○✕…'), 5)
})

test('cut text fits, keeps its ends and says that something is missing', () => {
  assert.equal(cutText('abcdef', 6), 'abcdef')
  assert.equal(cutText('abcdef', 4), 'abc…')
  assert.equal(cutText('abcdefgh', 5, 'middle'), 'ab…gh')
  assert.equal(cutText('北京北京', 4), '北…')
  assert.equal(cutText('abc', 0), '')
  assert.equal(fitText('ab', 4), 'ab  ')
  assert.equal(fitText('ab', 4, 'right'), '  ab')
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme' }),
      fc.nat(30),
      fc.constantFrom('end', 'middle'),
      (text, width, place) => {
        const safe = safeText(text)
        assert.ok(textWidth(cutText(safe, width, place)) <= width)
        assert.equal(textWidth(fitText(safe, width)), width)
      },
    ),
    { numRuns: 2_000 },
  )
})

test('a sparkline scales from zero, and a gap is not a zero', () => {
  assert.equal(sparkline([0, 1, 2, 3, 4, 5, 6, 7]), '▁▂▃▄▅▆▇█')
  assert.equal(sparkline([0, null, 0]), '▁ ▁')
  assert.equal(sparkline([1, 1000]), '▂█')
  assert.equal(sparkline([5], 10), '▅')
  assert.equal(sparkline([20], 10), '█')
  assert.equal(sparkline([]), '')
})

test('a bar grows in eighths, never past its width, and shows a sliver of the smallest value', () => {
  assert.equal(bar(1, 1, 3), '███')
  assert.equal(bar(1, 2, 3), '█▌')
  assert.equal(bar(1, 1_000_000, 3), '▏')
  assert.equal(bar(9, 3, 3), '███')
  assert.equal(bar(0, 3, 3), '')
  assert.equal(bar(1, 0, 3), '')
  fc.assert(
    fc.property(
      fc.double({ noNaN: true }),
      fc.double({ noNaN: true }),
      fc.nat(50),
      (value, max, width) => {
        assert.ok(textWidth(bar(value, max, width)) <= width)
      },
    ),
  )
})

test('a wrapped text has all its words, in lines that fit or are one word', () => {
  const word = fc.stringMatching(/^[a-z世é]{1,9}$/)
  fc.assert(
    fc.property(
      fc.array(word, { minLength: 1 }),
      fc.integer({ min: 4, max: 40 }),
      (words, width) => {
        const lines = wrapText(words.join(' '), width, 3)
        assert.deepEqual(
          lines
            .join(' ')
            .split(/ +/)
            .filter((one) => one !== ''),
          words,
        )
        for (const line of lines) {
          assert.ok(textWidth(line) <= width || !line.trim().includes(' '), line)
        }
      },
    ),
  )
  assert.deepEqual(wrapText('Hold       opened with $1', 20, 11), [
    'Hold       opened',
    '           with $1',
  ])
  assert.deepEqual(wrapText('\x1b[1mab\x1b[22m cd', 5), ['\x1b[1mab\x1b[22m cd'])
})

test('a command that a line offers stays whole, so that it can be pasted', () => {
  const curl = `  curl http://127.0.0.1:1/v1/messages -H "x-api-key: sk-ant-x" -d '{"a": "b c"}'`
  assert.deepEqual(wrapText(keepWhole(curl), 40), [curl])
  assert.deepEqual(wrapText(keepWhole('There is none. List them with: ccgate keys list'), 40), [
    'There is none. List them with:',
    'ccgate keys list',
  ])
  assert.deepEqual(
    wrapText(keepWhole('See it: ccgate keys show a/b   (scripts: --if-not-exists)'), 30),
    ['See it: ccgate keys show a/b', '(scripts: --if-not-exists)'],
  )
})

test('a figure stays with its unit, and a dot between facts with the fact before it', () => {
  assert.deepEqual(wrapText(keepWhole('in line 2.00 s · gateway 3.2 ms · 42 % left'), 14, 2), [
    'in line',
    '  2.00 s ·',
    '  gateway',
    '  3.2 ms ·',
    '  42 % left',
  ])
})
