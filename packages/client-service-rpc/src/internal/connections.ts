import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ClientService from "effect-client-service/ClientService"
import type { CallError } from "./call.js"
import type { Exchange } from "./exchange.js"
import type { Begin, Use } from "./protocol.js"

/** The connection sends nothing any more, and has not begun with the call. */
class Broken {
  constructor(readonly ended: Exchange["ended"]) {}
}

/** Begins calls on the connections of a service, for which each waits so long. */
export const connectionsOf = <E>(
  service: ClientService.ClientService<{ readonly exchange: Exchange }, E>,
  maxWait: Duration.Duration | undefined
): Use => {
  const notConnected = Effect.flatMap(
    service.state.get,
    (state) => new ClientService.NotConnected({ service: service.name, state, maxWait: maxWait ?? Duration.infinity })
  )
  const use = (begin: Begin, left: Duration.Duration | undefined): ReturnType<Use> =>
    Effect.catchIf(
      service.useAsync<void, CallError | Broken>(
        ({ exchange }, resume) => {
          if (!exchange.isBroken) return begin(exchange, resume)
          resume(Effect.fail(new Broken(exchange.ended)))
          return undefined
        },
        left === undefined ? undefined : { maxWait: left }
      ),
      (error) => error instanceof Broken,
      ({ ended }) =>
        leftAfter(ended, left).pipe(
          Effect.flatMap(Option.match({ onNone: () => notConnected, onSome: (left) => use(begin, left) })),
          Effect.catchIf(
            (error) => error instanceof ClientService.NotConnected,
            () => notConnected
          )
        )
    )
  return (begin) => use(begin, maxWait)
}

/** Waits for something, and gives how much of the time is left by then, if there is. */
const leftAfter = (
  self: Effect.Effect<void>,
  time: Duration.Duration | undefined
): Effect.Effect<Option.Option<Duration.Duration | undefined>> =>
  time === undefined
    ? Effect.as(self, Option.some(undefined))
    : Effect.timeoutOption(
        Effect.map(Effect.timed(self), ([taken]) => Duration.subtract(time, taken)),
        time
      )
