import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ClientService from "effect-client-service/ClientService"
import * as Race from "effect-client-service/Race"
import * as Delays from "effect-client-service-driver/Delays"
import type { CallError } from "./call.js"
import type { Exchange } from "./exchange.js"
import type { Use } from "./protocol.js"

/** The connection sends nothing any more, and has not begun with the call. */
class Broken {
  constructor(readonly ended: Exchange["ended"]) {}
}

/** Begins calls on the connections of a service, for which each waits so long, however many are lost before it is sent. */
export const connectionsOf = <E>(
  service: ClientService.ClientService<{ readonly exchange: Exchange }, E>,
  maxWait: Duration.Duration | undefined
): Use => {
  const notConnected = Effect.flatMap(
    service.state.get,
    (state) => new ClientService.NotConnected({ service: service.name, state, maxWait: maxWait ?? Duration.infinity })
  )
  const within =
    (left: Left | undefined): Use =>
    (begin) => {
      let isUnsent = false
      const begun = service.useAsync<void, CallError | Broken>(({ exchange }, resume) => {
        if (exchange.isBroken) {
          resume(Effect.fail(new Broken(exchange.ended)))
          return undefined
        }
        const end = begin(exchange, resume)
        return (
          end &&
          ((isLost) => {
            isUnsent = end(isLost)
          })
        )
      }, left && { maxWait: left() })
      return Effect.catchAll(begun, (error) => {
        // What was left of the time is not what the caller has given.
        if (error instanceof ClientService.NotConnected) return new ClientService.NotConnected({ ...error, maxWait })
        // No server knows of it, so the next one gets it.
        if (isUnsent) return within(left)(begin)
        if (!(error instanceof Broken)) return Effect.fail(error)
        return Effect.flatMap(
          left === undefined
            ? Effect.as(error.ended, true)
            : Race.firstOf(
                Effect.as(Effect.interruptible(error.ended), true),
                Effect.as(Effect.interruptible(Effect.sleep(left())), false)
              ),
          (hasEnded) => (hasEnded ? within(left)(begin) : notConnected)
        )
      })
    }
  if (maxWait === undefined) return within(undefined)
  return (begin) =>
    Effect.flatMap(Effect.clock, (clock) => {
      const until = Delays.monotonic(clock) + Duration.toMillis(maxWait)
      return within(() => Math.max(0, until - Delays.monotonic(clock)))(begin)
    })
}

/** How many milliseconds a call may still wait. */
type Left = () => number
