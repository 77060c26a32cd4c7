import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as ConnectionState from "effect-client-service/ConnectionState"
import * as Delays from "effect-client-service-driver/Delays"
import type { AmqpError } from "../AmqpError.js"
import { isRefusalOfMessage } from "./publisher.js"

/** What is kept on a channel of its own. */
export interface Kept {
  readonly name: string
  /** Begins to open it, if that is not begun yet. */
  readonly start: () => void
  /** What it is doing, as a state of a service. */
  readonly state: () => ConnectionState.ConnectionState<unknown, AmqpError>
}

/**
 * Keeps something on a channel of its own: opens it again whenever it is lost, for as long as the Scope is open. It is no
 * connection, so it is no service with metrics of its own.
 */
export const keep = (
  name: string,
  open: (lost: (error: AmqpError) => void) => Effect.Effect<unknown, AmqpError, Scope.Scope>
): Effect.Effect<Kept & { readonly opened: Effect.Effect<void, AmqpError> }, never, Scope.Scope> =>
  Effect.gen(function* () {
    const delays = Delays.make()
    const started = yield* Deferred.make<void>()
    const first = yield* Deferred.make<void, AmqpError>()
    let state: ConnectionState.ConnectionState<unknown, AmqpError> = ConnectionState.Init()

    const opened = Effect.gen(function* () {
      const lost = yield* Deferred.make<never, AmqpError>()
      yield* open((error) => {
        state = ConnectionState.Connecting({ attempt: 1, failures: delays.failures, cause: failed(error) })
        Deferred.unsafeDone(lost, Exit.fail(error))
      })
      yield* delays.began
      const connectedAt = yield* Clock.currentTimeMillis
      state = ConnectionState.Connected({ protocol: undefined, generation: 1, connectedAt })
      yield* Deferred.succeed(first, undefined)
      yield* Deferred.await(lost)
    })
    const once = Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.scoped(opened))
      yield* Deferred.fail(first, error)
      // Whoever sent that is told, and the others need not wait for it.
      if (isRefusalOfMessage(error)) return
      const delay = yield* delays.next(name, error)
      const retryAt = (yield* Clock.currentTimeMillis) + Duration.toMillis(delay)
      state = ConnectionState.Waiting({ failures: delays.failures, delay, retryAt, cause: Cause.fail(error) })
      yield* Effect.sleep(delay)
    })
    yield* Deferred.await(started).pipe(Effect.zipRight(Effect.forever(once)), Effect.interruptible, Effect.forkScoped)
    return {
      name,
      start: () => Deferred.unsafeDone(started, Exit.void),
      opened: Deferred.await(first),
      state: () => state
    }
  })

const failed = (error: AmqpError) => Option.some(Cause.fail(error))
