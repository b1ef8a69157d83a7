/** `2,918`. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',')
}

/** `412`, `8.1k`, `31k`, `18.2M`: tokens for people. */
export function formatTokens(count: number): string {
  if (count < 1000) return String(count)
  if (count < 9_950) return `${(count / 1000).toFixed(1)}k`
  if (count < 999_500) return `${Math.round(count / 1000)}k`
  return `${(count / 1e6).toFixed(1)}M`
}

/** `3.1 ms`, `612 ms`, `2.9 s`, `75 s`: a duration of `ms` milliseconds. */
export function formatMs(ms: number): string {
  if (ms < 9.95) return `${ms.toFixed(1)} ms`
  if (ms < 999.5) return `${Math.round(ms)} ms`
  return ms < 9_950 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`
}

/** `0.7%`; `–` when there is nothing to take a share of. */
export function formatShare(share: number | null): string {
  return share === null ? '–' : `${(share * 100).toFixed(1)}%`
}

/** `40s`, `12m`, `3h 5m`, `3d 4h`: how long something has been up. */
export function formatUptime(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  if (seconds < 60) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}m`
  const hours = Math.floor(minutes / 60)
  return hours < 24 ? `${hours}h ${minutes % 60}m` : `${Math.floor(hours / 24)}d ${hours % 24}h`
}

/** `now`, `41 s`, `4 min`, `3 h`, `12 d`: how long ago. */
export function formatAgo(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  if (seconds < 1) return 'now'
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

const FORMATS = new Map<string, Intl.DateTimeFormat>()

/** `12:04:31` in that IANA zone. */
export function formatTime(atMs: number, zone: string): string {
  if (zone === 'UTC') return new Date(atMs).toISOString().slice(11, 19)
  let format = FORMATS.get(zone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-GB', { timeZone: zone, timeStyle: 'medium' })
    FORMATS.set(zone, format)
  }
  return format.format(atMs)
}

/** `UTC`, `CET`, `GMT+2`: the short name of that IANA zone now. */
export function zoneName(atMs: number, zone: string): string {
  if (zone === 'UTC') return zone
  const key = `name of ${zone}`
  let format = FORMATS.get(key)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-GB', { timeZone: zone, timeZoneName: 'short' })
    FORMATS.set(key, format)
  }
  return format.formatToParts(atMs).find((part) => part.type === 'timeZoneName')?.value ?? zone
}

/** `acct_01jd8…`: an id short enough for a table. */
export function shortId(id: string): string {
  return `${id.slice(0, id.indexOf('_') + 6)}…`
}
