import { describe, expectTypeOf, it } from "@effect/vitest"
import { Config, type ConfigError, Context, Effect, type Layer, type Redacted, type Scope, type Stream } from "effect"
import { type ClientService, type ConnectionError, Endpoint, RetryPolicy } from "effect-client-service"
import { Redis, type RedisConnection, RedisEndpoint, RedisError } from "effect-client-service-redis"

class Vault extends Context.Tag("test/Vault")<Vault, Effect.Effect<Redacted.Redacted<string>, "sealed">>() {}

const endpoint = RedisEndpoint.make({ password: Effect.flatten(Vault) })

type Ended = ConnectionError.ServiceStopped | ConnectionError.RetriesExhausted<RedisError.ConnectFailure>

declare const redis: Redis.Service

describe("the types", () => {
  it("infer what a service and its Layer require and fail with", () => {
    const prepare = (connection: RedisConnection.RedisConnection) =>
      Effect.asVoid(
        Effect.zipRight(
          Effect.scope,
          connection.run((client) => client.ping())
        )
      )
    const service = () => Redis.make({ endpoint, prepare })
    expectTypeOf(service).returns.toEqualTypeOf<Effect.Effect<Redis.Service, never, Scope.Scope | Vault>>()
    const layer = () => Redis.layer({ endpoint })
    expectTypeOf(layer).returns.toEqualTypeOf<Layer.Layer<Redis.Redis, never, Vault>>()
    const waiting = () => Redis.layer({ endpoint, waitForConnection: {} })
    expectTypeOf(waiting).returns.toEqualTypeOf<Layer.Layer<Redis.Redis, Ended, Vault>>()
    const configured = () =>
      Redis.layerConfig({ host: Config.string("HOST"), password: Config.redacted("PASSWORD") }, { prepare })
    expectTypeOf(configured).returns.toEqualTypeOf<Layer.Layer<Redis.Redis, ConfigError.ConfigError>>()
  })

  it("take endpoints of several servers, and endpoints of those", () => {
    const retryPolicy = RetryPolicy.fullJitter().pipe(RetryPolicy.whileError((error) => !RedisError.isFatal(error)))
    const failover = () => Redis.layer({ endpoint: Endpoint.failover([endpoint, endpoint]), retryPolicy })
    expectTypeOf(failover).returns.toEqualTypeOf<Layer.Layer<Redis.Redis, never, Vault>>()
    const nested = () =>
      Redis.layer({
        endpoint: Endpoint.failover([Endpoint.happyEyeballs([endpoint, endpoint]), endpoint]),
        waitForConnection: {}
      })
    expectTypeOf(nested).returns.toEqualTypeOf<Layer.Layer<Redis.Redis, Ended, Vault>>()
  })

  it("infer what an endpoint of sentinels requires", () => {
    const sentinel = () =>
      RedisEndpoint.sentinel({ sentinels: [{ host: "a" }], master: "m", sentinelPassword: Effect.flatten(Vault) })
    expectTypeOf(sentinel).returns.toEqualTypeOf<typeof endpoint>()
    const layer = () => Redis.layer({ endpoint: sentinel() })
    expectTypeOf(layer).returns.toEqualTypeOf<Layer.Layer<Redis.Redis, never, Vault>>()
  })

  it("infer what a consumer of a group is given", () => {
    const names = { stream: "orders", group: "billing", consumer: "billing-1" }
    const text = () => redis.readGroup(names)
    expectTypeOf(text).returns.toEqualTypeOf<Stream.Stream<Redis.GroupEntry, RedisError.RedisError | Ended>>()
    const bytes = () => redis.readGroup({ ...names, bytes: true })
    expectTypeOf(bytes).returns.toEqualTypeOf<
      Stream.Stream<Redis.GroupEntry<Uint8Array>, RedisError.RedisError | Ended>
    >()
  })

  it("infer what commands and subscriptions give", () => {
    const get = () => redis.use((client) => client.get("key"))
    expectTypeOf(get).returns.toEqualTypeOf<
      Effect.Effect<string | null, RedisError.RedisError | ConnectionError.ConnectionLost | Ended>
    >()
    const both = () => redis.transaction((client) => client.multi().incr("key").get("key"))
    expectTypeOf(both).returns.toEqualTypeOf<Effect.Effect<[number, string | null], Redis.CommandError>>()
    const bounded = (options: ClientService.UseOptions) => redis.use((client) => client.get("key"), options)
    expectTypeOf(bounded).returns.toEqualTypeOf<
      Effect.Effect<string | null, Redis.CommandError | ConnectionError.NotConnected<RedisError.ConnectFailure>>
    >()
    const unbounded = () => redis.use((client) => client.get("key"), { maxWait: undefined })
    expectTypeOf(unbounded).returns.toEqualTypeOf<Effect.Effect<string | null, Redis.CommandError>>()
    const atOnce = () => redis.transaction((client) => client.multi().incr("key"), { maxWait: 0 })
    expectTypeOf(atOnce).returns.toEqualTypeOf<Effect.Effect<[number], Redis.CommandError | Redis.NotConnected>>()
    const pipelined = () => redis.pipeline((client) => client.multi().incr("key"), { maxWait: 0 })
    expectTypeOf(pipelined).returns.toEqualTypeOf<Effect.Effect<[number], Redis.CommandError | Redis.NotConnected>>()
    const command = () => redis.command("PING")
    expectTypeOf(command).returns.toEqualTypeOf<Effect.Effect<unknown, Redis.CommandError>>()
    const boundedCommand = () => redis.command("PING", undefined, { maxWait: 0 })
    expectTypeOf(boundedCommand).returns.toEqualTypeOf<
      Effect.Effect<unknown, Redis.CommandError | Redis.NotConnected>
    >()
    const plain = () => redis.subscribe("news")
    expectTypeOf(plain).returns.toEqualTypeOf<Stream.Stream<Redis.Message, RedisError.RedisError | Ended>>()
    const bytes = () => redis.subscribe("news", { bytes: true })
    expectTypeOf(bytes).returns.toEqualTypeOf<Stream.Stream<Redis.Message<Uint8Array>, RedisError.RedisError | Ended>>()
    const marked = () => redis.psubscribe(["news.*"], { gap: () => "gap" as const })
    expectTypeOf(marked).returns.toEqualTypeOf<
      Stream.Stream<Redis.PatternMessage | "gap", RedisError.RedisError | Ended>
    >()
  })
})
