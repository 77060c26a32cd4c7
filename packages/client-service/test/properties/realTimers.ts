/**
 * Runs something that must set no timer of Node's own, since all time is to come from Effect's `Clock`.
 *
 * `Effect.never` keeps Node alive by an interval that never fires. Those are counted, and never set: what is left of
 * them at the end is a leaked wait.
 */
export const withoutRealTimers = <A>(run: (keepAlives: () => number) => A): A => {
  const { clearInterval, setImmediate, setInterval, setTimeout } = globalThis
  const keepAlives = new Set<unknown>()
  const refuse = () => {
    throw new Error("a real timer was set")
  }
  Object.assign(globalThis, {
    setInterval: (_: () => void, millis: number) => {
      if (millis < 2 ** 31 - 1) refuse()
      const keepAlive = {}
      keepAlives.add(keepAlive)
      return keepAlive
    },
    clearInterval: (keepAlive: unknown) => keepAlives.delete(keepAlive),
    setTimeout: refuse,
    setImmediate: refuse
  })
  try {
    return run(() => keepAlives.size)
  } finally {
    Object.assign(globalThis, { clearInterval, setImmediate, setInterval, setTimeout })
  }
}
