import type { Socket } from "@effect/platform"
import { describe, expectTypeOf, it } from "@effect/vitest"
import {
  type Cause,
  Context,
  Data,
  type Duration,
  Effect,
  type Layer,
  type Option,
  Schedule,
  type Scope,
  type Stream
} from "effect"
import {
  ClientService,
  type ConnectionError,
  ConnectionState,
  Endpoint,
  RetryPolicy,
  TestEndpoint,
  type Transport,
  type WebSocketError
} from "effect-client-service"

interface Bytes {
  readonly bytes: true
}
interface Resp {
  readonly resp: true
}
const bytes: Bytes = { bytes: true }
const resp: Resp = { resp: true }

class ConnectFailed extends Data.TaggedError("ConnectFailed") {}
class Malformed extends Data.TaggedError("Malformed") {}
class Closing extends Data.TaggedError("Closing") {}
class Unhealthy extends Data.TaggedError("Unhealthy") {}

class Dns extends Context.Tag("test/Dns")<Dns, { readonly dns: true }>() {}
class Codec extends Context.Tag("test/Codec")<Codec, { readonly codec: true }>() {}
class Credentials extends Context.Tag("test/Credentials")<Credentials, { readonly credentials: true }>() {}
class Budget extends Context.Tag("test/Budget")<Budget, { readonly budget: true }>() {}

const finalizer = Effect.addFinalizer(() => Effect.void)

const endpoint = Endpoint.make({
  name: "test",
  connect: (_: Endpoint.ConnectionSignal<ConnectFailed>) => Effect.as(Effect.zip(Dns, finalizer), bytes)
})

const makeResp = (
  _transport: Bytes,
  _signal: Endpoint.ConnectionSignal<Closing>
): Effect.Effect<Resp, Malformed, Codec | Scope.Scope> => Effect.as(Effect.zip(Codec, finalizer), resp)

const check = (_: Resp): Effect.Effect<boolean, Unhealthy, Credentials | Scope.Scope> =>
  Effect.as(Effect.zip(Credentials, finalizer), true)

const budgeted = Schedule.tapInput(Schedule.forever, (_: unknown) => Budget)

type Failures<E> = ClientService.ServiceStopped | ClientService.RetriesExhausted<E>
type Attempts<E> = E | ClientService.ConnectTimeout | ClientService.ConnectionLost

