import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { attemptsOn } from "./attempts.js"
import type { Call, Server, Subject } from "./Client.js"

/** What is done to the server, and what can be told of the client. */
export type Scenario = (server: Server, subject: Subject) => Effect.Effect<ReadonlyArray<string>, never, Scope.Scope>

const limits = { down: 3_000, paused: 6_000, refused: 6_000, answered: 8_000, back: 40_000 }

/** Killed, and started again after a moment. The call is made halfway. */
export const killed: Scenario = (server, { call }) =>
  Effect.gen(function* () {
    const since = performance.now()
    yield* server.kill
    yield* Effect.sleep(limits.down / 2)
    const triedBefore = attemptsOn(server.port, since)
    const calling = watch(call)
    yield* Effect.sleep(limits.down / 2)
    const tried = attemptsOn(server.port, since)
    yield* server.start
    const back = yield* untilBack(call)
    return [
      tried.length === 0
        ? "does not try to connect"
        : triedBefore.length === 0 && calling.isNear(tried[0]?.at)
          ? "connects when it is called"
          : `tries first after ${millis((tried[0]?.at ?? 0) - since)}, ${times(tried.length)}`,
      back,
      `a call meanwhile ${yield* fate(calling)}`
    ]
  })

/** Halted, while the system goes on accepting what is sent to it. The call is made at once. */
export const paused: Scenario = (server, { call }) =>
  Effect.gen(function* () {
    const since = performance.now()
    const open = attemptsOn(server.port).filter(({ socket }) => !socket.destroyed)
    const isNoticed = () => attemptsOn(server.port, since).length > 0 || open.every(({ socket }) => socket.destroyed)
    yield* server.pause
    const calling = watch(call)
    const noticed = yield* until(isNoticed, limits.paused)
    yield* until(() => calling.settled !== undefined, limits.paused - (performance.now() - since))
    const isPending = calling.settled === undefined
    yield* server.resume
    const back = yield* untilBack(call)
    return [
      noticed ? `notices after ${millis(noticed - since)}` : "does not notice",
      back,
      isPending ? "a call meanwhile hangs" : `a call meanwhile ${yield* fate(calling)}`
    ]
  })

/** Killed, and started again with another password; and after a while once more with the one that the client has. */
export const refuses: Scenario = (server, { call, impatientCall }) =>
  Effect.gen(function* () {
    yield* server.setPassword("another")
    yield* server.kill
    yield* server.start
    const since = performance.now()
    const calling = watch(impatientCall)
    yield* Effect.sleep(limits.refused)
    const tried = attemptsOn(server.port, since).length
    const answer = yield* fate(calling, 0)
    yield* server.setPassword(server.password)
    yield* server.kill
    yield* server.start
    const back = yield* untilBack(call)
    return [`tries ${times(tried)}`, back, `a call meanwhile ${answer}`]
  })

interface Calling {
  readonly settled: { readonly at: number; readonly error?: unknown; readonly isDone: boolean } | undefined
  readonly since: number
  readonly isNear: (at: number | undefined) => boolean
}

const watch = (call: Call): Calling => {
  const since = performance.now()
  const calling: { -readonly [K in keyof Calling]: Calling[K] } = {
    settled: undefined,
    since,
    isNear: (at) => at !== undefined && Math.abs(at - since) < 20
  }
  // It may throw, too.
  Promise.resolve()
    .then(call)
    .then(
      () => {
        calling.settled = { at: performance.now(), isDone: true }
      },
      (error: unknown) => {
        calling.settled = { at: performance.now(), isDone: false, error }
      }
    )
  return calling
}

/** How a call has ended, or that it does not. */
const fate = (calling: Calling, limit = limits.answered): Effect.Effect<string> =>
  Effect.gen(function* () {
    yield* until(() => calling.settled !== undefined, limit)
    const { settled, since } = calling
    if (settled === undefined) return "hangs"
    const after = millis(settled.at - since)
    return settled.isDone ? "waits, and is answered" : `fails after ${after}: ${reasonOf(settled.error)}`
  })

/** Calls until a call is answered. */
const untilBack = (call: Call): Effect.Effect<string> =>
  Effect.gen(function* () {
    const since = performance.now()
    const calls: Array<Calling> = []
    const isAnswered = () => calls.some(({ settled }) => settled?.isDone)
    while (!isAnswered() && performance.now() - since < limits.back) {
      calls.push(watch(call))
      yield* until(isAnswered, 200)
    }
    return isAnswered()
      ? `is back ${millis(performance.now() - since)} after the server`
      : `is not back in ${millis(limits.back)}`
  })

/** Waits until something is so: the time when it was, or nothing if that took too long. */
const until = (isSo: () => boolean, limit: number): Effect.Effect<number | undefined> =>
  Effect.gen(function* () {
    const end = performance.now() + limit
    while (!isSo()) {
      if (performance.now() >= end) return undefined
      yield* Effect.sleep(10)
    }
    return performance.now()
  })

const millis = (duration: number): string =>
  duration < 950 ? `${Math.max(10, Math.round(duration / 10) * 10)} ms` : `${Number((duration / 1000).toFixed(1))} s`

const times = (count: number): string => (count === 1 ? "once" : `${count} times`)

/** The shortest name that an error has. */
export const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  if ("_tag" in error) return error._tag === "Failed" ? reasonOf(error.cause) : String(error._tag)
  if ("code" in error && /^[A-Z_]+$/.test(String(error.code))) return String(error.code)
  // Redis begins with a code of its own.
  return /^[A-Z]{4,}(?= )/.exec(error.message)?.[0] ?? error.message
}
