import { Rpc, type RpcClient, type RpcClientError, RpcGroup, type RpcSerialization } from "@effect/rpc"
import { describe, expectTypeOf, it } from "@effect/vitest"
import { Config, type ConfigError, Data, Effect, type Layer, Schema, type Scope } from "effect"
import { ClientService, type ConnectionError, Endpoint, type Transport } from "effect-client-service"
import { RpcConnection, type RpcConnectionError } from "effect-client-service-rpc"

class ConnectFailed extends Data.TaggedError("ConnectFailed") {}
class Wrong extends Schema.TaggedError<Wrong>()("Wrong", {}) {}

class Rpcs extends RpcGroup.make(
  Rpc.make("Double", { payload: { n: Schema.Number }, success: Schema.Number }),
  Rpc.make("Login", { error: Wrong })
) {}

declare const connect: Effect.Effect<Transport.Transport, ConnectFailed>
const endpoint = Endpoint.make({ name: "test", connect: () => connect })

const login = (connection: RpcConnection.RpcConnection) =>
  Effect.flatMap(RpcConnection.client(connection, Rpcs), (client) => client.Login())

type Errors = ConnectFailed | RpcConnectionError.RpcConnectionError | Wrong | RpcClientError.RpcClientError

describe("the types", () => {
  it("infer a service, and its errors and requirements", () => {
    const service = () => ClientService.make({ endpoint, protocol: RpcConnection.make, prepare: login })
    expectTypeOf(service).returns.toEqualTypeOf<
      Effect.Effect<
        ClientService.ClientService<RpcConnection.RpcConnection, Errors>,
        never,
        Scope.Scope | RpcSerialization.RpcSerialization
      >
    >()
  })

  it("infer a protocol of a tag", () => {
    class Tag extends ClientService.Tag("test/Tag")<Tag, RpcConnection.RpcConnection, Errors>() {}
    const layer = () => Tag.layer({ endpoint, protocol: RpcConnection.make, heartbeat: RpcConnection.heartbeat() })
    expectTypeOf(layer).returns.toEqualTypeOf<Layer.Layer<Tag, never, RpcSerialization.RpcSerialization>>()
    const protocol = () => RpcConnection.layerProtocol(Tag, { maxWait: 0 })
    expectTypeOf(protocol).returns.toEqualTypeOf<Layer.Layer<RpcClient.Protocol, never, Tag>>()
  })

  it("infer a protocol with a service of its own, and what building it can fail with", () => {
    const layer = () => RpcConnection.layer({ endpoint, prepare: login })
    expectTypeOf(layer).returns.toEqualTypeOf<
      Layer.Layer<RpcClient.Protocol, never, RpcSerialization.RpcSerialization>
    >()
    const waiting = () => RpcConnection.layer({ endpoint, prepare: login, waitForConnection: { failAfterFailures: 3 } })
    expectTypeOf(waiting).returns.toEqualTypeOf<
      Layer.Layer<
        RpcClient.Protocol,
        | ConnectionError.AttemptError<Errors>
        | ConnectionError.ServiceStopped
        | ConnectionError.RetriesExhausted<Errors>,
        RpcSerialization.RpcSerialization
      >
    >()
  })

  it("infer a protocol whose endpoint is configured", () => {
    const layer = () => RpcConnection.layerConfig(Config.succeed(endpoint), { prepare: login })
    expectTypeOf(layer).returns.toEqualTypeOf<
      Layer.Layer<RpcClient.Protocol, ConfigError.ConfigError, RpcSerialization.RpcSerialization>
    >()
  })

  it("infer a client of one connection", () => {
    const client = (connection: RpcConnection.RpcConnection) => RpcConnection.client(connection, Rpcs)
    expectTypeOf(client).returns.toEqualTypeOf<
      Effect.Effect<RpcClient.FromGroup<typeof Rpcs, RpcClientError.RpcClientError>, never, Scope.Scope>
    >()
  })
})
