import { describe, expect, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { ClientService, Endpoint, type Transport } from "effect-client-service"
import { awaitState } from "../support/fixture.js"
import { makeSocket } from "../support/memorySocket.js"
import { acceptAll, counts, drop, everySecond, make } from "./support.js"
import { World } from "./world.js"

const interval = "10 seconds"
const timeout = "2 seconds"

const silence = { _tag: "Waiting", cause: { error: { _tag: "HeartbeatTimeout" } } }

/** A service over a socket in memory. Each probe is a ping that waits for a pong. */
const makeOverSocket = (world: World) => {
  const memory = world.run(makeSocket())
  const service = world.run(
    ClientService.make({
      endpoint: Endpoint.fromSocket("test", Effect.succeed(memory.socket)),
      retryPolicy: everySecond,
      heartbeat: {
        probe: ({ incoming, write }: Transport.Transport) =>
          Effect.zipRight(
            write("ping"),
            incoming.pipe(
              Stream.decodeText(),
              Stream.filter((text) => text === "pong"),
              Stream.runHead
            )
          ),
        interval,
        timeout
      }
    })
  )
  world.run(service.start)
  world.run(memory.open)
  world.run(service.whenConnected())
  return { memory, service }
}

describe("half-open connections and heartbeats", () => {
  // Failure 41: A connection that swallows everything passes for alive for a quarter of an hour.
  // Reported: redis/ioredis#559, kubernetes/kubernetes#87615, kubernetes/kubernetes#41185, kubernetes/client-go#374,
  // golang/go#39750
  it("a peer that has gone silent is noticed within interval and timeout", () => {
    for (let silentFrom = 0; silentFrom <= 60; silentFrom += 1) {
      const world = new World()
      const { service, server } = world.run(
        make({
          heartbeat: {
            probe: () => Effect.suspend(() => (world.clock.now < silentFrom * 1000 ? Effect.void : Effect.never)),
            interval,
            timeout
          }
        })
      )
      world.run(acceptAll(server, 1))
      const noticed = world.fork(Effect.map(awaitState(service, "Waiting"), () => world.clock.now))
      world.run(service.start)
      world.pass((silentFrom + 12) * 1000)
      const exit = noticed.unsafePoll()
      expect(exit?._tag === "Success" && exit.value >= silentFrom * 1000).toBe(true)
      world.close()
    }
  })

  // Failure 43: What the client sends puts off its check of the peer, and a dead link is never noticed.
  // Reported: mqttjs/MQTT.js#1855, mqttjs/MQTT.js#1861, eclipse-paho/paho.mqtt.javascript#5
  it("writing all the time does not keep a silent connection alive", () => {
    const world = new World()
    const { memory, service } = makeOverSocket(world)
    world.fork(
      Effect.exit(service.use(({ write }) => Effect.forever(Effect.zipRight(write("data"), Effect.sleep(100)))))
    )
    world.pass("11999 millis")
    expect(memory.sent.length).toBeGreaterThan(100)
    expect(world.run(service.state.get)).toMatchObject({ _tag: "Connected" })
    world.pass(1)
    expect(world.run(service.state.get)).toMatchObject(silence)
    expect(memory.closes()).toBe(1)
    world.close()
  })

  // Failure 44: The client sends pings, and does not mind that no pong comes.
  // Reported: mqttjs/MQTT.js#144, enisdenjo/graphql-ws
  it("a ping without its pong loses the connection, whatever else the peer says", () => {
    const world = new World()
    const { memory, service } = makeOverSocket(world)
    world.pass("11 seconds")
    world.run(memory.receive("pong"))
    world.pass("10 seconds")
    expect(memory.sent).toEqual(["ping", "ping"])
    world.run(memory.receive("news"))
    world.pass("1999 millis")
    expect(world.run(service.state.get)).toMatchObject({ _tag: "Connected" })
    world.pass(1)
    expect(world.run(service.state.get)).toMatchObject(silence)
    world.close()
  })

  // Failure 45: The ping that waits for its pong outlives its connection, and closes the next one.
  // Reported: phoenixframework/phoenix#3083, braverhealth/phoenix-socket-dart#28
  it("a ping that was under way when its connection was lost does not touch the next", () => {
    const world = new World()
    const probed: Array<string> = []
    const { server, service } = world.run(
      make({
        heartbeat: {
          probe: (protocol) =>
            Effect.suspend(() => {
              probed.push(protocol)
              return protocol === "protocol 1" ? Effect.never : Effect.void
            }),
          interval,
          timeout
        }
      })
    )
    world.run(acceptAll(server, 2))
    world.run(service.start)
    // Half a second after the ping, so that the next connection is up before the time of the pong is over.
    world.pass("10500 millis")
    expect(probed).toEqual(["protocol 1"])
    world.run(drop(server))
    world.pass("1 second")
    expect(world.run(service.whenConnected())).toBe("protocol 2")
    world.pass("25 seconds")
    expect(probed).toEqual(["protocol 1", "protocol 2", "protocol 2"])
    expect(world.run(counts(server))).toEqual({ attempts: 2, opens: 2, closes: 1 })
    world.close()
  })

  // Failure 46: A client that pings too often is banned.
  // Reported: doc/keepalive.md@grpc/grpc
  it("there is one ping at a time, and none within the interval after an answer", () => {
    const world = new World()
    let answeredAt = 0
    let flying = 0
    const pauses: Array<number> = []
    const { server, service } = world.run(
      make({
        heartbeat: {
          probe: () =>
            Effect.suspend(() => {
              flying += 1
              expect(flying).toBe(1)
              pauses.push(world.clock.now - answeredAt)
              return Effect.sleep(pauses.length % 2 === 0 ? 1999 : 0)
            }).pipe(
              Effect.zipRight(
                Effect.sync(() => {
                  flying -= 1
                  answeredAt = world.clock.now
                })
              )
            ),
          interval,
          timeout
        }
      })
    )
    world.run(acceptAll(server, 1))
    world.run(service.start)
    world.pass("1 hour")
    expect(pauses.length).toBeGreaterThan(300)
    expect(Math.min(...pauses)).toBe(10_000)
    expect(world.run(server.attempts)).toBe(1)
    world.close()
  })
})
