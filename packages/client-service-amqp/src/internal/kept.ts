import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as ConnectionState from "effect-client-service/ConnectionState"
import * as Refusal from "effect-client-service-driver/Refusal"
import type { AmqpError } from "../AmqpError.js"
import { isRefusalOfMessage } from "./publisher.js"

/** Milliseconds by a clock that nobody sets. */
export const elapsed = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos / 1_000_000n))

/** Delays between attempts, which begin anew after one that has held for a while. */
export class Delays {
  failures = 0

  /** The next one, after what was up for so long. */
  readonly next = (upFor: number): Effect.Effect<Duration.Duration> => {
    this.failures = upFor >= 5000 ? 1 : this.failures + 1
    const most = Math.min(10_000, 100 * 2 ** (this.failures - 1))
    return Effect.map(Random.nextIntBetween(0, most + 1), Duration.millis)
  }
}

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
    const delays = new Delays()
    const started = yield* Deferred.make<void>()
    const first = yield* Deferred.make<void, AmqpError>()
    let since = Number.POSITIVE_INFINITY
    let state: ConnectionState.ConnectionState<unknown, AmqpError> = ConnectionState.Init()

    const opened = Effect.gen(function* () {
      const lost = yield* Deferred.make<never, AmqpError>()
      yield* open((error) => {
        state = ConnectionState.Connecting({ attempt: 1, failures: delays.failures, cause: failed(error) })
        Deferred.unsafeDone(lost, Exit.fail(error))
      })
      since = yield* elapsed
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
      const delay = yield* delays.next((yield* elapsed) - since)
      since = Number.POSITIVE_INFINITY
      const retryAt = (yield* Clock.currentTimeMillis) + Duration.toMillis(delay)
      state = ConnectionState.Waiting({ failures: delays.failures, delay, retryAt, cause: Cause.fail(error) })
      yield* Refusal.warn(name, error, delays.failures)
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
