/** What the demo's first request gets, and whoever asks for a haiku. */
export const HAIKU = 'Quiet gateway hums / tokens counted one by one / morning finds the sum'

const WORDS = (
  'the a one small quiet bright early north water stone letter river window garden lamp paper ' +
  'train harbor market signal kettle orchard ledger number morning evening winter engine bridge ' +
  'valley copper linen walks turns holds counts opens carries follows finds keeps mends waits ' +
  'under over past along toward before after and then while because softly slowly twice again'
).split(' ')

/** Plain sentences of exactly `bytes` bytes of ASCII. */
export function fillerText(bytes: number, random: () => number): string {
  const pieces: string[] = []
  let length = 0
  let left = 0
  while (length < bytes) {
    let word = WORDS[Math.floor(random() * WORDS.length)]
    if (left === 0) {
      left = 6 + Math.floor(random() * 9)
      word = word[0].toUpperCase() + word.slice(1)
    }
    left--
    const piece = left === 0 ? `${word}. ` : `${word} `
    pieces.push(piece)
    length += piece.length
  }
  const text = pieces.join('').slice(0, bytes)
  return text.endsWith(' ') ? `${text.slice(0, -1)}.` : text
}
