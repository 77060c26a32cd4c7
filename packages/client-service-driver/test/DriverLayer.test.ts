import { describe, expect, it } from "@effect/vitest"
import { Config, ConfigProvider, Context, Effect, Exit, Layer, Scope } from "effect"
import { ClientService, TestEndpoint } from "effect-client-service"
import { DriverLayer, Validate } from "effect-client-service-driver"

interface Bus {
  readonly service: ClientService.ClientService<string, string>
}

class BusService extends Context.Tag("test/Bus")<BusService, Bus>() {}

const makeBus = (server: TestEndpoint.TestEndpoint<string, string>) =>
  ClientService.make({ endpoint: server.endpoint, retryPolicy: { times: 1 } }).pipe(
    Effect.tap((service) => service.start),
    Effect.map((service): Bus => ({ service }))
  )

describe("the Layer of a driver", () => {
  it.scoped("is built at once, and stops its service when it is released", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const scope = yield* Scope.make()
      const layer = DriverLayer.make("Bus.layer", BusService, makeBus(server))
      const context = yield* Scope.extend(Layer.build(layer), scope)
      const { service } = Context.get(context, BusService)
      expect((yield* service.state.get)._tag).toBe("Connecting")
      yield* Scope.close(scope, Exit.void)
      expect((yield* service.state.get)._tag).toBe("Stopped")
    })
  )

  it.scoped("is built once there is a connection, or fails with the attempt, if it is told to wait", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const layer = DriverLayer.make("Bus.layer", BusService, makeBus(server), { failAfterFailures: 1 })
      yield* server.script(TestEndpoint.refused("full"))
      expect(yield* Effect.flip(Layer.build(layer))).toBe("full")
      yield* server.script(TestEndpoint.accepted("line 1"))
      const { service } = Context.get(yield* Layer.build(layer), BusService)
      expect((yield* service.state.get)._tag).toBe("Connected")
    })
  )

  it.scoped("refuses to wait for no failure", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const refused = () => DriverLayer.make("Bus.layer", BusService, makeBus(server), { failAfterFailures: 0 })
      expect(refused).toThrow("Bus.layer: waitForConnection.failAfterFailures must be an integer of at least 1, got 0")
    })
  )

  const layer = DriverLayer.config(
    { lane: Config.integer("LANE") },
    ({ lane }) => Validate.integer("Bus.make", "lane", lane, 1),
    (lane) => Layer.succeedContext(Context.make(Lane, lane))
  )
  const laneOf = (lane: string) =>
    Effect.provide(Lane, layer).pipe(Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["LANE", lane]]))))

  it.effect("is configured, and what makes no sense there is an error of the configuration", () =>
    Effect.gen(function* () {
      expect(yield* laneOf("3")).toBe(3)
      expect(yield* Effect.flip(laneOf("0"))).toMatchObject({ _op: "InvalidData", path: ["lane"] })
      expect(String(yield* Effect.flip(laneOf("0")))).toContain(
        "Bus.make: lane must be an integer of at least 1, got 0"
      )
      expect(String(yield* Effect.flip(laneOf("soon")))).toContain("LANE")
    })
  )
})

class Lane extends Context.Tag("test/Lane")<Lane, number>() {}
