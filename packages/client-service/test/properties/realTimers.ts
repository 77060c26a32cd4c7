/**
 * Runs something that must set no timer of Node's own, since all time is to come from Effect's `Clock`.
 *
 * `Effect.never` keeps Node alive by an interval that never fires. Those are counted, and never set: what is left of
 * them at the end is a leaked wait.
 *
 * Errors are made without a stack: nobody reads those of the thousands that the services of a test fail with, and to take
 * them costs more than any other step.
 */
export const withoutRealTimers = <A>(run: (keepAlives: () => number) => A): A => {
  const { clearInterval, setImmediate, setInterval, setTimeout } = globalThis
  const { stackTraceLimit } = Error
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
  Error.stackTraceLimit = 0
  try {
    return run(() => keepAlives.size)
  } finally {
    Error.stackTraceLimit = stackTraceLimit
    Object.assign(globalThis, { clearInterval, setImmediate, setInterval, setTimeout })
  }
}