describe("make", () => {
  it("of an endpoint alone has the endpoint's types", () => {
    expectTypeOf(ClientService.make({ endpoint })).toEqualTypeOf<
      Effect.Effect<ClientService.ClientService<Bytes, ConnectFailed>, never, Scope.Scope | Dns>
    >()
    expectTypeOf(ClientService.make({ endpoint, name: "name", connectTimeout: "1 second" })).toEqualTypeOf<
      Effect.Effect<ClientService.ClientService<Bytes, ConnectFailed>, never, Scope.Scope | Dns>
    >()
  })

  it("of an endpoint that can't fail and needs nothing has never for both", () => {
    const plain = Endpoint.make({ name: "plain", connect: () => Effect.succeed(1) })
    expectTypeOf(ClientService.make({ endpoint: plain })).toEqualTypeOf<
      Effect.Effect<ClientService.ClientService<number>, never, Scope.Scope>
    >()
  })

  it("infers the parameters of a protocol without annotations", () => {
    const made = ClientService.make({
      endpoint,
      protocol: (transport, signal) => {
        expectTypeOf(transport).toEqualTypeOf<Bytes>()
        expectTypeOf(signal).toEqualTypeOf<Endpoint.ConnectionSignal<never>>()
        signal.lost()
        return Effect.as(Effect.zip(Codec, finalizer), resp)
      }
    })
    expectTypeOf(made).toEqualTypeOf<
      Effect.Effect<ClientService.ClientService<Resp, ConnectFailed>, never, Scope.Scope | Dns | Codec>
    >()
  })

  it("infers a protocol that fails, without annotations", () => {
    expectTypeOf(ClientService.make({ endpoint, protocol: () => Effect.fail(new Malformed()) })).toEqualTypeOf<
      Effect.Effect<ClientService.ClientService<never, ConnectFailed | Malformed>, never, Scope.Scope | Dns>
    >()
  })

  it("takes the errors of a protocol and of its signal", () => {
    expectTypeOf(ClientService.make({ endpoint, protocol: makeResp })).toEqualTypeOf<
      Effect.Effect<
        ClientService.ClientService<Resp, ConnectFailed | Malformed | Closing>,
        never,
        Scope.Scope | Dns | Codec
      >
    >()
  })

  it("takes the errors and the needs of prepare, which gets the protocol", () => {
    expectTypeOf(ClientService.make({ endpoint, protocol: makeResp, prepare: check })).toEqualTypeOf<
      Effect.Effect<
        ClientService.ClientService<Resp, ConnectFailed | Malformed | Closing | Unhealthy>,
        never,
        Scope.Scope | Dns | Codec | Credentials
      >
    >()
    const inline = ClientService.make({
      endpoint,
      prepare: (protocol) => {
        expectTypeOf(protocol).toEqualTypeOf<Bytes>()
        return Effect.fail(new Unhealthy())
      }
    })
    expectTypeOf(inline).toEqualTypeOf<
      Effect.Effect<ClientService.ClientService<Bytes, ConnectFailed | Unhealthy>, never, Scope.Scope | Dns>
    >()
    const both = ClientService.make({
      endpoint,
      protocol: (transport) => Effect.succeed({ transport }),
      prepare: (protocol) => {
        expectTypeOf(protocol).toEqualTypeOf<{ transport: Bytes }>()
        return Effect.void
      }
    })
    expectTypeOf<Effect.Effect.Success<typeof both>>().toEqualTypeOf<
      ClientService.ClientService<{ transport: Bytes }, ConnectFailed>
    >()
  })

  it("takes the needs of a retry policy, and none of its types", () => {
    expectTypeOf(ClientService.make({ endpoint, retryPolicy: budgeted })).toEqualTypeOf<
      Effect.Effect<ClientService.ClientService<Bytes, ConnectFailed>, never, Scope.Scope | Dns | Budget>
    >()
  })

  it("gives a retry policy that is written in place its failures", () => {
    const made = ClientService.make({
      endpoint,
      protocol: makeResp,
      prepare: check,
      retryPolicy: Schedule.whileInput(RetryPolicy.backoff(), ({ cause, failures }) => {
        expectTypeOf(cause).toExtend<Cause.Cause<unknown>>()
        expectTypeOf(failures).toEqualTypeOf<number>()
        return cause._tag !== "Die"
      })
    })
    expectTypeOf<Effect.Effect.Success<typeof made>>().toEqualTypeOf<
      ClientService.ClientService<Resp, ConnectFailed | Malformed | Closing | Unhealthy>
    >()
  })

  it("refuses a protocol of another transport, and a prepare of another protocol", () => {
    const other = Endpoint.make({ name: "other", connect: () => Effect.succeed("text") })
    // @ts-expect-error: its transport is no text
    ClientService.make({ endpoint: other, protocol: makeResp })
    // @ts-expect-error: it prepares no Bytes
    ClientService.make({ endpoint, prepare: check })
  })
})

describe("ConnectionError", () => {
  it("is the caller's own errors and those of the service", () => {
    expectTypeOf<ClientService.ConnectionError<Malformed>>().toEqualTypeOf<
      Malformed | ClientService.ConnectTimeout | ClientService.ConnectionLost | ClientService.HeartbeatTimeout
    >()
    expectTypeOf<ConnectionError.ConnectionError<Malformed>>().toEqualTypeOf<ClientService.ConnectionError<Malformed>>()
  })
})

type Service = ClientService.ClientService<Resp, Malformed>

