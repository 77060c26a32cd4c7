/**
 * A server that listens while the program that imports this runs. It stands in for yours.
 */
import { Effect, Scope } from "effect"
import * as LineServer from "./lineServer.js"

const server = await LineServer.make((line, peer) => peer.send(LineServer.reply(line))).pipe(
  Effect.tap((server) => server.unref),
  Scope.extend(Effect.runSync(Scope.make())),
  Effect.runPromise
)

export const port = server.port
