/**
 * A program around Twisted's `ClientService`, line by line: Twisted's in the comments, Effect's below them.
 */

// from twisted.application.internet import ClientService, backoffPolicy
// from twisted.internet import endpoints, protocol, reactor, task
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Random } from "effect"
import { ClientService, RetryPolicy } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import * as Lines from "./support/lines.js"
import { port } from "./support/running.js"

const main = Effect.gen(function* () {
  // endpoint = endpoints.clientFromString(reactor, f"tcp:127.0.0.1:{port}")
  const endpoint = NodeEndpoint.tcp({ host: "127.0.0.1", port })

  // factory = protocol.Factory.forProtocol(Lines)
  //
  // A function instead of a class and its factory. What `connectionLost` would clean up is released with the Scope in
  // which the function runs.
  const factory = Lines.make

  // policy = backoffPolicy(initialDelay=0.5, maxDelay=30, factor=2, jitter=lambda: random.uniform(0, 0.25))
  const policy = RetryPolicy.backoff({
    initialDelay: "500 millis",
    maxDelay: "30 seconds",
    factor: 2,
    jitter: Random.nextRange(0, 250)
  })

  // def prepare(lines):
  //     return lines.ask("LOGIN alice")        # a Deferred: the connection counts once it fires
  const prepare = (lines: Lines.Lines) => lines.ask("LOGIN alice")

  // service = ClientService(endpoint, factory, retryPolicy=policy, prepareConnection=prepare)
  //
  // The clock is Effect's, which a test replaces by TestClock as it would give Twisted a task.Clock(). Twisted starts
  // the policy afresh at each connection, which is `resetAfter: 0`; left out, a connection has to last for 5 seconds.
  const service = yield* ClientService.make({
    endpoint,
    protocol: factory,
    retryPolicy: policy,
    prepare,
    resetAfter: 0
  })

  // service.startService()
  yield* service.start
  // print(service.running)
  yield* Console.log(`running: ${yield* service.running}`)

  // lines = yield service.whenConnected(failAfterFailures=1)
  const lines = yield* service.whenConnected({ failAfterFailures: 1 })

  // print((yield lines.ask("PING")))
  yield* Console.log(yield* lines.ask("PING"))

  // yield service.stopService()
  yield* service.stop
  yield* Console.log(`running: ${yield* service.running}`)

  // try:
  //     yield service.whenConnected()
  // except CancelledError:
  //     print("stopped")
  yield* service.whenConnected().pipe(Effect.catchTag("ServiceStopped", () => Console.log("stopped")))
})

// task.react(main)
//
// The Scope is the service's parent: had `main` failed, the service would be stopped all the same.
NodeRuntime.runMain(Effect.scoped(main))
