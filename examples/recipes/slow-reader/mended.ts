import type { Socket } from "@effect/platform"
import { Effect, Stream } from "effect"
import { ClientService, Endpoint, Framing } from "effect-client-service"

export const mended = (socket: Socket.Socket, handle: (line: string) => Effect.Effect<void>) =>
  Effect.gen(function* () {
    const service = yield* ClientService.make({
      endpoint: Endpoint.fromSocket("feed", Effect.succeed(socket)),
      protocol: Framing.protocol(Framing.lines())
    })
    yield* service.start
    // The connection is lost when its reader has come to the end of what was sent.
    yield* Stream.runForEach(
      ClientService.stream(service, ({ frames }) => frames),
      handle
    )
  })
