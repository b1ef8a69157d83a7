import type { AnswerBlock } from '../openai/assemble.ts'

/** OpenAI's `url_citation`: where in the answer's text which page is quoted. */
export interface UrlCitation {
  readonly type: 'url_citation'
  readonly url_citation: {
    /** UTF-16 code units of the joined text. */
    readonly start_index: number
    readonly end_index: number
    readonly title: string
    readonly url: string
  }
}

/** The web citations of a text block that begins at `start` of the joined text; other kinds have no shape. */
export function annotationsOf(block: AnswerBlock, start: number): UrlCitation[] {
  if (block.kind !== 'text') return []
  const found: UrlCitation[] = []
  for (const citation of block.citations) {
    if (citation.type !== 'web_search_result_location') continue
    found.push({
      type: 'url_citation',
      url_citation: {
        start_index: start,
        end_index: start + block.text.length,
        title: typeof citation.title === 'string' ? citation.title : '',
        url: typeof citation.url === 'string' ? citation.url : '',
      },
    })
  }
  return found
}
