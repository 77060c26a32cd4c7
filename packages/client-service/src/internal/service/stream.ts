import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as Take from "effect/Take"
import type { ConnectionLost } from "../../ConnectionError.js"
import { firstOf } from "../time/firstOf.js"
import { deadline } from "../time/turn.js"
import type { EndError } from "./current.js"

/** What a stream needs of a service. */
export interface Source<P, E> {
  readonly connections: Stream.Stream<P, EndError<E>>
  readonly use: <A, E2, R>(
    f: (protocol: P) => Effect.Effect<A, E2, R>
  ) => Effect.Effect<A, E2 | EndError<E> | ConnectionLost, R>
}

/**
 * Runs a stream on each connection in turn.
 */
export const subscribe = <P, E, A, E2, R, Gap>(
  service: Source<P, E>,
  f: (protocol: P) => Stream.Stream<A, E2, R>,
  gap: ((protocol: P) => Gap) | undefined,
  onGap: () => void
): Stream.Stream<A | Gap, E2 | EndError<E>, R> =>
  Stream.unwrapScoped(
    Effect.gen(function* () {
      type Element = Take.Take<A | Gap, E2 | EndError<E>>
      const elements = yield* Effect.acquireRelease(Queue.bounded<Element>(16), Queue.shutdown)
      let isFirst = true

      // Gives how the stream has failed, or nothing if there is a later connection.
      const onConnection = Effect.fnUntraced(function* (protocol: P) {
        if (!isFirst) {
          onGap()
          if (gap !== undefined) yield* Queue.offer(elements, Take.of(gap(protocol)))
        }
        isFirst = false
        const run = Effect.suspend(() =>
          Stream.runForEachChunk(f(protocol), (chunk) => Queue.offer(elements, Take.chunk(chunk)))
        ).pipe(
          Effect.exit,
          Effect.flatMap((exit) => (Exit.isFailure(exit) ? Effect.as(deadline(patience), exit) : Effect.never))
        )
        return yield* firstOf(run, Effect.as(otherThan(service, protocol), Exit.void))
      })

      const next = service.use(onConnection).pipe(
        Effect.catchTag("ConnectionLost", () => Effect.succeed(Exit.void)),
        Effect.flatten
      )
      yield* Effect.forever(next).pipe(
        Effect.catchAllCause((cause) => Queue.offer(elements, Take.failCause(cause))),
        Effect.interruptible,
        Effect.forkScoped
      )
      return Stream.flattenTake(Stream.fromQueue(elements))
    })
  )

// What fails because the connection is lost may do so before the loss is known: a reader is told of the end first, so that it
// can act on the last bytes, and has so many milliseconds to come to it.
const patience = 1000

// A connection that was replaced lives on for those who use it, so its end comes later than its successor.
const otherThan = <P, E>(service: Source<P, E>, protocol: P): Effect.Effect<unknown, EndError<E>> =>
  service.connections.pipe(
    Stream.filter((other) => other !== protocol),
    Stream.runHead
  )
