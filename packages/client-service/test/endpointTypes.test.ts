import type { Socket } from "@effect/platform"
import { describe, expectTypeOf, it } from "@effect/vitest"
import { Context, Data, Effect, type Scope } from "effect"
import { Endpoint, type EndpointsFailed, type Transport, type WebSocketError } from "effect-client-service"

interface Bytes {
  readonly bytes: true
}
interface Messages {
  readonly messages: true
}
const bytes: Bytes = { bytes: true }
const messages: Messages = { messages: true }

class Refused extends Data.TaggedError("Refused") {}
class Unknown extends Data.TaggedError("Unknown") {}
class Malformed extends Data.TaggedError("Malformed") {}

class Dns extends Context.Tag("test/Dns")<Dns, { readonly dns: true }>() {}
class Codec extends Context.Tag("test/Codec")<Codec, { readonly codec: true }>() {}

const finalizer = Effect.addFinalizer(() => Effect.void)

const overBytes = Endpoint.make({
  name: "bytes",
  connect: (_: Endpoint.ConnectionSignal<Refused>) => Effect.as(Effect.zip(Dns, finalizer), bytes)
})

const overMessages = Endpoint.make({
  name: "messages",
  connect: (_: Endpoint.ConnectionSignal<Unknown>) => Effect.as(Effect.zip(Codec, finalizer), messages)
})

type Combined = Endpoint.Endpoint<
  Bytes | Messages,
  Refused | Unknown | EndpointsFailed.EndpointsFailed<Refused | Unknown>,
  Dns | Codec
>

describe("make", () => {
  it("has the types of connect, without the Scope", () => {
    expectTypeOf(overBytes).toEqualTypeOf<Endpoint.Endpoint<Bytes, Refused, Dns>>()
    expectTypeOf(Endpoint.make({ name: "a", connect: () => Effect.succeed(1) })).toEqualTypeOf<
      Endpoint.Endpoint<number>
    >()
    expectTypeOf(Endpoint.make({ name: "a", connect: () => Effect.as(finalizer, 1) })).toEqualTypeOf<
      Endpoint.Endpoint<number>
    >()
    expectTypeOf(Endpoint.make({ name: "a", connect: () => Effect.as(Dns, 1) })).toEqualTypeOf<
      Endpoint.Endpoint<number, never, Dns>
    >()
    expectTypeOf(
      Endpoint.make({
        name: "a",
        connect: (signal) => {
          expectTypeOf(signal).toEqualTypeOf<Endpoint.ConnectionSignal<never>>()
          return Effect.gen(function* () {
            yield* finalizer
            yield* Codec
            return yield* Effect.zipRight(Dns, new Refused())
          })
        }
      })
    ).toEqualTypeOf<Endpoint.Endpoint<never, Refused, Dns | Codec>>()
  })

  it("of a generic endpoint has the very needs of that", () => {
    const renamed = <A, E, R>(endpoint: Endpoint.Endpoint<A, E, R>) =>
      Endpoint.make({
        name: "renamed",
        connect: (signal: Endpoint.ConnectionSignal<E>) => endpoint.connect(signal)
      })
    expectTypeOf(renamed<Bytes, Refused, Dns>).returns.toEqualTypeOf<Endpoint.Endpoint<Bytes, Refused, Dns>>()
    const generic = <A, E, R>(endpoint: Endpoint.Endpoint<A, E, R>): Endpoint.Endpoint<A, E, R> =>
      renamed(renamed(endpoint))
    expectTypeOf(generic(overBytes)).toEqualTypeOf<Endpoint.Endpoint<Bytes, Refused, Dns>>()
  })
})