describe("a service", () => {
  const service = ClientService.make({ endpoint: Endpoint.make({ name: "a", connect: () => failing }) })
  const failing: Effect.Effect<Resp, Malformed> = Effect.succeed(resp)

  it("is what make gives", () => {
    expectTypeOf(service).toEqualTypeOf<Effect.Effect<Service, never, Scope.Scope>>()
  })

  it("whenConnected fails with the errors of attempts only if it counts failures", () => {
    const wait = (service: Service) => service.whenConnected()
    const count = (service: Service) => service.whenConnected({ failAfterFailures: 3 })
    expectTypeOf<ReturnType<typeof wait>>().toEqualTypeOf<Effect.Effect<Resp, Failures<Malformed>>>()
    expectTypeOf<ReturnType<typeof count>>().toEqualTypeOf<
      Effect.Effect<Resp, Attempts<Malformed> | Failures<Malformed>>
    >()
    // @ts-expect-error: it must be a number
    const _text = (service: Service) => service.whenConnected({ failAfterFailures: "3" })
    // @ts-expect-error: it must be given
    const _none = (service: Service) => service.whenConnected({})
  })

  it("use adds ConnectionLost to the errors and the needs of its function", () => {
    const use = (service: Service) =>
      service.use((protocol) => {
        expectTypeOf(protocol).toEqualTypeOf<Resp>()
        return Effect.zipRight(
          Codec,
          Effect.if(true, { onTrue: () => Effect.succeed(1), onFalse: () => new Closing() })
        )
      })
    expectTypeOf<ReturnType<typeof use>>().toEqualTypeOf<
      Effect.Effect<number, Closing | ClientService.ConnectionLost | Failures<Malformed>, Codec>
    >()
  })

  it("needs nothing and does not fail otherwise", () => {
    expectTypeOf<Service["start"]>().toEqualTypeOf<Effect.Effect<void>>()
    expectTypeOf<Service["stop"]>().toEqualTypeOf<Effect.Effect<void>>()
    expectTypeOf<Service["reconnect"]>().toEqualTypeOf<Effect.Effect<void>>()
    expectTypeOf<Service["running"]>().toEqualTypeOf<Effect.Effect<boolean>>()
    expectTypeOf<Service["name"]>().toEqualTypeOf<string>()
    expectTypeOf<Service["connections"]>().toEqualTypeOf<Stream.Stream<Resp, Failures<Malformed>>>()
    expectTypeOf<Service["protocol"]["get"]>().toEqualTypeOf<Effect.Effect<Option.Option<Resp>>>()
    expectTypeOf<Service["state"]["get"]>().toEqualTypeOf<
      Effect.Effect<ConnectionState.ConnectionState<Resp, Malformed>>
    >()
  })

  it("is one of a wider protocol and of wider errors, and not the other way", () => {
    type Wide = ClientService.ClientService<Resp | Bytes, Malformed | Closing>
    expectTypeOf<Service>().toExtend<Wide>()
    expectTypeOf<Wide>().not.toExtend<Service>()
    expectTypeOf<ClientService.ClientService<Resp, Malformed | Closing>>().not.toExtend<Service>()
    expectTypeOf<ClientService.ClientService<Resp | Bytes, Malformed>>().not.toExtend<Service>()
    expectTypeOf<ClientService.ClientService<Resp>>().toExtend<Service>()
  })
})

