import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { interleave, timed } from "../measure.js"
import { reconnectCycle } from "../reconnectingService.js"
import type { Row } from "../row.js"
import { droppingServer, host } from "../tcp.js"

const cycles = 10_000

export const retryAroundSocket: Row = {
  name: "a reconnect cycle over loopback TCP, least delay",
  against: "Effect.retry around a Socket's run",
  unit: "ms",
  samples: Effect.gen(function* () {
    const port = yield* droppingServer
    return yield* interleave({
      rounds: 5,
      warmUp: 2,
      subject: reconnectCycle(port, cycles),
      against: retryCycle(port)
    })
  })
}

// What ends a run is a failure here, for otherwise the server's clean close would be the end of it all.
const retryCycle = (port: number): Effect.Effect<number> =>
  Effect.gen(function* () {
    const done = yield* Deferred.make<void>()
    let opens = 0
    const opened = Effect.suspend(() => {
      opens += 1
      return opens < cycles ? Effect.void : Effect.asVoid(Deferred.succeed(done, undefined))
    })
    const session = Effect.gen(function* () {
      const socket = yield* NodeSocket.makeNet({ host, port })
      yield* socket.run(() => {}, { onOpen: opened })
      return yield* Effect.fail("closed")
    })
    const forever = Effect.retry(session, Schedule.forever)
    const millis = yield* timed(Effect.zipRight(Effect.forkScoped(forever), Deferred.await(done)))
    return millis / cycles
  }).pipe(Effect.scoped)
