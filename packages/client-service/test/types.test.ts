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
  Stream
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
    const none = (service: Service) => [
      service.whenConnected({}),
      service.whenConnected(undefined),
      service.whenConnected({ failAfterFailures: undefined })
    ]
    expectTypeOf(none).returns.toEqualTypeOf<Array<Effect.Effect<Resp, Failures<Malformed>>>>()
    const maybe = (service: Service, options: ClientService.WaitForConnection | undefined) =>
      service.whenConnected(options)
    expectTypeOf(maybe).returns.toEqualTypeOf<Effect.Effect<Resp, Attempts<Malformed> | Failures<Malformed>>>()
    expectTypeOf(
      // @ts-expect-error: it must be a number
      (service: Service) => service.whenConnected({ failAfterFailures: "3" })
    ).toBeFunction()
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

  it("use fails with NotConnected only if it is told how long to wait", () => {
    type Patient = Effect.Effect<number, ClientService.ConnectionLost | Failures<Malformed>>
    type Impatient = Effect.Effect<
      number,
      ClientService.ConnectionLost | ClientService.NotConnected<Malformed> | Failures<Malformed>
    >
    const one = () => Effect.succeed(1)
    const patient = (service: Service) => [
      service.use(one, undefined),
      service.use(one, {}),
      service.use(one, { maxWait: undefined })
    ]
    expectTypeOf(patient).returns.toEqualTypeOf<Array<Patient>>()
    const impatient = (service: Service, options: ClientService.UseOptions | undefined) => [
      service.use(one, options),
      service.use(one, { maxWait: "2 seconds" }),
      service.use(one, { maxWait: 0 })
    ]
    expectTypeOf(impatient).returns.toEqualTypeOf<Array<Impatient>>()
    type State = ClientService.NotConnected<Malformed>["state"]
    expectTypeOf<State>().toEqualTypeOf<ConnectionState.ConnectionState<unknown, Malformed>>()
  })

  it("usePromise fails with UnknownException, or with the error that is made of a rejection", () => {
    const plain = (service: Service) =>
      service.usePromise((protocol, signal) => {
        expectTypeOf(protocol).toEqualTypeOf<Resp>()
        expectTypeOf(signal).toEqualTypeOf<AbortSignal>()
        return Promise.resolve(1)
      })
    type Lost = ClientService.ConnectionLost | Failures<Malformed>
    expectTypeOf(plain).returns.toEqualTypeOf<Effect.Effect<number, Cause.UnknownException | Lost>>()
    const caught = (service: Service) =>
      service.usePromise({
        try: (protocol, signal) => {
          expectTypeOf(protocol).toEqualTypeOf<Resp>()
          expectTypeOf(signal).toEqualTypeOf<AbortSignal>()
          return Promise.resolve(1)
        },
        catch: (error) => {
          expectTypeOf(error).toEqualTypeOf<unknown>()
          return new Closing()
        }
      })
    expectTypeOf(caught).returns.toEqualTypeOf<Effect.Effect<number, Closing | Lost>>()
    const impatient = (service: Service) => service.usePromise(() => Promise.resolve(1), { maxWait: 0 })
    expectTypeOf(impatient).returns.toEqualTypeOf<
      Effect.Effect<number, Cause.UnknownException | ClientService.NotConnected<Malformed> | Lost>
    >()
  })

  it("useAsync fails with what it is resumed with", () => {
    const resumed = (service: Service) =>
      service.useAsync<number, Closing>((protocol, resume) => {
        expectTypeOf(protocol).toEqualTypeOf<Resp>()
        resume(Effect.fail(new Closing()))
        return () => {}
      })
    type Lost = ClientService.ConnectionLost | Failures<Malformed>
    expectTypeOf(resumed).returns.toEqualTypeOf<Effect.Effect<number, Closing | Lost>>()
    const impatient = (service: Service) =>
      service.useAsync<number>(
        (_, resume) => {
          resume(Effect.succeed(1))
        },
        { maxWait: 0 }
      )
    expectTypeOf(impatient).returns.toEqualTypeOf<Effect.Effect<number, ClientService.NotConnected<Malformed> | Lost>>()
  })

  it("goes into a list with others", () => {
    const listed = (service: Service, other: ClientService.ClientService<Bytes>) => {
      const services: Array<ClientService.ClientService<unknown, unknown>> = [service, other]
      return Effect.forEach(services, ({ stop }) => stop)
    }
    expectTypeOf(listed).returns.toEqualTypeOf<Effect.Effect<Array<void>>>()
    const mixed = (service: Service, other: ClientService.ClientService<Bytes>) =>
      [service, other].map((each) => each.state.get)
    expectTypeOf(mixed).toBeFunction()
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

describe("options are inferred", () => {
  class Redis extends ClientService.Tag("test/InferredRedis")<
    Redis,
    Resp,
    ConnectFailed | Malformed | Closing | Unhealthy
  >() {}
  class Peer extends ClientService.Tag("test/InferredPeer")<Peer, Bytes, ConnectFailed>() {}
  type RedisError = ConnectFailed | Malformed | Closing | Unhealthy

  const secure = Endpoint.make({
    name: "secure",
    connect: (_: Endpoint.ConnectionSignal<Unhealthy>) => Effect.as(Budget, bytes)
  })

  const everySecond = { interval: "1 second", timeout: "1 second" } as const

  it("the errors of a policy's predicate, wherever it stands if the tag has them", () => {
    const tagged = Redis.layer({
      endpoint,
      retryPolicy: {
        while: (error) => {
          expectTypeOf(error).toEqualTypeOf<ClientService.ConnectionError<RedisError>>()
          return error._tag !== "Malformed"
        }
      },
      protocol: makeResp,
      prepare: (redis) => (redis.resp ? Effect.fail(new Unhealthy()) : Effect.void)
    })
    expectTypeOf(tagged).toEqualTypeOf<Layer.Layer<Redis, never, Dns | Codec>>()
    Redis.layer({
      endpoint,
      protocol: makeResp,
      // @ts-expect-error: there is no such error
      retryPolicy: { while: (error) => error._tag !== "Refused" }
    })
    ClientService.layer(Redis, {
      endpoint,
      protocol: makeResp,
      retryPolicy: { while: (error) => Effect.as(Budget, error._tag !== "Closing"), times: 3 }
    }) satisfies Layer.Layer<Redis, never, Dns | Codec | Budget>
  })

  it("the errors of a policy's predicate, of all that is inferred before it", () => {
    const made = ClientService.make({
      endpoint,
      protocol: (transport) => Effect.as(Codec, { transport }),
      prepare: () => Effect.fail(new Unhealthy()),
      heartbeat: { ...everySecond, probe: () => Effect.fail(new Closing()) },
      retryPolicy: {
        while: (error) => {
          expectTypeOf(error).toEqualTypeOf<ClientService.ConnectionError<ConnectFailed | Unhealthy | Closing>>()
          return error._tag !== "Unhealthy"
        }
      }
    })
    expectTypeOf<Effect.Effect.Success<typeof made>>().toEqualTypeOf<
      ClientService.ClientService<{ transport: Bytes }, ConnectFailed | Unhealthy | Closing>
    >()
    const first = ClientService.make({
      retryPolicy: {
        while: (error) => {
          expectTypeOf(error).toEqualTypeOf<ClientService.ConnectionError<ConnectFailed | Malformed | Closing>>()
          return error._tag !== "Malformed"
        }
      },
      endpoint,
      protocol: makeResp,
      prepare: (redis) => Effect.succeed(redis.resp)
    })
    expectTypeOf<Effect.Effect.Success<typeof first>>().toEqualTypeOf<
      ClientService.ClientService<Resp, ConnectFailed | Malformed | Closing>
    >()
    ClientService.make({
      endpoint,
      // @ts-expect-error: it does not know yet that the attempt may be Unhealthy
      retryPolicy: { while: (error) => error._tag !== "ConnectFailed" },
      prepare: (transport) => (transport.bytes ? Effect.fail(new Unhealthy()) : Effect.void)
    })
    ClientService.make({
      endpoint,
      // @ts-expect-error: it does not take the errors of the service
      retryPolicy: { while: (error: ConnectFailed) => error._tag === "ConnectFailed" }
    })
    ClientService.make({
      endpoint,
      retryPolicy: { while: (_: unknown) => true, schedule: budgeted }
    }) satisfies Effect.Effect<ClientService.ClientService<Bytes, ConnectFailed>, never, Scope.Scope | Dns | Budget>
  })

  it("and a schedule that is written in place is no trouble for those after it", () => {
    const made = ClientService.make({
      endpoint,
      retryPolicy: Schedule.whileInput(RetryPolicy.backoff(), ({ failures }) => failures < 3),
      prepare: (transport) => (transport.bytes ? Effect.fail(new Unhealthy()) : Effect.void),
      heartbeat: { ...everySecond, probe: (transport) => (transport.bytes ? Effect.fail(new Closing()) : Effect.void) }
    })
    expectTypeOf(made).toEqualTypeOf<
      Effect.Effect<ClientService.ClientService<Bytes, ConnectFailed | Unhealthy | Closing>, never, Scope.Scope | Dns>
    >()
  })

  it("the failures that a schedule takes, if the tag has the errors", () => {
    Peer.layer({
      endpoint,
      retryPolicy: Schedule.recurWhile(({ cause, failures }) => {
        expectTypeOf(cause).toEqualTypeOf<Cause.Cause<ClientService.ConnectionError<ConnectFailed>>>()
        return failures < 3
      })
    }) satisfies Layer.Layer<Peer, never, Dns>
    ClientService.make({
      endpoint,
      retryPolicy: Schedule.recurWhile(({ failures }: RetryPolicy.ConnectionFailure<unknown>) => failures < 3)
    }) satisfies Effect.Effect<ClientService.ClientService<Bytes, ConnectFailed>, never, Scope.Scope | Dns>
    ClientService.make({
      endpoint,
      // @ts-expect-error: without an annotation, it takes the failures of a service without errors of its own
      retryPolicy: Schedule.recurWhile(({ failures }) => failures < 3)
    })
  })

  it("an endpoint that is one of several", () => {
    const choose = (isSecure: boolean) => ClientService.make({ endpoint: isSecure ? secure : endpoint })
    expectTypeOf(choose).returns.toEqualTypeOf<
      Effect.Effect<ClientService.ClientService<Bytes, Unhealthy | ConnectFailed>, never, Scope.Scope | Dns | Budget>
    >()
    const chosen = (isSecure: boolean) =>
      ClientService.make({ endpoint: isSecure ? secure : endpoint, protocol: (transport) => Effect.succeed(transport) })
    expectTypeOf(chosen).returns.toEqualTypeOf<ReturnType<typeof choose>>()
    const layer = (isSecure: boolean) => Redis.layer({ endpoint: isSecure ? secure : endpoint, protocol: makeResp })
    expectTypeOf(layer).returns.toEqualTypeOf<Layer.Layer<Redis, never, Dns | Budget | Codec>>()
  })

  it("the errors of a signal, if the tag has them", () => {
    const layer = Redis.layer({
      endpoint: Endpoint.make({
        name: "in place",
        connect: (signal) => {
          signal.lost(new ConnectFailed())
          return Effect.as(Dns, bytes)
        }
      }),
      protocol: (transport, signal) => {
        expectTypeOf(transport).toEqualTypeOf<Bytes>()
        signal.lost(new Closing())
        return Effect.as(Codec, resp)
      }
    })
    expectTypeOf(layer).toEqualTypeOf<Layer.Layer<Redis, never, Dns | Codec>>()
    ClientService.layer(Peer, {
      endpoint: Endpoint.make({
        name: "in place",
        connect: (signal) => {
          signal.lost(new ConnectFailed())
          return Effect.succeed(bytes)
        }
      })
    }) satisfies Layer.Layer<Peer>
    Peer.layer({
      endpoint,
      protocol: (transport, signal) => {
        // @ts-expect-error: the tag does not tell of it
        signal.lost(new Closing())
        return Effect.succeed(transport)
      }
    })
  })

  it("a mistake in the options of a Layer at the option that has it, and not at a callback beside it", () => {
    class Probed extends ClientService.Tag("test/Probed")<Probed, Bytes, ConnectFailed | Unhealthy | Closing>() {}
    const first = () =>
      Probed.layer({
        endpoint,
        prepare: (transport) => (transport.bytes ? Effect.fail(new Unhealthy()) : Effect.void),
        // @ts-expect-error: it has no timeout
        heartbeat: {
          probe: (transport) => (transport.bytes ? Effect.fail(new Closing()) : Effect.void),
          interval: "1 second"
        }
      })
    const second = () =>
      ClientService.layer(Probed, {
        endpoint,
        prepare: (transport) => (transport.bytes ? Effect.fail(new Unhealthy()) : Effect.void),
        // @ts-expect-error: it is no duration
        drainTimeout: "5 secs"
      })
    expectTypeOf(first).toBeFunction()
    expectTypeOf(second).toBeFunction()
  })

  it("prepare and a heartbeat before the protocol, which the tag tells, or protocol without the options after it", () => {
    Redis.layer({
      prepare: (redis) => {
        expectTypeOf(redis).toEqualTypeOf<Resp>()
        return Effect.void
      },
      heartbeat: {
        ...everySecond,
        probe: (redis) => {
          expectTypeOf(redis).toEqualTypeOf<Resp>()
          return Effect.void
        }
      },
      endpoint,
      protocol: (transport) => (transport.bytes ? Effect.succeed(resp) : Effect.fail(new Malformed()))
    }) satisfies Layer.Layer<Redis, never, Dns>
    const made = ClientService.make({
      prepare: (redis) => {
        expectTypeOf(redis).toEqualTypeOf<Resp>()
        return Effect.void
      },
      protocol: makeResp,
      endpoint
    })
    expectTypeOf<Effect.Effect.Success<typeof made>>().toEqualTypeOf<
      ClientService.ClientService<Resp, ConnectFailed | Malformed | Closing>
    >()
    ClientService.make({
      endpoint,
      // @ts-expect-error: it is what the endpoint connects to, since the protocol is not known yet
      prepare: (redis) => Effect.succeed(redis.made),
      // @ts-expect-error: and so is that
      protocol: (transport) => Effect.succeed({ made: transport })
    })
  })

  it("the errors and the needs of functions that give one Effect or another", () => {
    const made = ClientService.make({
      endpoint,
      prepare: (transport) =>
        transport.bytes ? Effect.fail(new Unhealthy()) : Effect.zipRight(Codec, Effect.fail(new Closing()))
    })
    expectTypeOf(made).toEqualTypeOf<
      Effect.Effect<
        ClientService.ClientService<Bytes, ConnectFailed | Unhealthy | Closing>,
        never,
        Scope.Scope | Dns | Codec
      >
    >()
  })

  it("a bag of options that several services share", () => {
    const common = {
      connectTimeout: "5 seconds",
      drainTimeout: "10 seconds",
      retryPolicy: { while: (error) => error !== "fatal", times: 3 },
      prepare: (_: { readonly bytes: boolean }) => Effect.succeed(1)
    } satisfies ClientService.CommonOptions
    expectTypeOf(ClientService.make({ ...common, endpoint })).toEqualTypeOf<
      Effect.Effect<ClientService.ClientService<Bytes, ConnectFailed>, never, Scope.Scope | Dns>
    >()
    expectTypeOf(Peer.layer({ ...common, endpoint })).toEqualTypeOf<Layer.Layer<Peer, never, Dns>>()
    expectTypeOf(ClientService.layer(Peer, { ...common, endpoint: secureAsPeer })).toEqualTypeOf<
      Layer.Layer<Peer, never, Budget>
    >()
    // @ts-expect-error: it is no option
    const _other = { connectTimeOut: "5 seconds" } satisfies ClientService.CommonOptions
    expectTypeOf(_other).toBeObject()
  })

  const secureAsPeer = Endpoint.mapError(secure, () => new ConnectFailed())

  it("no Scope is asked for, whoever adds a finalizer", () => {
    const finalizing = () => finalizer
    const options = {
      endpoint,
      prepare: finalizing,
      heartbeat: { ...everySecond, probe: finalizing },
      retryPolicy: {
        schedule: Schedule.tapInput(Schedule.forever, finalizing),
        while: () => Effect.as(finalizer, true)
      }
    }
    expectTypeOf(Peer.layer(options)).toEqualTypeOf<Layer.Layer<Peer, never, Dns>>()
    expectTypeOf(ClientService.layer(Peer, options)).toEqualTypeOf<Layer.Layer<Peer, never, Dns>>()
    expectTypeOf(Peer.layer({ endpoint, protocol: (transport) => Effect.as(finalizer, transport) })).toEqualTypeOf<
      Layer.Layer<Peer, never, Dns>
    >()
  })

  it("those of a wrapper that is generic itself", () => {
    const make = <P, E, ES, R>(
      protocol: (transport: Bytes, signal: Endpoint.ConnectionSignal<ES>) => Effect.Effect<P, E, R | Scope.Scope>
    ): Effect.Effect<ClientService.ClientService<P, ConnectFailed | E | ES>, never, Scope.Scope | Dns | R> =>
      ClientService.make({ endpoint, protocol })
    expectTypeOf(make(makeResp)).toEqualTypeOf<
      Effect.Effect<
        ClientService.ClientService<Resp, ConnectFailed | Malformed | Closing>,
        never,
        Scope.Scope | Dns | Codec
      >
    >()
    const prepared = <P, E, R>(
      endpoint: Endpoint.Endpoint<P, E, R>,
      prepare: (protocol: P) => Effect.Effect<void, E, R>
    ): Effect.Effect<ClientService.ClientService<P, E>, never, Scope.Scope | R> =>
      ClientService.make({ endpoint, prepare, retryPolicy: RetryPolicy.backoff() })
    expectTypeOf(prepared<Resp, Closing, Codec>).toBeFunction()
    const layer = <Id, P, E, R>(
      tag: Context.Tag<Id, ClientService.ClientService<P, ConnectFailed | E>>,
      protocol: (transport: Bytes, signal: Endpoint.ConnectionSignal<E>) => Effect.Effect<P, E, R | Scope.Scope>
    ): Layer.Layer<Id, never, Dns | R> => ClientService.layer(tag, { endpoint, protocol, retryPolicy: { times: 3 } })
    expectTypeOf(layer(Redis, makeResp)).toEqualTypeOf<Layer.Layer<Redis, never, Dns | Codec>>()
    const alone = <Id, P, E, R>(
      tag: Context.Tag<Id, ClientService.ClientService<P, E>>,
      endpoint: Endpoint.Endpoint<P, E, R>
    ): Layer.Layer<Id, never, R> => ClientService.layer(tag, { endpoint })
    expectTypeOf(alone(Peer, endpoint)).toEqualTypeOf<Layer.Layer<Peer, never, Dns>>()
  })

  it("and a protocol that is forgotten is said to be missing", () => {
    type Missing = ClientService.ProtocolMissing<Bytes, Resp>
    expectTypeOf<typeof makeResp>().toExtend<Missing["protocol"]>()
    // @ts-expect-error: property 'protocol' is missing, but required in type 'ProtocolMissing<Bytes, Resp>'
    Redis.layer({ endpoint })
    // @ts-expect-error: the same
    ClientService.layer(Redis, { endpoint, name: "redis" })
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

  it("has all else of the service as statics too", () => {
    expectTypeOf(Redis.start).toEqualTypeOf<Effect.Effect<void, never, Redis>>()
    expectTypeOf(Redis.stop).toEqualTypeOf<Effect.Effect<void, never, Redis>>()
    expectTypeOf(Redis.reconnect).toEqualTypeOf<Effect.Effect<void, never, Redis>>()
    type State = ConnectionState.ConnectionState<Resp, RedisError>
    expectTypeOf(Redis.state.get).toEqualTypeOf<Effect.Effect<State, never, Redis>>()
    expectTypeOf(Redis.state.changes).toEqualTypeOf<Stream.Stream<State, never, Redis>>()
    expectTypeOf(Redis.whenConnected({})).toEqualTypeOf<Effect.Effect<Resp, Failures<RedisError>, Redis>>()
    expectTypeOf(Redis.use(() => Codec, { maxWait: 0 })).toEqualTypeOf<
      Effect.Effect<
        { readonly codec: true },
        ClientService.ConnectionLost | ClientService.NotConnected<RedisError> | Failures<RedisError>,
        Codec | Redis
      >
    >()
    expectTypeOf(Redis.usePromise((protocol) => Promise.resolve(protocol.resp))).toEqualTypeOf<
      Effect.Effect<true, Cause.UnknownException | ClientService.ConnectionLost | Failures<RedisError>, Redis>
    >()
    const stream = Redis.stream((protocol) => Stream.zip(Stream.make(protocol.resp), Stream.fail(new Unhealthy())), {
      gap: (protocol) => protocol
    })
    expectTypeOf(stream).toEqualTypeOf<Stream.Stream<[true, never] | Resp, Unhealthy | Failures<RedisError>, Redis>>()
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

describe("stream and reconnectOn", () => {
  const resps = (service: Service) => service.pipe(ClientService.stream((protocol) => Stream.make(protocol.resp)))

  it("infer the protocol, be the service first or last", () => {
    expectTypeOf(resps).returns.toEqualTypeOf<Stream.Stream<true, Failures<Malformed>>>()
    const first = (service: Service) => ClientService.stream(service, ({ resp }) => Stream.make(resp), { gap: () => 1 })
    expectTypeOf(first).returns.toEqualTypeOf<Stream.Stream<true | number, Failures<Malformed>>>()
    const last = (service: Service) =>
      service.pipe(ClientService.stream(({ resp }) => Stream.make(resp), { gap: ({ resp }) => [resp] }))
    expectTypeOf(last).returns.toEqualTypeOf<Stream.Stream<true | Array<true>, Failures<Malformed>>>()
  })

  it("fail and need as the stream of signals does", () => {
    const signals: Stream.Stream<string, Closing, Codec> = Stream.zipRight(Codec, Stream.fail(new Closing()))
    const first = (service: Service) => ClientService.reconnectOn(service, signals)
    const last = (service: Service) => service.pipe(ClientService.reconnectOn(signals))
    expectTypeOf(first).returns.toEqualTypeOf<Effect.Effect<void, Closing, Codec>>()
    expectTypeOf(last).returns.toEqualTypeOf<Effect.Effect<void, Closing, Codec>>()
  })

  it("checkOn too, and check needs nothing but the service", () => {
    const signals: Stream.Stream<string, Closing, Codec> = Stream.zipRight(Codec, Stream.fail(new Closing()))
    const timeout = { timeout: "1 second" } as const
    const first = (service: Service) => ClientService.checkOn(service, signals, timeout)
    const last = (service: Service) => service.pipe(ClientService.checkOn(signals))
    expectTypeOf(first).returns.toEqualTypeOf<Effect.Effect<void, Closing, Codec>>()
    expectTypeOf(last).returns.toEqualTypeOf<Effect.Effect<void, Closing, Codec>>()
    const check = (service: Service) =>
      [ClientService.check(service, timeout), service.pipe(ClientService.check())] as const
    expectTypeOf(check).returns.toEqualTypeOf<readonly [Effect.Effect<boolean>, Effect.Effect<boolean>]>()
    expectTypeOf<ClientService.Heartbeat<Bytes>["lastReceived"]>().toEqualTypeOf<
      ((protocol: Bytes) => number | undefined) | undefined
    >()
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
      Endpoint.Endpoint<Transport.WebSocketTransport, Own, Socket.WebSocketConstructor>
    >()
    expectTypeOf(Endpoint.webSocket(url)).toEqualTypeOf<
      Endpoint.Endpoint<Transport.WebSocketTransport, Own | Unhealthy, Socket.WebSocketConstructor | Credentials>
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
    expectTypeOf(RetryPolicy.proportional()).toEqualTypeOf<RetryPolicy.RetryPolicy<unknown>>()
    expectTypeOf<RetryPolicy.ConnectionFailure<Errors>>().toHaveProperty("elapsed").toEqualTypeOf<Duration.Duration>()
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
        Connecting: ({ attempt, cause, failures }) => {
          expectTypeOf(attempt).toEqualTypeOf<number>()
          expectTypeOf(cause).toEqualTypeOf<Option.Option<Cause.Cause<ConnectionError.ConnectionError<Malformed>>>>()
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
        Disconnecting: ({ uses }) => uses,
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
    expectTypeOf(
      // @ts-expect-error: the other states are missing
      (state: State) => ConnectionState.match(state, { Init: () => 1 })
    ).toBeFunction()
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

describe("what is missing or wrong in the options of a service", () => {
  const probe = (transport: Bytes) => Effect.as(Dns, transport)

  it("is what TypeScript complains of, and nothing else", () => {
    expectTypeOf(() =>
      ClientService.make({
        endpoint,
        prepare: () => Effect.fail(new Unhealthy()),
        // @ts-expect-error: how often, and how long an answer may take
        heartbeat: {
          probe
        }
      })
    ).toBeFunction()
    expectTypeOf(() =>
      ClientService.make({
        endpoint,
        prepare: () => Dns,
        // @ts-expect-error: how
        heartbeat: {
          interval: "1 second",
          timeout: "1 second"
        }
      })
    ).toBeFunction()
    expectTypeOf(() =>
      ClientService.make({
        endpoint,
        prepare: () => Effect.fail(new Unhealthy()),
        heartbeat: {
          // @ts-expect-error: it is no Effect
          probe: () => 1,
          interval: "1 second",
          timeout: "1 second"
        }
      })
    ).toBeFunction()
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
