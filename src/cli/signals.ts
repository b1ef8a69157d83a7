/** Resolves with the first SIGINT or SIGTERM, or when `orAfterMs` has passed; a second signal then ends the process. */
export function untilSignal(orAfterMs: number | null = null): Promise<NodeJS.Signals | 'time'> {
  return new Promise((resolve) => {
    const finish = (cause: NodeJS.Signals | 'time') => {
      clearTimeout(timer)
      process.off('SIGINT', finish)
      process.off('SIGTERM', finish)
      resolve(cause)
    }
    const timer = setTimeout(() => finish('time'), orAfterMs ?? 2 ** 31 - 1)
    process.on('SIGINT', finish)
    process.on('SIGTERM', finish)
  })
}