describe("layer", () => {
  class Peer extends Context.Tag("test/Peer")<Peer, ClientService.ClientService<Bytes, ConnectFailed>>() {}
  class Redis extends Context.Tag("test/Redis")<
    Redis,
    ClientService.ClientService<Resp, ConnectFailed | Malformed | Closing | Unhealthy>
  >() {}
  type RedisError = ConnectFailed | Malformed | Closing | Unhealthy

  it("can't fail if it does not wait for a connection, and needs no Scope", () => {
    expectTypeOf(ClientService.layer(Peer, { endpoint })).toEqualTypeOf<Layer.Layer<Peer, never, Dns>>()
    expectTypeOf(ClientService.layer(Redis, { endpoint, protocol: makeResp, prepare: check })).toEqualTypeOf<
      Layer.Layer<Redis, never, Dns | Codec | Credentials>
    >()
  })

  it("that waits fails as whenConnected does", () => {
    expectTypeOf(ClientService.layer(Peer, { endpoint, waitForConnection: {} })).toEqualTypeOf<
      Layer.Layer<Peer, Failures<ConnectFailed>, Dns>
    >()
    expectTypeOf(ClientService.layer(Peer, { endpoint, waitForConnection: { failAfterFailures: 3 } })).toEqualTypeOf<
      Layer.Layer<Peer, Attempts<ConnectFailed> | Failures<ConnectFailed>, Dns>
    >()
    const options = { endpoint, protocol: makeResp, prepare: check }
    expectTypeOf(ClientService.layer(Redis, { ...options, waitForConnection: {} })).toEqualTypeOf<
      Layer.Layer<Redis, Failures<RedisError>, Dns | Codec | Credentials>
    >()
    expectTypeOf(ClientService.layer(Redis, { ...options, waitForConnection: { failAfterFailures: 3 } })).toEqualTypeOf<
      Layer.Layer<Redis, Attempts<RedisError> | Failures<RedisError>, Dns | Codec | Credentials>
    >()
  })

  it("that may wait may fail", () => {
    const wait: { readonly failAfterFailures?: number } = {}
    expectTypeOf(ClientService.layer(Peer, { endpoint, waitForConnection: wait })).toEqualTypeOf<
      Layer.Layer<Peer, Attempts<ConnectFailed> | Failures<ConnectFailed>, Dns>
    >()
  })

  it("infers the parameters of a protocol and a prepare without annotations", () => {
    const built = ClientService.layer(Redis, {
      endpoint,
      protocol: (transport, signal) => {
        expectTypeOf(transport).toEqualTypeOf<Bytes>()
        signal.lost()
        return Effect.as(Codec, resp)
      },
      prepare: (protocol) => {
        expectTypeOf(protocol).toEqualTypeOf<Resp>()
        return Effect.zip(Credentials, finalizer)
      }
    })
    expectTypeOf(built).toEqualTypeOf<Layer.Layer<Redis, never, Dns | Codec | Credentials>>()
  })

  it("takes the needs of a retry policy", () => {
    expectTypeOf(ClientService.layer(Peer, { endpoint, retryPolicy: budgeted })).toEqualTypeOf<
      Layer.Layer<Peer, never, Dns | Budget>
    >()
  })

  it("makes a service of fewer errors than its tag tells", () => {
    const plain = Endpoint.make({ name: "plain", connect: () => Effect.succeed(bytes) })
    expectTypeOf(ClientService.layer(Peer, { endpoint: plain })).toEqualTypeOf<Layer.Layer<Peer>>()
    const mapped = Endpoint.map(plain, (bytes) => bytes)
    expectTypeOf(ClientService.layer(Peer, { endpoint: mapped })).toEqualTypeOf<Layer.Layer<Peer>>()
  })

  it("refuses a tag of another protocol, and one of fewer errors", () => {
    class Text extends Context.Tag("test/Text")<Text, ClientService.ClientService<string, ConnectFailed>>() {}
    class Sure extends Context.Tag("test/Sure")<Sure, ClientService.ClientService<Bytes>>() {}
    class Checked extends Context.Tag("test/Checked")<Checked, ClientService.ClientService<Bytes, Unhealthy>>() {}
    class Other extends Context.Tag("test/Other")<Other, { readonly other: true }>() {}
    // @ts-expect-error: the endpoint gives no text
    ClientService.layer(Text, { endpoint })
    // @ts-expect-error: the endpoint can fail
    ClientService.layer(Sure, { endpoint })
    // @ts-expect-error: it fails otherwise
    ClientService.layer(Checked, { endpoint })
    // @ts-expect-error: it is no tag of a service
    ClientService.layer(Other, { endpoint })
    // @ts-expect-error: the tag does not tell that prepare can fail
    ClientService.layer(Peer, { endpoint, prepare: () => Effect.fail(new Unhealthy()) })
    // @ts-expect-error: the tag does not tell of the errors of the protocol
    ClientService.layer(Peer, { endpoint, protocol: () => Effect.fail(new Malformed()) })
  })
})

