import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as Take from "effect/Take"
import type { ClientService } from "../ClientService.js"
import type { RetriesExhausted, ServiceStopped } from "../ConnectionError.js"

/**
 * Runs a stream on each connection in turn.
 */
export const subscribe = <P, E, A, E2, R, Gap>(
  service: ClientService<P, E>,
  f: (protocol: P) => Stream.Stream<A, E2, R>,
  gap: ((protocol: P) => Gap) | undefined
): Stream.Stream<A | Gap, E2 | ServiceStopped | RetriesExhausted<E>, R> =>
  Stream.unwrapScoped(
    Effect.gen(function* () {
      type Element = Take.Take<A | Gap, E2 | ServiceStopped | RetriesExhausted<E>>
      const elements = yield* Effect.acquireRelease(Queue.bounded<Element>(16), Queue.shutdown)
      let isFirst = true

      const onConnection = Effect.fnUntraced(function* (protocol: P) {
        const generation = yield* generationOf(service)
        if (!isFirst && gap !== undefined) yield* Queue.offer(elements, Take.of(gap(protocol)))
        isFirst = false
        const run = Stream.runForEachChunk(f(protocol), (chunk) => Queue.offer(elements, Take.chunk(chunk))).pipe(
          Effect.either,
          // What fails because the connection is lost may do so just before the loss is known.
          Effect.zipLeft(Effect.yieldNow()),
          Effect.flatMap((result) => (Either.isLeft(result) ? Effect.succeed(result) : Effect.never))
        )
        return yield* Effect.raceFirst(run, Effect.as(laterThan(service, generation), Either.void))
      })

      const next = service.use(onConnection).pipe(
        Effect.catchTag("ConnectionLost", () => Effect.succeed(Either.void)),
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

const generationOf = <P, E>(service: ClientService<P, E>): Effect.Effect<number> =>
  Effect.map(service.state.get, (state) => (state._tag === "Connected" ? state.generation : 0))

const laterThan = <P, E>(service: ClientService<P, E>, generation: number): Effect.Effect<unknown> =>
  service.state.changes.pipe(
    Stream.filter((state) => state._tag === "Connected" && state.generation > generation),
    Stream.runHead,
    Effect.flatMap(Option.match({ onNone: () => Effect.never, onSome: Effect.succeed }))
  )
