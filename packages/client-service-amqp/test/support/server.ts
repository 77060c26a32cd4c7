// biome-ignore lint/style/noRestrictedImports: `onServer` puts back what it leaves.
import { it, layer, type Vitest } from "@effect/vitest"
import { Context, Effect, Layer, Logger, LogLevel, Redacted, Stream } from "effect"
import { type ConnectionState, RetryPolicy } from "effect-client-service"
import { Amqp, AmqpEndpoint } from "effect-client-service-amqp"
import * as servers from "test-servers/rabbitmq"
import * as serverProcess from "test-servers/serverProcess"
import { type Authority, makeCertificateFiles } from "../../../client-service-node/test/support/certificates.js"

const installed = await servers.install()

/** Whether there can be no server here, so that what needs one is skipped. */
export const isMissing = !installed.isInstalled
if (!installed.isInstalled) console.warn(`skipped: ${installed.reason}`)

/** Where the programs are. */
export const installedPaths = () => {
  if (!installed.isInstalled) throw new Error(installed.reason)
  return installed.paths
}

interface TlsServer extends servers.RabbitMQ {
  readonly tls: { readonly port: number } & Pick<Authority, "ca" | "issue">
}

const start = (settings?: Readonly<Record<string, string>>, plugins?: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    if (!installed.isInstalled) return yield* Effect.dieMessage(installed.reason)
    const { ca, files, issue } = yield* makeCertificateFiles("127.0.0.1")
    const port = yield* serverProcess.freePort
    const server = yield* servers.make(installed.paths, {
      plugins,
      settings: {
        ...settings,
        "listeners.ssl.default": `127.0.0.1:${port}`,
        "ssl_options.cacertfile": files.ca,
        "ssl_options.certfile": files.cert,
        "ssl_options.keyfile": files.key
      }
    })
    return { ...server, tls: { port, ca, issue } }
  })

/** The server of all tests of a file, since it takes seconds to start. */
export class Server extends Context.Tag("test/Server")<Server, TlsServer>() {
  /** Without logs, too. */
  static readonly Live = Layer.merge(Layer.scoped(Server, start()), Logger.minimumLogLevel(LogLevel.None))
  /** One that knows users by their certificates (EXTERNAL), too. */
  static readonly knowingCertificates = Layer.merge(
    Layer.scoped(
      Server,
      start(
        {
          "ssl_options.verify": "verify_peer",
          "auth_mechanisms.1": "PLAIN",
          "auth_mechanisms.2": "AMQPLAIN",
          "auth_mechanisms.3": "EXTERNAL",
          ssl_cert_login_from: "common_name"
        },
        ["rabbitmq_auth_mechanism_ssl"]
      )
    ),
    Logger.minimumLogLevel(LogLevel.None)
  )
  /** One of small limits. */
  static readonly small = Layer.merge(
    Layer.scoped(Server, start({ frame_max: "8192", max_message_size: "65536" })),
    Logger.minimumLogLevel(LogLevel.None)
  )
}

type ServerTests = (it: Vitest.MethodsNonLive<Server, true>) => void

/** Has the tests of a file share a server. */
export const onServer = (server: Layer.Layer<Server>, tests: ServerTests): void => {
  // `layer` writes its own into the `it` of Vitest, which the next file of the process has, too.
  const { effect, layer: nested, scoped } = it
  layer(server, { excludeTestServices: true, timeout: "60 seconds" })(tests)
  Object.assign(it, { effect, layer: nested, scoped })
}

/** It retries after 10 ms. */
export const retryPolicy = RetryPolicy.fromFunction(() => "10 millis")

/** Connects to the server. */
export const connect = (
  endpoint: AmqpEndpoint.Options = {},
  options: Omit<Amqp.Options<never, never, never>, "endpoint"> = {}
) => Effect.flatMap(Server, (server) => connectTo(server, endpoint, options))

/** Connects to a server of a test alone. */
export const connectTo = (
  { url }: servers.RabbitMQ,
  endpoint: AmqpEndpoint.Options = {},
  options: Omit<Amqp.Options<never, never, never>, "endpoint"> = {}
) => Amqp.make({ retryPolicy, ...options, endpoint: AmqpEndpoint.make({ url: Redacted.make(url), ...endpoint }) })

/** Waits until a service is in a state. */
export const until = (amqp: Amqp.Service, tag: ConnectionState.ConnectionState<unknown>["_tag"]) =>
  amqp.service.state.changes.pipe(
    Stream.filter(({ _tag }) => _tag === tag),
    Stream.runHead,
    Effect.flatten,
    Effect.orDie
  )