describe("Tag", () => {
  class Redis extends ClientService.Tag("test/TaggedRedis")<Redis, Resp, ConnectFailed | Malformed | Closing>() {}
  class Sure extends ClientService.Tag("test/TaggedSure")<Sure, Bytes>() {}
  type RedisError = ConnectFailed | Malformed | Closing

  it("is a tag of its service", () => {
    expectTypeOf(Effect.map(Redis, (service) => service)).toEqualTypeOf<
      Effect.Effect<ClientService.ClientService<Resp, RedisError>, never, Redis>
    >()
    expectTypeOf(Redis.key).toEqualTypeOf<"test/TaggedRedis">()
  })

  it("has statics that need the service and have its types", () => {
    expectTypeOf(Redis.whenConnected()).toEqualTypeOf<Effect.Effect<Resp, Failures<RedisError>, Redis>>()
    expectTypeOf(Redis.whenConnected({ failAfterFailures: 1 })).toEqualTypeOf<
      Effect.Effect<Resp, Attempts<RedisError> | Failures<RedisError>, Redis>
    >()
    expectTypeOf(Redis.use((protocol) => Effect.as(Codec, protocol.resp))).toEqualTypeOf<
      Effect.Effect<true, ClientService.ConnectionLost | Failures<RedisError>, Codec | Redis>
    >()
    expectTypeOf(Sure.whenConnected()).toEqualTypeOf<Effect.Effect<Bytes, Failures<never>, Sure>>()
  })

  it("has a layer with the types of ClientService.layer", () => {
    expectTypeOf(Redis.layer({ endpoint, protocol: makeResp })).toEqualTypeOf<Layer.Layer<Redis, never, Dns | Codec>>()
    expectTypeOf(Redis.layer({ endpoint, protocol: makeResp, waitForConnection: {} })).toEqualTypeOf<
      Layer.Layer<Redis, Failures<RedisError>, Dns | Codec>
    >()
    expectTypeOf(
      Redis.layer({ endpoint, protocol: makeResp, waitForConnection: { failAfterFailures: 3 } })
    ).toEqualTypeOf<Layer.Layer<Redis, Attempts<RedisError> | Failures<RedisError>, Dns | Codec>>()
    expectTypeOf(
      Redis.layer({
        endpoint,
        protocol: (transport) => {
          expectTypeOf(transport).toEqualTypeOf<Bytes>()
          return Effect.succeed(resp)
        }
      })
    ).toEqualTypeOf<Layer.Layer<Redis, never, Dns>>()
    // @ts-expect-error: the endpoint can fail
    Sure.layer({ endpoint })
    // @ts-expect-error: the endpoint gives no Resp
    Redis.layer({ endpoint })
  })
})

