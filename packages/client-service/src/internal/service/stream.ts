import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import type { ConnectionLost } from "../../ConnectionError.js"
import { firstOf } from "../time/firstOf.js"
import { deadline } from "../time/turn.js"
import type { EndError } from "./current.js"
import { HandOver } from "./handOver.js"
import type { Service } from "./service.js"

/** What a stream needs of a service. */
export interface Source<P, E> {
  /**
   * Runs an Effect with the protocol of a connection, and gives it what waits for the next one: until that is there, or those
   * who wait have been turned away, be it before the Effect has come to wait.
   */
  readonly useUntilNext: <A, E2, R>(
    f: (protocol: P, next: Effect.Effect<unknown, EndError<E>>) => Effect.Effect<A, E2, R>
  ) => Effect.Effect<A, E2 | EndError<E> | ConnectionLost, R>
  /** Takes note that the stream has begun anew, and may have missed something. */
  readonly gap: () => void
}

export const sourceOf = <P, E>([current, metrics]: Service<P, E, never>["internals"]): Source<P, E> => ({
  useUntilNext: <A, E2, R>(f: (protocol: P, next: Effect.Effect<unknown, EndError<E>>) => Effect.Effect<A, E2, R>) =>
    Effect.flatMap(Effect.runtime<R>(), (runtime) =>
      current.user<A, E2, R>(({ generation, protocol, users }, restore) => {
        // It waits from this step on, since a stop and a start may come before it does.
        const next = current.after(generation, true)
        return users.run(runtime, () => f(protocol, next), restore)
      })
    ),
  gap: () => metrics?.gap()
})

/** The same of a service that is none of this package, such as one of a test. */
export const sourceOfStub = <P, E>(service: {
  readonly connections: Stream.Stream<P, EndError<E>>
  readonly use: <A, E2, R>(
    f: (protocol: P) => Effect.Effect<A, E2, R>
  ) => Effect.Effect<A, E2 | EndError<E> | ConnectionLost, R>
}): Source<P, E> => ({
  useUntilNext: (f) =>
    service.use((protocol) =>
      f(protocol, Stream.runHead(Stream.filter(service.connections, (other) => other !== protocol)))
    ),
  gap: () => {}
})

/**
 * Runs a stream on each connection in turn.
 */
export const subscribe = <P, E, A, E2, R, Gap>(
  source: Source<P, E>,
  f: (protocol: P) => Stream.Stream<A, E2, R>,
  gap: ((protocol: P) => Gap) | undefined
): Stream.Stream<A | Gap, E2 | EndError<E>, R> =>
  Stream.unwrapScoped(
    Effect.gen(function* () {
      const handOver = new HandOver<A | Gap, E2 | EndError<E>>()
      yield* Effect.addFinalizer(() => handOver.end)
      let isFirst = true

      // Gives how the stream has failed.
      const onConnection = Effect.fnUntraced(function* (protocol: P) {
        if (!isFirst) {
          yield* handOver.room
          source.gap()
          if (gap !== undefined) handOver.add(Exit.succeed(Chunk.of(gap(protocol))))
        }
        isFirst = false
        const run = Effect.suspend(() => Stream.runForEachChunk(f(protocol), (chunk) => handOver.give(chunk)))
        const exit = yield* Effect.exit(run)
        return yield* Exit.isFailure(exit) ? Effect.as(deadline(patience), exit) : Effect.never
      })

      // All of it ends with the next connection, since a connection that was replaced lives on for those who use it.
      const next = source
        .useUntilNext((protocol, next) => firstOf(onConnection(protocol), Effect.as(next, Exit.void)))
        .pipe(
          Effect.catchTag("ConnectionLost", () => Effect.succeed(Exit.void)),
          Effect.flatten
        )
      yield* Effect.forever(next).pipe(
        Effect.catchAllCause((cause) => Effect.sync(() => handOver.add(Exit.failCause(cause)))),
        Effect.interruptible,
        Effect.forkScoped
      )
      return handOver.stream
    })
  )

// What fails because the connection is lost may do so before the loss is known: a reader is told of the end first, so that it
// can act on the last bytes, and has so many milliseconds to come to it.
const patience = 1000
