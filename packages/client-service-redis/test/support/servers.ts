import { Effect, Logger, LogLevel, type Scope, Stream } from "effect"
import { type ConnectionState, RetryPolicy } from "effect-client-service"
import { Redis, RedisEndpoint } from "effect-client-service-redis"
import * as servers from "test-servers/redis"
import * as sentinels from "test-servers/redisSentinel"

const installed = await servers.install()

/** Whether there can be no server here, so that what needs one is skipped. */
export const isMissing = !installed.isInstalled
if (!installed.isInstalled) console.warn(`skipped: ${installed.reason}`)

export const startServer = (
  options?: Parameters<typeof servers.make>[1]
): Effect.Effect<servers.Redis, never, Scope.Scope> =>
  installed.isInstalled ? servers.make(installed.paths, options) : Effect.dieMessage(installed.reason)

/** Starts a sentinel. One that is alone takes part in no failover, and is not told of any. */
export const startSentinel = ({
  isAlone = false,
  settings = [],
  ...options
}: Parameters<typeof sentinels.make>[1] & { readonly isAlone?: boolean }): Effect.Effect<
  sentinels.Sentinel,
  never,
  Scope.Scope
> =>
  installed.isInstalled
    ? sentinels.make(installed.paths, {
        ...options,
        settings: [...settings, ...(isAlone ? [`sentinel down-after-milliseconds ${options.name} 3600000`] : [])]
      })
    : Effect.dieMessage(installed.reason)

/** It retries after 10 ms. */
export const retryPolicy = RetryPolicy.fromFunction(() => "10 millis")

/** Redis at a port, without logs. */
export const connectTo = <R3 = never>(
  port: number,
  options: Omit<RedisEndpoint.Options, "name"> & Partial<Redis.Options<never, R3, never>> = {}
): Effect.Effect<Redis.Service, never, Scope.Scope | R3> =>
  Redis.make({
    retryPolicy,
    ...options,
    endpoint: RedisEndpoint.make({ host: "127.0.0.1", ...options, port })
  }).pipe(Logger.withMinimumLogLevel(LogLevel.None))

/** Waits until Redis is in a state. */
export const until = (redis: Redis.Service, tag: ConnectionState.ConnectionState<unknown>["_tag"]) =>
  redis.service.state.changes.pipe(
    Stream.filter(({ _tag }) => _tag === tag),
    Stream.runHead,
    Effect.flatten,
    Effect.orDie
  )

/** A command of a caller that waits for a list to get an element, and which the server has got. */
export const blocked = (redis: Redis.Service, control: Redis.Service, list: string) =>
  Effect.gen(function* () {
    const caller = yield* Effect.fork(redis.use((client) => client.blPop(list, 0)))
    yield* Effect.repeat(control.command("INFO", ["clients"]), {
      until: (info) => String(info).includes("blocked_clients:1")
    })
    return caller
  })