describe("Endpoint", () => {
  it("is covariant in all that it tells", () => {
    type Narrow = Endpoint.Endpoint<Resp, Malformed, Codec>
    expectTypeOf<Narrow>().toExtend<Endpoint.Endpoint<Resp | Bytes, Malformed | Closing, Codec | Dns>>()
    expectTypeOf<Endpoint.Endpoint<Resp | Bytes, Malformed, Codec>>().not.toExtend<Narrow>()
    expectTypeOf<Endpoint.Endpoint<Resp, Malformed | Closing, Codec>>().not.toExtend<Narrow>()
    expectTypeOf<Endpoint.Endpoint<Resp, Malformed, Codec | Dns>>().not.toExtend<Narrow>()
  })

  it("has a signal that is contravariant in its errors", () => {
    expectTypeOf<Endpoint.ConnectionSignal<Malformed | Closing>>().toExtend<Endpoint.ConnectionSignal<Malformed>>()
    expectTypeOf<Endpoint.ConnectionSignal<Malformed>>().not.toExtend<Endpoint.ConnectionSignal<Malformed | Closing>>()
  })

  it("make takes the errors of connect and of the signal, and keeps the Scope to itself", () => {
    expectTypeOf(endpoint).toExtend<Endpoint.Endpoint<Bytes, ConnectFailed, Dns>>()
    const made = Endpoint.make({
      name: "both",
      connect: (_: Endpoint.ConnectionSignal<Closing>) =>
        Effect.zipRight(
          finalizer,
          Effect.if(true, { onTrue: () => Effect.succeed(resp), onFalse: () => new Malformed() })
        )
    })
    expectTypeOf(made).toExtend<Endpoint.Endpoint<Resp, Malformed | Closing>>()
    expectTypeOf(made).not.toExtend<Endpoint.Endpoint<Resp, Malformed>>()
    expectTypeOf(made).not.toExtend<Endpoint.Endpoint<Resp, Closing>>()
  })

  it("combinators change what they name, data first and data last", () => {
    type Mapped<A, E, R> = ReturnType<typeof Endpoint.map<Bytes, E, R, A>>
    expectTypeOf(Endpoint.map(endpoint, () => resp)).toEqualTypeOf<Mapped<Resp, ConnectFailed, Dns>>()
    expectTypeOf(endpoint.pipe(Endpoint.map((bytes) => bytes.bytes))).toEqualTypeOf<Mapped<true, ConnectFailed, Dns>>()
    expectTypeOf(Endpoint.mapEffect(endpoint, (bytes) => makeResp(bytes, { lost: () => {} }))).toEqualTypeOf<
      Mapped<Resp, ConnectFailed | Malformed, Dns | Codec>
    >()
    expectTypeOf(endpoint.pipe(Endpoint.mapEffect((bytes) => makeResp(bytes, { lost: () => {} })))).toEqualTypeOf<
      Mapped<Resp, ConnectFailed | Malformed, Dns | Codec>
    >()
    expectTypeOf(Endpoint.mapError(endpoint, () => new Closing())).toEqualTypeOf<Mapped<Bytes, Closing, Dns>>()
    expectTypeOf(endpoint.pipe(Endpoint.mapError((error) => error._tag))).toEqualTypeOf<
      Mapped<Bytes, "ConnectFailed", Dns>
    >()
    expectTypeOf(Endpoint.tap(endpoint, () => check(resp))).toEqualTypeOf<
      Mapped<Bytes, ConnectFailed | Unhealthy, Dns | Credentials>
    >()
    expectTypeOf(endpoint.pipe(Endpoint.tap(() => check(resp)))).toEqualTypeOf<
      Mapped<Bytes, ConnectFailed | Unhealthy, Dns | Credentials>
    >()
  })

  it("fromSocket gives a Transport, and adds the errors of sockets", () => {
    const socket: Effect.Effect<Socket.Socket, Unhealthy, Credentials | Scope.Scope> = Effect.die("unused")
    expectTypeOf(Endpoint.fromSocket("ws", socket)).toExtend<
      Endpoint.Endpoint<Transport.Transport, Unhealthy | Socket.SocketError | Transport.TransportError, Credentials>
    >()
    expectTypeOf(Endpoint.fromSocket("ws", socket)).not.toExtend<
      Endpoint.Endpoint<Transport.Transport, Unhealthy | Socket.SocketError | Transport.TransportError>
    >()
  })

  it("webSocket needs the WebSocket of the platform, and adds what the Effect of its URL fails with and needs", () => {
    type Own = WebSocketError.WebSocketError | Transport.TransportError
    const url: Effect.Effect<string, Unhealthy, Credentials | Scope.Scope> = Effect.die("unused")
    expectTypeOf(Endpoint.webSocket("ws://127.0.0.1")).toEqualTypeOf<
      Endpoint.Endpoint<Transport.Transport, Own, Socket.WebSocketConstructor>
    >()
    expectTypeOf(Endpoint.webSocket(url)).toEqualTypeOf<
      Endpoint.Endpoint<Transport.Transport, Own | Unhealthy, Socket.WebSocketConstructor | Credentials>
    >()
  })
})

