/**
 * A client whose certificate is renewed in its folder while it runs, as cert-manager renews that of a Kubernetes secret.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Stream } from "effect"
import { ClientService } from "effect-client-service"
import { NodeEndpoint, TlsFiles } from "effect-client-service-node"

// #region readme
const program = Effect.gen(function* () {
  const [host, port] = [yield* Config.string("BROKER_HOST"), yield* Config.integer("BROKER_PORT")]
  // The certificate tls.crt, its key tls.key and the authority ca.crt, which are read at every attempt.
  const files = TlsFiles.kubernetes(yield* Config.string("TLS_FOLDER"))
  const service = yield* ClientService.make({ endpoint: NodeEndpoint.tls({ host, port, credentials: files.read }) })

  // Connects anew as soon as they have changed, while the server still takes the old ones.
  yield* Effect.forkScoped(Effect.tapError(ClientService.reconnectOn(service, files.changes), Effect.logError))
  yield* service.start

  const greetings = ClientService.stream(service, ({ incoming }) =>
    incoming.pipe(Stream.decodeText(), Stream.splitLines)
  )
  yield* Stream.runForEach(Stream.take(greetings, 2), (greeting) => Console.log(greeting))
})
// #endregion

NodeRuntime.runMain(Effect.scoped(program))
