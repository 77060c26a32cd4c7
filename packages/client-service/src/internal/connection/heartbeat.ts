import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { HeartbeatTimeout } from "../../ConnectionError.js"
import { makeFork } from "../fork.js"
import { sleep } from "../time/sleep.js"
import { endWithin } from "../time/within.js"

export interface Heartbeat<P, E, R> {
  readonly probe: (protocol: P) => Effect.Effect<unknown, E, R>
  readonly interval: Duration.Duration
  readonly timeout: Duration.Duration
}

/**
 * Probes a connection until a probe fails, and gives the cause. A probe is due an interval after the last has answered,
 * so there is one at most, and a clock that jumps by hours brings no more than one. Each has a Scope of its own.
 */
export const untilHeartbeatFails =
  <P, E, R>(service: string, { interval, probe, timeout }: Heartbeat<P, E, R>) =>
  (protocol: P): Effect.Effect<Cause.Cause<E | HeartbeatTimeout>, never, Exclude<R, Scope.Scope>> => {
    const probeOnce = Effect.gen(function* () {
      const fork = yield* makeFork<never>()
      const probing = yield* Effect.fork(Effect.exit(Effect.scoped(Effect.suspend(() => probe(protocol)))))
      const exit = yield* endWithin(fork, Duration.toMillis(timeout), probing)
      return exit === null ? undefined : Exit.flatten(exit)
    })
    const silence = Cause.fail(new HeartbeatTimeout({ service, duration: timeout }))
    const beat: Effect.Effect<Cause.Cause<E | HeartbeatTimeout>, never, Exclude<R, Scope.Scope>> = sleep(
      Duration.toMillis(interval)
    ).pipe(
      Effect.zipRight(probeOnce),
      Effect.flatMap((answer) => {
        if (answer === undefined) return Effect.succeed(silence)
        return Exit.isSuccess(answer) ? beat : Effect.succeed(answer.cause)
      })
    )
    return beat
  }
