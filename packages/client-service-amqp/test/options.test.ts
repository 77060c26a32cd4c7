import { once } from "node:events"
import { type AddressInfo, createServer } from "node:net"
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import {
  Config,
  type ConfigError,
  ConfigProvider,
  Context,
  Deferred,
  Effect,
  FiberId,
  Layer,
  Logger,
  LogLevel,
  Queue,
  Redacted,
  type Scope,
  type Stream
} from "effect"
import { type ClientService, ConnectionError, Endpoint, RetryPolicy, TestEndpoint } from "effect-client-service"
import { Amqp, type AmqpConnection, AmqpEndpoint, AmqpError, type AmqpMessage } from "effect-client-service-amqp"

describe("the name of an endpoint", () => {
  for (const [options, name] of [
    [{}, "amqp://localhost:5672"],
    [{ host: "::1", port: 1, vhost: "a/b" }, "amqp://[::1]:1/a%2Fb"],
    [{ tls: true, host: "a" }, "amqps://a:5671"],
    [{ host: " Bücher.example. " }, "amqp://xn--bcher-kva.example:5672"],
    [{ url: "amqp://Bücher.example." }, "amqp://xn--bcher-kva.example:5672"],
    [{ host: "[::1]" }, "amqp://[::1]:5672"],
    [{ url: "amqp://u:p@a:1/b" }, "amqp://a:1/b"],
    [{ url: "amqp://a/%2F" }, "amqp://a:5672"],
    [{ url: Redacted.make("amqps://:p@[::1]/") }, "amqps://[::1]:5671"],
    [{ url: "amqp://a", host: "b", name: "jobs" }, "jobs"],
    [{ url: "amqp://a:1/b", host: "c", port: 2, vhost: "d" }, "amqp://c:2/d"]
  ] as const) {
    it(`is ${name}`, () => {
      expect(AmqpEndpoint.make(options).name).toBe(name)
    })
  }
})

describe("an option that makes no sense", () => {
  for (const [options, option] of [
    [{ url: "http://hunter2@a" }, "url"],
    [{ url: "amqp://:hunter2@a/b/c" }, "url"],
    [{ url: "amqp://:hunter2@a?blocked_connection_timeout=1" }, "url"],
    [{ url: "amqp://:hunter2@a?heartbeat=soon" }, "url"],
    [{ url: "amqp://:hunter2@a?heartbeat=65536" }, "url"],
    [{ url: "amqp://:hunter2@a?channel_max=-1" }, "url"],
    [{ url: "amqp://:hunter2@a?auth_mechanism=gssapi" }, "url"],
    [{ url: "amqp://:hunter2@a?verify=sometimes" }, "url"],
    [{ url: "amqp://:hunter2@a?locale=" }, "url"],
    [{ url: "amqp://:hunter2@a?frame_max=4095" }, "frameMax"],
    [{ frameMax: 0 }, "frameMax"],
    [{ channelMax: 65_536 }, "channelMax"],
    [{ connectTimeout: 0 }, "connectTimeout"],
    [{ url: "amqp://:hunter2%@a" }, "url"],
    [{ url: Redacted.make("hunter2") }, "url"],
    [{ host: "" }, "host"],
    [{ host: "localhost\0.evil.example" }, "host"],
    [{ url: "amqp://localhost%00.evil.example" }, "host"],
    [{ port: 0 }, "port"],
    // What a program without types may pass.
    ...[null, "80", Number.NaN, -0, 1.5].map((port) => [{ port: port as number }, "port"] as const),
    [{ host: null as unknown as string }, "host"],
    [{ vhost: "" }, "vhost"],
    [{ name: "" }, "name"],
    [{ heartbeat: 0 }, "heartbeat"],
    [{ heartbeat: "1500 millis" }, "heartbeat"],
    [{ heartbeat: "1 day" }, "heartbeat"],
    [{ maxWaiting: -1 }, "maxWaiting"],
    [{ linger: -1 }, "linger"]
  ] as const) {
    it(`is refused: ${option} ${JSON.stringify(options)}`, () => {
      expect(() => AmqpEndpoint.make(options)).toThrow(expect.objectContaining({ _tag: "InvalidOption", option }))
      expect(() => AmqpEndpoint.make(options)).not.toThrow(/hunter2/)
    })
  }

  it("is named if it is a part of the query of a URL", () => {
    const make = () => AmqpEndpoint.make({ url: "amqp://:hunter2@a?heartbeat=5&retry_delay=1" })
    expect(make).toThrow(/url must be without query parts but heartbeat, frame_max.*, got "\?retry_delay="/)
  })

  it.scoped("is refused of a consumer", () =>
    Effect.gen(function* () {
      const { endpoint } = yield* TestEndpoint.make<AmqpConnection.AmqpConnection, AmqpError.AmqpError>()
      const amqp = yield* Amqp.make({ endpoint })
      for (const prefetch of [0, 65_536])
        expect(() => amqp.consume("jobs", { prefetch })).toThrow(expect.objectContaining({ option: "prefetch" }))
      for (const offset of ["yesterday", "", 1.5, Number.NaN, true, null, -1, 1e300, [], {}])
        expect(() => amqp.consume("jobs", { arguments: { "x-stream-offset": offset } })).toThrow(
          expect.objectContaining({ option: "arguments.x-stream-offset" })
        )
      for (const offset of ["first", "12h", 0, 2 ** 40, { "!": "timestamp", value: 5 }])
        amqp.consume("jobs", { arguments: { "x-stream-offset": offset } })
    })
  )
})

