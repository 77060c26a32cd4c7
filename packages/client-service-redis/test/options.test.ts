import { describe, expect, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Layer, Redacted } from "effect"
import { TestEndpoint } from "effect-client-service"
import { Redis, type RedisConnection, RedisEndpoint, type RedisError } from "effect-client-service-redis"

const nameOf = (options: RedisEndpoint.Options): string => RedisEndpoint.make(options).name

describe("the name of an endpoint", () => {
  for (const [options, name] of [
    [{}, "redis://localhost:6379"],
    [{ host: "::1", port: 1, database: 2 }, "redis://[::1]:1/2"],
    [{ tls: true, host: "a" }, "rediss://a:6379"],
    [{ host: " Bücher.example. " }, "redis://xn--bcher-kva.example:6379"],
    [{ url: "redis://Bücher.example." }, "redis://xn--bcher-kva.example:6379"],
    [{ host: "[::1]" }, "redis://[::1]:6379"],
    [{ path: "/run/redis.sock" }, "unix:///run/redis.sock"],
    [{ url: "redis://u:p@a:1/3" }, "redis://a:1/3"],
    [{ url: Redacted.make("rediss://:p@[::1]") }, "rediss://[::1]:6379"],
    [{ url: "redis://a?db=5" }, "redis://a:6379/5"],
    [{ url: "redis://a/5?database=5&client_name=x" }, "redis://a:6379/5"],
    [{ url: "unix:///run/redis.sock" }, "unix:///run/redis.sock"],
    [{ url: "unix://u:hunter2@/run/a%20b.sock?db=5&client_name=x" }, "unix:///run/a b.sock?db=5"],
    [{ url: "unix:///run/r.sock", port: 6380 }, "redis://localhost:6380"],
    [{ url: "unix:///run/redis.sock", host: "b" }, "redis://b:6379"],
    [{ url: "redis://a", host: "b", name: "cache" }, "cache"],
    [{ url: "redis://a:1/2", host: "b", port: 3, database: 4 }, "redis://b:3/4"]
  ] as const) {
    it(`is ${name}`, () => {
      expect(nameOf(options)).toBe(name)
    })
  }
})

describe("an option that makes no sense", () => {
  for (const [options, option] of [
    [{ url: "http://hunter2@a" }, "url"],
    [{ url: "redis://:hunter2@a/b" }, "url"],
    [{ url: "redis://:hunter2%@a" }, "url"],
    [{ url: Redacted.make("hunter2") }, "url"],
    [{ url: "redis://:hunter2@a?db=x" }, "url"],
    [{ url: "redis://u:12?db=hunter2@a" }, "url"],
    [{ url: "redis://:hunter2@a/4?db=5" }, "url"],
    [{ url: "redis://:hunter2@a?ssl_cert_reqs=none" }, "url"],
    [{ url: "redis://:hunter2@a?db=1&database=2" }, "url"],
    [{ url: "redis://:hunter2@a?client_name=b&clientName=c" }, "url"],
    [{ url: "redis://:hunter2@a?client_name=b%20c" }, "clientName"],
    [{ url: "unix://:hunter2@/" }, "url"],
    [{ url: "unix://:hunter2@/run/%zz" }, "url"],
    [{ url: "unix://:hunter2@/run/redis.sock?dB=5" }, "url"],
    [{ url: "unix:/run/hunter2" }, "url"],
    [{ clientName: "a b" }, "clientName"],
    [{ clientName: "a\nb" }, "clientName"],
    [{ clientName: "ä" }, "clientName"],
    [{ host: "" }, "host"],
    [{ host: "localhost\0.evil.example" }, "host"],
    [{ url: "redis://localhost%00.evil.example" }, "host"],
    [{ path: "/run/redis.sock\0" }, "path"],
    [{ port: 0 }, "port"],
    // What a program without types may pass.
    ...[null, "80", Number.NaN, -0, 1.5].map((port) => [{ port: port as number }, "port"] as const),
    [{ host: null as unknown as string }, "host"],
    [{ path: " " }, "path"],
    [{ database: -1 }, "database"],
    [{ name: "" }, "name"],
    [{ linger: -1 }, "linger"],
    [{ maxInFlight: 0 }, "maxInFlight"],
    [{ maxInFlightBytes: 0 }, "maxInFlightBytes"],
    [{ maxWaiting: -1 }, "maxWaiting"]
  ] as const) {
    it(`is refused: ${option} ${JSON.stringify(options)}`, () => {
      expect(() => RedisEndpoint.make(options)).toThrow(expect.objectContaining({ _tag: "InvalidOption", option }))
      expect(() => RedisEndpoint.make(options)).not.toThrow(/hunter2/)
    })
  }

  it("is named if it is a part of the query of a URL", () => {
    const make = () => RedisEndpoint.make({ url: "redis://:hunter2@a?db=1&ssl_cert_reqs=none" })
    expect(make).toThrow(/db, database, client_name, clientName.*ssl_cert_reqs/)
  })

  it("is refused of a service", () => {
    const endpoint = RedisEndpoint.make({})
    const layer = () => Redis.layer({ endpoint, waitForConnection: { failAfterFailures: 0 } })
    expect(layer).toThrow(expect.objectContaining({ option: "waitForConnection.failAfterFailures" }))
    const redis = () => Redis.make({ endpoint, heartbeat: { interval: 0 } })
    expect(redis).toThrow(expect.objectContaining({ option: "heartbeat.interval" }))
  })

  it.scoped("is refused of a subscription", () =>
    Effect.gen(function* () {
      const { endpoint } = yield* TestEndpoint.make<RedisConnection.RedisConnection, RedisError.RedisError>()
      const redis = yield* Redis.make({ endpoint })
      expect(() => redis.subscribe([])).toThrow(expect.objectContaining({ where: "Redis.subscribe" }))
      expect(() => redis.psubscribe("*", { bufferSize: 0 })).toThrow(expect.objectContaining({ option: "bufferSize" }))
    })
  )
})

describe("layerConfig", () => {
  const build = (values: ReadonlyArray<readonly [string, string]>) =>
    Layer.build(Redis.layerConfig({ url: Config.redacted("REDIS_URL") })).pipe(
      Effect.map((context) => [...context.unsafeMap.keys()].length),
      Effect.scoped,
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(values)))
    )

  it.effect("tells what is missing and what makes no sense as a ConfigError, without the password", () =>
    Effect.gen(function* () {
      expect(yield* Effect.flip(build([]))).toMatchObject({ _op: "MissingData" })
      const invalid = yield* Effect.flip(build([["REDIS_URL", "redis://:hunter2@a/b"]]))
      expect(invalid).toMatchObject({ _op: "InvalidData" })
      expect(String(invalid)).not.toContain("hunter2")
    })
  )
})