describe("RetryPolicy", () => {
  type Errors = ClientService.ConnectionError<ConnectFailed>

  it("is any Schedule that takes any input", () => {
    expectTypeOf(Schedule.forever).toExtend<RetryPolicy.RetryPolicy<Errors>>()
    expectTypeOf(Schedule.recurs(3)).toExtend<RetryPolicy.RetryPolicy<never>>()
    expectTypeOf(Schedule.exponential("1 second").pipe(Schedule.jittered)).toExtend<RetryPolicy.RetryPolicy<Errors>>()
    expectTypeOf(budgeted).toExtend<RetryPolicy.RetryPolicy<Errors, Budget>>()
    expectTypeOf(budgeted).not.toExtend<RetryPolicy.RetryPolicy<Errors>>()
  })

  it("of any error is one of each, and not the other way", () => {
    expectTypeOf<RetryPolicy.RetryPolicy<unknown>>().toExtend<RetryPolicy.RetryPolicy<Errors>>()
    expectTypeOf<RetryPolicy.RetryPolicy<Errors>>().not.toExtend<RetryPolicy.RetryPolicy<unknown>>()
    expectTypeOf(RetryPolicy.backoff()).toEqualTypeOf<RetryPolicy.RetryPolicy<unknown>>()
    expectTypeOf(RetryPolicy.fullJitter()).toEqualTypeOf<RetryPolicy.RetryPolicy<unknown>>()
    expectTypeOf(RetryPolicy.decorrelatedJitter()).toEqualTypeOf<RetryPolicy.RetryPolicy<unknown>>()
    expectTypeOf(RetryPolicy.fromFunction(() => 1)).toEqualTypeOf<RetryPolicy.RetryPolicy<unknown>>()
    expectTypeOf(RetryPolicy.fromFunction).parameter(0).toEqualTypeOf<(failures: number) => Duration.DurationInput>()
  })

  it("of other errors than the service's is refused", () => {
    const whileFailure = <E>(f: (failure: RetryPolicy.ConnectionFailure<E>) => boolean) =>
      Schedule.whileInput(RetryPolicy.backoff(), f)
    const fitting = whileFailure<Errors>(({ failures }) => failures < 3)
    const other = whileFailure<Closing>(({ failures }) => failures < 3)
    const own = whileFailure<ConnectFailed>(({ failures }) => failures < 3)
    const text = Schedule.recurWhile((input: string) => input === "again")
    ClientService.make({ endpoint, retryPolicy: fitting })
    // @ts-expect-error: it wants other errors
    ClientService.make({ endpoint, retryPolicy: other })
    // @ts-expect-error: it does not take the errors of the service
    ClientService.make({ endpoint, retryPolicy: own })
    // @ts-expect-error: its input is no failure
    ClientService.make({ endpoint, retryPolicy: text })
    class Peer extends ClientService.Tag("test/PolicyPeer")<Peer, Bytes, ConnectFailed>() {}
    Peer.layer({ endpoint, retryPolicy: fitting })
    // @ts-expect-error: it wants other errors
    Peer.layer({ endpoint, retryPolicy: other })
  })
})