describe("layerConfig", () => {
  const build = (values: ReadonlyArray<readonly [string, string]>) =>
    Layer.build(Amqp.layerConfig({ url: Config.redacted("AMQP_URL") })).pipe(
      Effect.scoped,
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(values)))
    )

  it.effect("tells what is missing and what makes no sense as a ConfigError, without the password", () =>
    Effect.gen(function* () {
      expect(yield* Effect.flip(build([]))).toMatchObject({ _op: "MissingData" })
      const invalid = yield* Effect.flip(build([["AMQP_URL", "amqp://:hunter2@a/b/c"]]))
      expect(invalid).toMatchObject({ _op: "InvalidData" })
      expect(String(invalid)).not.toContain("hunter2")
    })
  )
})

describe("an attempt", () => {
  for (const tls of [false, true]) {
    it.scopedLive(`with a server that says nothing is given up, and leaves no socket${tls ? " (TLS)" : ""}`, () =>
      Effect.gen(function* () {
        const opened = yield* Queue.unbounded<Deferred.Deferred<void>>()
        const server = createServer((socket) => {
          const closed = Deferred.unsafeMake<void>(FiberId.none)
          socket.on("error", () => {}).resume()
          socket.once("close", () => Deferred.unsafeDone(closed, Effect.void))
          opened.unsafeOffer(closed)
        })
        yield* Effect.acquireRelease(
          Effect.promise(() => once(server.listen(0, "127.0.0.1"), "listening")),
          () => Effect.promise(() => once(server.close(), "close"))
        )
        const { port } = server.address() as AddressInfo
        const amqp = yield* Amqp.make({
          endpoint: AmqpEndpoint.make({ host: "127.0.0.1", port, tls }),
          retryPolicy: RetryPolicy.fromFunction(() => "10 millis"),
          connectTimeout: "100 millis"
        })
        const error = yield* Effect.flip(amqp.service.whenConnected({ failAfterFailures: 1 }))
        expect(error).toBeInstanceOf(ConnectionError.ConnectTimeout)
        yield* Deferred.await(yield* Queue.take(opened))
        const next = yield* Queue.take(opened)
        yield* amqp.service.stop
        yield* Deferred.await(next)
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
    )
  }

  it.scopedLive("has no password to be had, and the next one has", () =>
    Effect.gen(function* () {
      let reads = 0
      const password = Effect.suspend(() => {
        reads += 1
        if (reads === 1) return Effect.fail(new TypeError("sealed"))
        return Effect.succeed(reads === 2 ? { value: Redacted.make("old"), expiresIn: 0 } : Redacted.make("new"))
      })
      const amqp = yield* Amqp.make({
        endpoint: AmqpEndpoint.make({ host: "127.0.0.1", port: 1, password }),
        retryPolicy: RetryPolicy.fromFunction(() => "10 millis")
      })
      const first = yield* Effect.flip(amqp.service.whenConnected({ failAfterFailures: 1 }))
      expect(first).toMatchObject({
        _tag: "AmqpError",
        reason: "Credentials",
        detail: "TypeError",
        cause: { message: "sealed" }
      })
      expect(AmqpError.isFatal(first)).toBe(false)
      const second = yield* Effect.flip(amqp.service.whenConnected({ failAfterFailures: 1 }))
      expect(second).toMatchObject({ reason: "Credentials", detail: expect.stringContaining("password.expiresIn") })
      const third = yield* Effect.flip(amqp.service.whenConnected({ failAfterFailures: 1 }))
      expect(third).toMatchObject({ reason: "Refused" })
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )
})

describe("the query of a URL", () => {
  it("is honoured by the names that clients of several languages have", () => {
    const known = [
      "heartbeat=0&frame_max=4096&channel_max=10&connection_timeout=5000&locale=de_DE&connection_name=jobs",
      "frameMax=8192&channelMax=1&auth_mechanism=external&name=a",
      "cacertfile=/a&certfile=/b&keyfile=/c&verify=verify_none&server_name_indication=b"
    ]
    for (const query of known) expect(AmqpEndpoint.make({ url: `amqps://a/b?${query}` }).name).toBe("amqps://a:5671/b")
  })

  it.scopedLive("has a time for connecting, which a server that says nothing exceeds", () =>
    Effect.gen(function* () {
      const server = createServer((socket) => void socket.on("error", () => {}).resume())
      yield* Effect.acquireRelease(
        Effect.promise(() => once(server.listen(0, "127.0.0.1"), "listening")),
        () => Effect.sync(() => server.close())
      )
      const { port } = server.address() as AddressInfo
      const endpoint = AmqpEndpoint.make({ url: `amqp://127.0.0.1:${port}?connection_timeout=50` })
      const amqp = yield* Amqp.make({ endpoint })
      const error = yield* Effect.flip(amqp.service.whenConnected({ failAfterFailures: 1 }))
      expect(error).toMatchObject({ _tag: "AmqpError", reason: "Unreachable", code: "ETIMEDOUT" })
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )
})

class Vault extends Context.Tag("test/Vault")<Vault, Effect.Effect<Redacted.Redacted<string>, "sealed">>() {}

declare const amqp: Amqp.Service

describe("the types", () => {
  it("infer what a service and its Layer require and fail with", () => {
    const endpoint = AmqpEndpoint.make({ password: Effect.flatten(Vault) })
    const prepare = (connection: AmqpConnection.AmqpConnection) =>
      Effect.zipRight(
        Effect.scope,
        connection.use((channel) => channel.assertQueue("jobs"))
      )
    const service = () => Amqp.make({ endpoint, prepare })
    expectTypeOf(service).returns.toEqualTypeOf<Effect.Effect<Amqp.Service, never, Scope.Scope | Vault>>()
    const layer = () => Amqp.layer({ endpoint })
    expectTypeOf(layer).returns.toEqualTypeOf<Layer.Layer<Amqp.Amqp, never, Vault>>()
    const waiting = () => Amqp.layer({ endpoint, waitForConnection: {} })
    expectTypeOf(waiting).returns.toEqualTypeOf<Layer.Layer<Amqp.Amqp, Amqp.ServiceEnd, Vault>>()
    const configured = () => Amqp.layerConfig({ host: Config.string("HOST") }, { prepare })
    expectTypeOf(configured).returns.toEqualTypeOf<Layer.Layer<Amqp.Amqp, ConfigError.ConfigError>>()
  })

  it("take endpoints of several servers for a Layer", () => {
    const endpoint = AmqpEndpoint.make({})
    const retryPolicy = RetryPolicy.fullJitter().pipe(RetryPolicy.whileError((error) => !AmqpError.isFatal(error)))
    const layer = () => Amqp.layer({ endpoint: Endpoint.failover([endpoint, endpoint]), retryPolicy })
    expectTypeOf(layer).returns.toEqualTypeOf<Layer.Layer<Amqp.Amqp>>()
    const nested = Endpoint.happyEyeballs([Endpoint.failover([endpoint, endpoint]), endpoint])
    expectTypeOf(() => Amqp.layer({ endpoint: nested })).returns.toEqualTypeOf<Layer.Layer<Amqp.Amqp>>()
  })

  it("infer what calls give", () => {
    const call = () => amqp.call("", "sums", "1 + 1")
    expectTypeOf(call).returns.toEqualTypeOf<
      Effect.Effect<AmqpMessage.AmqpReply, AmqpError.AmqpError | Amqp.ServiceEnd>
    >()
    const impatient = () => amqp.call("", "sums", "1 + 1", { maxWait: 0 })
    expectTypeOf(impatient).returns.toEqualTypeOf<
      Effect.Effect<AmqpMessage.AmqpReply, AmqpError.AmqpError | Amqp.NotConnected | Amqp.ServiceEnd>
    >()
  })

  it("infer what publishing and consuming give", () => {
    const publish = () => amqp.publish("news", "weather", "rain", { resend: true })
    expectTypeOf(publish).returns.toEqualTypeOf<Effect.Effect<void, AmqpError.AmqpError | Amqp.ServiceEnd>>()
    const consume = () => amqp.consume("jobs")
    expectTypeOf(consume).returns.toEqualTypeOf<
      Stream.Stream<AmqpMessage.AmqpMessage, AmqpError.AmqpError | Amqp.ServiceEnd>
    >()
    const declare = () => amqp.use((channel) => channel.checkQueue("jobs").then(({ messageCount }) => messageCount))
    expectTypeOf(declare).returns.toEqualTypeOf<
      Effect.Effect<number, AmqpError.AmqpError | ConnectionError.ConnectionLost | Amqp.ServiceEnd>
    >()
  })

  it("have NotConnected only where it is told how long to wait", () => {
    type Failures = AmqpError.AmqpError | Amqp.ServiceEnd
    type NotConnected = ConnectionError.NotConnected<AmqpError.ConnectFailure>
    type Lost = ConnectionError.ConnectionLost
    const patient = (maxWait: undefined) => [
      amqp.publish("news", "weather", "rain", undefined),
      amqp.publish("news", "weather", "rain", { maxWait }),
      amqp.sendToQueue("jobs", "a job"),
      amqp.sendToQueue("jobs", "a job", { resend: true }),
      amqp.sendToQueue("jobs", "a job", { maxWait })
    ]
    expectTypeOf(patient).returns.toEqualTypeOf<Array<Effect.Effect<void, Failures>>>()
    // One by one, since a list would have the errors of all.
    const publish = () => amqp.publish("news", "weather", "rain", { maxWait: 0 })
    expectTypeOf(publish).returns.toEqualTypeOf<Effect.Effect<void, Failures | NotConnected>>()
    const sendToQueue = () => amqp.sendToQueue("jobs", "a job", { maxWait: "2 seconds", resend: true })
    expectTypeOf(sendToQueue).returns.toEqualTypeOf<Effect.Effect<void, Failures | NotConnected>>()
    const unknown = (options: Amqp.PublishOptions | undefined) => amqp.publish("news", "weather", "rain", options)
    expectTypeOf(unknown).returns.toEqualTypeOf<Effect.Effect<void, Failures | NotConnected>>()

    const one = () => Promise.resolve(1)
    const patientUse = (maxWait: undefined) => [amqp.use(one, undefined), amqp.use(one, {}), amqp.use(one, { maxWait })]
    expectTypeOf(patientUse).returns.toEqualTypeOf<Array<Effect.Effect<number, Failures | Lost>>>()
    const use = () => amqp.use(one, { maxWait: "2 seconds" })
    expectTypeOf(use).returns.toEqualTypeOf<Effect.Effect<number, Failures | Lost | NotConnected>>()
    const unknownUse = (options: ClientService.UseOptions | undefined) => amqp.use(one, options)
    expectTypeOf(unknownUse).returns.toEqualTypeOf<Effect.Effect<number, Failures | Lost | NotConnected>>()
  })
})
