import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ClientService from "effect-client-service/ClientService"
import * as Race from "effect-client-service/Race"
import * as Delays from "effect-client-service-driver/Delays"
import type * as Gaps from "effect-client-service-driver/Gaps"
import type { RedisConnection } from "../RedisConnection.js"
import type { ConnectFailure, RedisError } from "../RedisError.js"
import { isLasting } from "./lasting.js"
import { MessageBuffer } from "./messageBuffer.js"
import type { Kind, Line } from "./subscriptions.js"

export interface Settings<A, Subscribed, Gap> {
  readonly kind: Kind
  readonly names: ReadonlyArray<string>
  readonly element: (name: string, channel: Buffer, message: Buffer) => A
  readonly capacity: number
  readonly subscribed: (() => Subscribed) | undefined
  readonly gap: ((reason: Gaps.Reason) => Gap) | undefined
}

/** What is published to some channels or patterns, across connections. */
export const messages = <A, Subscribed, Gap>(
  service: ClientService.ClientService<RedisConnection, ConnectFailure>,
  settings: Settings<A, Subscribed, Gap>
) =>
  Stream.unwrapScoped(
    Effect.gen(function* () {
      type Failure = RedisError | ClientService.ServiceStopped | ClientService.RetriesExhausted<ConnectFailure>
      const buffer = new MessageBuffer<A | Subscribed | Gap, Failure>(settings.capacity, gapBy(settings, "Overflow"))
      let isFirst = true
      const deliver = (elements: ReadonlyArray<A | Subscribed | Gap>): void => {
        isFirst = false
        for (const element of elements) buffer.offer(element)
      }
      const subscribed = (connection: RedisConnection, line: Line, delays: Delays.Delays) =>
        Effect.gen(function* () {
          const mark = isFirst ? settings.subscribed : gapBy(settings, "Reconnected")
          yield* subscribe<A, Subscribed | Gap>(connection, line, settings, mark, deliver)
          yield* Effect.zipRight(delays.began, connection.subscriptions.began)
          return yield* lost(line, connection.errorOf)
        })
      // A connection for subscriptions may be lost while the other one is up, or there may be none for now.
      const once = (connection: RedisConnection, delays: Delays.Delays): Effect.Effect<void, RedisError> =>
        Effect.gen(function* () {
          const { errorOf, refusalOf, subscriptions } = connection
          const refused = refusalOf(settings.names)
          if (refused !== undefined) return yield* refused
          let line: Line | undefined
          const attempt = Effect.gen(function* () {
            line = yield* Effect.try({ try: () => subscriptions.line, catch: errorOf })
            return yield* subscribed(connection, line, delays)
          })
          const error = yield* Effect.flip(Effect.scoped(attempt))
          if (isLasting(error)) return yield* error
          if (line?.isLost === true) return yield* subscriptions.pause(line, error)
          yield* Effect.sleep(yield* delays.next(`subscription to ${settings.names}`, error))
        })
      const onConnection = (connection: RedisConnection) =>
        Stream.execute(Effect.suspend(() => Effect.forever(once(connection, Delays.make()))))
      yield* Stream.runDrain(ClientService.stream(service, onConnection)).pipe(
        Effect.catchAllCause((cause) => Effect.sync(() => buffer.end(cause))),
        Effect.interruptible,
        Effect.forkScoped
      )
      return Stream.repeatEffectChunkOption(Effect.mapError(buffer.take, Option.some))
    })
  )

const gapBy = <Gap>({ gap }: { readonly gap: ((reason: Gaps.Reason) => Gap) | undefined }, reason: Gaps.Reason) =>
  gap === undefined ? undefined : () => gap(reason)

/** Fails when a line is lost, or if it is already. */
const lost = (line: Line, errorOf: (error: unknown) => RedisError): Effect.Effect<never, RedisError> =>
  Effect.async((resume) => {
    const forget = line.onLost((error) => resume(errorOf(error)))
    return Effect.sync(forget)
  })

// What comes before all of the names are confirmed waits for the mark of that, which is to come first.
const subscribe = <A, Mark>(
  { errorOf }: RedisConnection,
  line: Line,
  { capacity, element, kind, names }: Pick<Settings<A, Mark, Mark>, "capacity" | "element" | "kind" | "names">,
  mark: (() => Mark) | undefined,
  deliver: (elements: ReadonlyArray<A | Mark>) => void
): Effect.Effect<void, RedisError, Scope.Scope> =>
  Effect.gen(function* () {
    let early: Array<A> | undefined = []
    const receive = (message: A): void => {
      if (early === undefined) deliver([message])
      // One more than there is room for, for the buffer to notice.
      else if (early.length <= capacity) early.push(message)
    }
    let isOver = false
    const all = yield* Effect.acquireRelease(
      Effect.sync(() =>
        names.map((name) => line.add(kind, name, (message, channel) => receive(element(name, channel, message))))
      ),
      (all) =>
        Effect.promise(() => {
          isOver = true
          return Promise.all(all.map(({ remove }) => remove()))
        })
    )
    // At once when the server has confirmed, not when a fiber gets to it: what gives the mark may do what is to be seen.
    const begin = Effect.sync(() => {
      deliver([...(mark === undefined ? [] : [mark()]), ...(early ?? [])])
      early = undefined
    })
    const confirmed = () =>
      Promise.all(all.map(({ confirmed }) => confirmed)).then(() => (isOver ? Exit.void : Effect.runSyncExit(begin)))
    // The client says nothing of what it is asked once it is lost. Where the caller can't be interrupted, both can.
    yield* Race.firstOf(
      Effect.interruptible(Effect.flatten(Effect.tryPromise({ try: confirmed, catch: errorOf }))),
      Effect.interruptible(lost(line, errorOf))
    )
  })