describe("ConnectionState", () => {
  type State = ConnectionState.ConnectionState<Resp, Malformed>

  it("match gives each state its own fields, and takes every state", () => {
    const matching = (state: State) =>
      ConnectionState.match(state, {
        Init: () => "none" as const,
        Connecting: ({ attempt, failures }) => {
          expectTypeOf(attempt).toEqualTypeOf<number>()
          return failures
        },
        Connected: ({ connectedAt, generation, protocol }) => {
          expectTypeOf(protocol).toEqualTypeOf<Resp>()
          return { connectedAt, generation, protocol }
        },
        Waiting: ({ cause, delay, retryAt }) => {
          expectTypeOf(cause).toEqualTypeOf<Cause.Cause<ConnectionError.ConnectionError<Malformed>>>()
          expectTypeOf(delay).toEqualTypeOf<Duration.Duration>()
          return retryAt
        },
        Disconnecting: () => "none" as const,
        Restarting: () => "none" as const,
        Stopped: () => "none" as const,
        Exhausted: ({ cause }) => cause
      })
    expectTypeOf(matching).returns.toEqualTypeOf<
      | "none"
      | number
      | { connectedAt: number; generation: number; protocol: Resp }
      | Cause.Cause<ConnectionError.ConnectionError<Malformed>>
    >()
    // @ts-expect-error: the other states are missing
    const _partial = (state: State) => ConnectionState.match(state, { Init: () => 1 })
  })

  it("is narrows to a state and keeps its protocol and errors", () => {
    const narrow = (state: State) => {
      if (ConnectionState.is("Connected")(state)) return state.protocol
      if (ConnectionState.is("Exhausted")(state)) return state.cause
      return undefined
    }
    expectTypeOf(narrow).returns.toEqualTypeOf<
      Resp | Cause.Cause<ConnectionError.ConnectionError<Malformed>> | undefined
    >()
  })

  it("is covariant", () => {
    expectTypeOf<State>().toExtend<ConnectionState.ConnectionState<Resp | Bytes, Malformed | Closing>>()
    expectTypeOf<ConnectionState.ConnectionState<Resp | Bytes, Malformed>>().not.toExtend<State>()
    expectTypeOf<ConnectionState.ConnectionState<Resp, Malformed | Closing>>().not.toExtend<State>()
  })
})

describe("TestEndpoint", () => {
  it("is an endpoint of its types, and takes outcomes of fewer", () => {
    expectTypeOf(TestEndpoint.make<Resp, Malformed>()).toEqualTypeOf<
      Effect.Effect<TestEndpoint.TestEndpoint<Resp, Malformed>>
    >()
    expectTypeOf<TestEndpoint.TestEndpoint<Resp, Malformed>["endpoint"]>().toEqualTypeOf<
      Endpoint.Endpoint<Resp, Malformed>
    >()
    type Script = TestEndpoint.Outcome<Resp, Malformed>
    const script = (server: TestEndpoint.TestEndpoint<Resp, Malformed>) =>
      server.script(TestEndpoint.accepted(resp), TestEndpoint.hung, TestEndpoint.refused(new Malformed()))
    expectTypeOf(script).returns.toEqualTypeOf<Effect.Effect<void>>()
    expectTypeOf(TestEndpoint.accepted(resp)).toExtend<Script>()
    expectTypeOf(TestEndpoint.refused(new Malformed())).toExtend<Script>()
    expectTypeOf(TestEndpoint.hung).toExtend<Script>()
    expectTypeOf(TestEndpoint.died("bug")).toExtend<Script>()
    expectTypeOf(TestEndpoint.delayed(TestEndpoint.dropped(resp, 1), 1)).toExtend<Script>()
    expectTypeOf(TestEndpoint.uninterruptible(TestEndpoint.refused(new Malformed()))).toExtend<Script>()
    expectTypeOf(TestEndpoint.accepted(bytes)).not.toExtend<Script>()
    expectTypeOf(TestEndpoint.refused(new Closing())).not.toExtend<Script>()
  })
})
