import type { Socket } from "@effect/platform"
import { describe, expectTypeOf, it } from "@effect/vitest"
import { Context, Data, Effect, type Layer, type Scope } from "effect"
import {
  ClientService,
  Endpoint,
  type EndpointsFailed,
  type Transport,
  type WebSocketError
} from "effect-client-service"
import { type ConnectError, NodeEndpoint } from "effect-client-service-node"

class Unauthorized extends Data.TaggedError("Unauthorized") {}
class Secrets extends Context.Tag("test/Secrets")<Secrets, { readonly token: string }>() {}
class Locator extends Context.Tag("test/Locator")<Locator, { readonly url: string }>() {}

const tcp = NodeEndpoint.tcp({ host: "127.0.0.1", port: 1 })

const finalizer = Effect.addFinalizer(() => Effect.void)

type WebSocketErrors = WebSocketError.WebSocketError | Transport.TransportError

describe("webSocket", () => {
  const url = Effect.zipRight(
    finalizer,
    Effect.map(Locator, ({ url }) => url)
  )
  const headers = Effect.flatMap(Secrets, () => Effect.zipRight(finalizer, new Unauthorized()))

  it("has the errors and the needs of its URL and its headers, without the Scope", () => {
    expectTypeOf(NodeEndpoint.webSocket("ws://127.0.0.1")).toEqualTypeOf<
      Endpoint.Endpoint<Transport.WebSocketTransport, WebSocketErrors>
    >()
    expectTypeOf(NodeEndpoint.webSocket(url, { headers })).toEqualTypeOf<
      Endpoint.Endpoint<Transport.WebSocketTransport, WebSocketErrors | Unauthorized, Locator | Secrets>
    >()
  })

  it("has those of its protocols and of TLS too", () => {
    const protocols = Effect.flatMap(Secrets, () => Effect.succeed("v1"))
    const ca = Effect.flatMap(Locator, () => new Unauthorized())
    expectTypeOf(NodeEndpoint.webSocket("wss://127.0.0.1", { protocols, tls: { ca } })).toEqualTypeOf<
      Endpoint.Endpoint<Transport.WebSocketTransport, WebSocketErrors | Unauthorized, Locator | Secrets>
    >()
    expectTypeOf(NodeEndpoint.tls({ host: "127.0.0.1", port: 1, ca })).toEqualTypeOf<
      Endpoint.Endpoint<NodeEndpoint.TlsTransport, ConnectError.ConnectError | Unauthorized, Locator>
    >()
    expectTypeOf(NodeEndpoint.tls({ host: "127.0.0.1", port: 1 })).toEqualTypeOf<
      Endpoint.Endpoint<NodeEndpoint.TlsTransport, ConnectError.ConnectError>
    >()
  })

  it("excludes the Scope but once from what a generic wrapper needs", () => {
    const feed = <E, R>(url: Effect.Effect<string, E, R>) => NodeEndpoint.webSocket(url)
    type Feed = <E, R>(
      url: Effect.Effect<string, E, R>
    ) => Endpoint.Endpoint<Transport.WebSocketTransport, E | WebSocketErrors, Exclude<R, Scope.Scope>>
    expectTypeOf(feed).toEqualTypeOf<Feed>()
  })
})

describe("an endpoint that is written into the options of a service", () => {
  class Feed extends ClientService.Tag("test/Feed")<Feed, Transport.Transport, WebSocketErrors>() {}
  class Broker extends ClientService.Tag("test/Broker")<Broker, Transport.Transport, ConnectError.ConnectError>() {}

  it("needs no more than it is given", () => {
    const url = Effect.map(Locator, ({ url }) => url)
    expectTypeOf(Feed.layer({ endpoint: NodeEndpoint.webSocket(url, { name: "feed" }) })).toEqualTypeOf<
      Layer.Layer<Feed, never, Locator>
    >()
    expectTypeOf(Feed.layer({ endpoint: Endpoint.webSocket(url, { name: "feed" }) })).toEqualTypeOf<
      Layer.Layer<Feed, never, Locator | Socket.WebSocketConstructor>
    >()
    expectTypeOf(Feed.layer({ endpoint: NodeEndpoint.webSocket("ws://127.0.0.1") })).toEqualTypeOf<Layer.Layer<Feed>>()
    expectTypeOf(Feed.layer({ endpoint: Endpoint.webSocket("ws://127.0.0.1") })).toEqualTypeOf<
      Layer.Layer<Feed, never, Socket.WebSocketConstructor>
    >()
    expectTypeOf(Broker.layer({ endpoint: NodeEndpoint.tls({ host: "127.0.0.1", port: 1 }) })).toEqualTypeOf<
      Layer.Layer<Broker>
    >()
  })
})

describe("tcp", () => {
  it("goes together with a webSocket in failover and happyEyeballs", () => {
    type Errors = ConnectError.ConnectError | WebSocketErrors
    type Transports = Transport.Transport | Transport.WebSocketTransport
    type Combined = Endpoint.Endpoint<Transports, Errors | EndpointsFailed.EndpointsFailed<Errors>>
    const webSocket = NodeEndpoint.webSocket("ws://127.0.0.1")
    expectTypeOf(Endpoint.failover([tcp, webSocket])).toEqualTypeOf<Combined>()
    expectTypeOf(Endpoint.happyEyeballs([webSocket, tcp])).toEqualTypeOf<Combined>()
  })

  it("has a generic wrapper that needs what it is given, without the Scope", () => {
    const speaking = <P, E, R>(
      options: NodeEndpoint.TcpOptions,
      protocol: (transport: Transport.Transport) => Effect.Effect<P, E, R>
    ) => Endpoint.mapEffect(NodeEndpoint.tcp(options), protocol)
    type Speaking = <P, E, R>(
      options: NodeEndpoint.TcpOptions,
      protocol: (transport: Transport.Transport) => Effect.Effect<P, E, R>
    ) => Endpoint.Endpoint<P, ConnectError.ConnectError | E, Exclude<R, Scope.Scope>>
    expectTypeOf(speaking).toEqualTypeOf<Speaking>()
  })
})