describe("failover and happyEyeballs", () => {
  it("take endpoints of different values, errors and needs", () => {
    expectTypeOf(Endpoint.failover([overBytes, overMessages])).toEqualTypeOf<Combined>()
    expectTypeOf(Endpoint.happyEyeballs([overBytes, overMessages], { delay: 100 })).toEqualTypeOf<Combined>()
  })

  it("take transports of different kinds", () => {
    const tcp = Endpoint.make({
      name: "tcp",
      connect: (_: Endpoint.ConnectionSignal<Refused>): Effect.Effect<Transport.Transport> => Effect.never
    })
    const webSocket = Endpoint.webSocket("wss://example.com")
    type Errors = Refused | WebSocketError.WebSocketError | Transport.TransportError
    expectTypeOf(Endpoint.failover([tcp, webSocket])).toEqualTypeOf<
      Endpoint.Endpoint<
        Transport.Transport | Transport.WebSocketTransport,
        Errors | EndpointsFailed.EndpointsFailed<Errors>,
        Socket.WebSocketConstructor
      >
    >()
  })

  it("take a list, one endpoint, and one that is written in place", () => {
    const list: ReadonlyArray<Endpoint.Endpoint<Bytes, Refused>> = []
    type OfOne = Endpoint.Endpoint<Bytes, Refused | EndpointsFailed.EndpointsFailed<Refused>>
    expectTypeOf(() => Endpoint.failover(list)).returns.toEqualTypeOf<OfOne>()
    expectTypeOf(Endpoint.happyEyeballs([overBytes])).toEqualTypeOf<
      Endpoint.Endpoint<Bytes, Refused | EndpointsFailed.EndpointsFailed<Refused>, Dns>
    >()
    expectTypeOf(
      Endpoint.failover([
        overBytes,
        Endpoint.make({ name: "inline", connect: () => Effect.fail(new Unknown()) }),
        Endpoint.map(overMessages, () => 1)
      ])
    ).toEqualTypeOf<
      Endpoint.Endpoint<
        Bytes | number,
        Refused | Unknown | EndpointsFailed.EndpointsFailed<Refused | Unknown>,
        Dns | Codec
      >
    >()
  })

  it("take endpoints of a union, and generic ones", () => {
    const either = Math.random() < 2 ? overBytes : overMessages
    expectTypeOf(Endpoint.failover([either])).toEqualTypeOf<Combined>()
    const withBackup = <A, E, R>(endpoint: Endpoint.Endpoint<A, E, R>) => Endpoint.failover([endpoint, overMessages])
    expectTypeOf(withBackup(overBytes)).toEqualTypeOf<Combined>()
  })

  it("can be piped on", () => {
    expectTypeOf(
      Endpoint.failover([overBytes, overMessages]).pipe(
        Endpoint.mapError((error) => {
          expectTypeOf(error).toEqualTypeOf<Refused | Unknown | EndpointsFailed.EndpointsFailed<Refused | Unknown>>()
          return new Malformed()
        }),
        Endpoint.mapEffect((value) => {
          expectTypeOf(value).toEqualTypeOf<Bytes | Messages>()
          return Effect.as(finalizer, value)
        })
      )
    ).toEqualTypeOf<Endpoint.Endpoint<Bytes | Messages, Malformed, Dns | Codec>>()
  })

  it("refuse what is no endpoint", () => {
    // @ts-expect-error: a text is no endpoint.
    const refused = () => Endpoint.failover([overBytes, "messages"])
    expectTypeOf(refused).toBeFunction()
  })
})

describe("the types of an endpoint", () => {
  it("can be asked for", () => {
    type Both = typeof overBytes | typeof overMessages
    expectTypeOf<Endpoint.Endpoint.Success<Both>>().toEqualTypeOf<Bytes | Messages>()
    expectTypeOf<Endpoint.Endpoint.Error<Both>>().toEqualTypeOf<Refused | Unknown>()
    expectTypeOf<Endpoint.Endpoint.Context<Both>>().toEqualTypeOf<Dns | Codec>()
  })
})

describe("a wrapper that is generic", () => {
  const tcp = Endpoint.make({
    name: "tcp",
    connect: (_: Endpoint.ConnectionSignal<Refused>): Effect.Effect<Transport.Transport> => Effect.never
  })

  it("of mapEffect and tap excludes the Scope but once", () => {
    const speaking = <A, E, R>(protocol: (transport: Transport.Transport) => Effect.Effect<A, E, R>) =>
      tcp.pipe(
        Endpoint.mapEffect(protocol),
        Endpoint.tap(() => finalizer),
        Endpoint.map((protocol) => ({ protocol })),
        Endpoint.mapError((error) => ({ error }))
      )
    type Speaking = <A, E, R>(
      protocol: (transport: Transport.Transport) => Effect.Effect<A, E, R>
    ) => Endpoint.Endpoint<{ protocol: A }, { error: Refused | E }, Exclude<R, Scope.Scope>>
    expectTypeOf(speaking).toEqualTypeOf<Speaking>()
  })

  it("of make, around another, excludes no more than that", () => {
    const speaking = <A, E, R>(protocol: (transport: Transport.Transport) => Effect.Effect<A, E, R>) => {
      const endpoint = Endpoint.mapEffect(tcp, protocol)
      return Endpoint.make({
        name: "speaking",
        connect: (signal: Endpoint.ConnectionSignal<E | Refused>) => endpoint.connect(signal)
      })
    }
    type Speaking = <A, E, R>(
      protocol: (transport: Transport.Transport) => Effect.Effect<A, E, R>
    ) => Endpoint.Endpoint<A, E | Refused, Exclude<R, Scope.Scope>>
    expectTypeOf(speaking).toEqualTypeOf<Speaking>()
  })
})
