import { Context, Effect, Layer, Logger, LogLevel, Redacted, Stream } from "effect"
import { type ConnectionState, RetryPolicy } from "effect-client-service"
import { Amqp, AmqpEndpoint } from "effect-client-service-amqp"
import * as servers from "test-servers/rabbitmq"

const installed = await servers.install()

/** Whether there can be no server here, so that what needs one is skipped. */
export const isMissing = !installed.isInstalled
if (!installed.isInstalled) console.warn(`skipped: ${installed.reason}`)

/** The server of all tests of a file, since it takes seconds to start. */
export class Server extends Context.Tag("test/Server")<Server, servers.RabbitMQ>() {
  /** Without logs, too. */
  static readonly Live = Layer.merge(
    Layer.scoped(Server, installed.isInstalled ? servers.make(installed.paths) : Effect.dieMessage(installed.reason)),
    Logger.minimumLogLevel(LogLevel.None)
  )
}

/** It retries after 10 ms. */
export const retryPolicy = RetryPolicy.fromFunction(() => "10 millis")

/** Connects to the server. */
export const connect = (
  endpoint: AmqpEndpoint.Options = {},
  options: Omit<Amqp.Options<never, never, never>, "endpoint"> = {}
) =>
  Effect.flatMap(Server, ({ url }) =>
    Amqp.make({ retryPolicy, ...options, endpoint: AmqpEndpoint.make({ url: Redacted.make(url), ...endpoint }) })
  )

/** Waits until a service is in a state. */
export const until = (amqp: Amqp.Service, tag: ConnectionState.ConnectionState<unknown>["_tag"]) =>
  amqp.service.state.changes.pipe(
    Stream.filter(({ _tag }) => _tag === tag),
    Stream.runHead,
    Effect.flatten,
    Effect.orDie
  )
