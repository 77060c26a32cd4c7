import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { ClientService } from "effect-client-service"
import { type ConnectError, NodeEndpoint } from "effect-client-service-node"
import * as Lines from "./support/lines.js"
import { port } from "./support/running.js"

class Peer extends ClientService.Tag("app/Peer")<Peer, Lines.Lines, ConnectError.ConnectError | Lines.LinesError>() {}

// Connects in the background, and again whenever the connection is lost, until the program ends.
const PeerLive = Peer.layer({
  endpoint: NodeEndpoint.tcp({ host: "127.0.0.1", port }),
  protocol: Lines.make,
  // Nobody gets a connection that is not logged in.
  prepare: (peer) => peer.ask("LOGIN alice")
})

const program = Effect.gen(function* () {
  // Waits for the connection, but not through more than three attempts that fail.
  const peer = yield* Peer.whenConnected({ failAfterFailures: 3 })
  yield* Console.log(yield* peer.ask("PING"))

  // Waits for however long it takes. If the connection is lost meanwhile, fails with ConnectionLost.
  const echo = yield* Peer.use((peer) => peer.ask("ECHO hello"))
  yield* Console.log(echo)
})

NodeRuntime.runMain(Effect.provide(program, PeerLive))
