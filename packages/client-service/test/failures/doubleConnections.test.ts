import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Scope, TestClock } from "effect"
import { ClientService, ClientServiceMap, TestEndpoint } from "effect-client-service"
import { awaitState, settle } from "../support/fixture.js"
import { acceptAll, counts, drop, everySecond, make } from "./support.js"

describe("double connections", () => {
  // Failure 1: The timer's reconnect and the user's both run, and there are two live sockets.
  // Reported: apollographql/subscriptions-transport-ws#732, socketio/socket.io#430, socketio/socket.io#2668,
  // SatyamPandey-07/WorkSphere#1410
  it.scoped("a hundred reconnects at the very time of the retry make one attempt", () =>
    Effect.gen(function* () {
      const { open, server, service } = yield* make()
      yield* service.start
      for (const when of [999, 1000, 1001]) {
        yield* server.refuse("refused")
        yield* awaitState(service, "Waiting")
        const before = yield* server.attempts
        const commands = Effect.replicateEffect(Effect.zipRight(service.reconnect, service.start), 100, {
          concurrency: "unbounded"
        })
        yield* Effect.all([TestClock.adjust(when), commands], { concurrency: "unbounded" })
        yield* TestClock.adjust("20 seconds")
        expect(yield* server.attempts).toBe(before + 1)
        yield* server.accept("protocol")
        yield* awaitState(service, "Connected")
        yield* drop(server)
        yield* awaitState(service, "Waiting")
        yield* TestClock.adjust("1 second")
      }
      expect(open.most).toBe(1)
    })
  )

  // Failure 2: Of two tear-downs that overlap, the late one takes away the new connection.
  // Reported: phoenixframework/phoenix#6600, phoenixframework/phoenix#6602
  it.scoped("stop, start, stop, start over a slow close leave the new connection alone", () =>
    Effect.gen(function* () {
      const { open, server, service } = yield* make()
      yield* acceptAll(server, 3, { close: Effect.sleep("1 second") })
      yield* service.start
      yield* awaitState(service, "Connected")
      for (const command of [service.stop, service.start, service.stop, service.start]) {
        yield* Effect.fork(command)
        yield* TestClock.adjust("300 millis")
      }
      yield* awaitState(service, "Connected")
      yield* TestClock.adjust("1 hour")
      expect(yield* service.whenConnected()).toBe("protocol 2")
      expect(yield* counts(server)).toEqual({ attempts: 2, opens: 2, closes: 1 })
      const stopping = yield* Effect.fork(service.stop)
      yield* TestClock.adjust("1 hour")
      yield* stopping.await
      expect(yield* counts(server)).toEqual({ attempts: 2, opens: 2, closes: 2 })
      expect(open.most).toBe(1)
    })
  )

  // Failure 3: The timeout of an attempt that has failed closes the connection that came after it.
  // Reported: pladaria/reconnecting-websocket#50, mattkrick/trebuchet-client#6
  it.scoped("the timeout of a failed attempt does not touch a later connection", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make({ connectTimeout: "5 seconds" })
      yield* server.script(
        TestEndpoint.delayed(TestEndpoint.refused("refused"), "1 second"),
        TestEndpoint.accepted("second")
      )
      yield* service.start
      yield* TestClock.adjust("2 seconds")
      expect(yield* service.whenConnected()).toBe("second")
      yield* TestClock.adjust("1 hour")
      expect(yield* service.whenConnected()).toBe("second")
      expect(yield* counts(server)).toEqual({ attempts: 2, opens: 1, closes: 0 })
    })
  )

  // Failure 4: The client gives an attempt up, then the peer accepts it after all, and that connection is left dangling.
  // Reported: amqp-node/amqplib#326, partykit/partykit#929, nats-io/nats.ws#61
  it.scoped("a connection that comes of an attempt given up is closed at once, and never used", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make({ connectTimeout: "1 second", closeTimeout: "1 second" })
      yield* server.script(
        TestEndpoint.uninterruptible(TestEndpoint.delayed(TestEndpoint.accepted("late"), "1 minute")),
        TestEndpoint.accepted("second")
      )
      yield* service.start
      yield* TestClock.adjust("3 seconds")
      expect(yield* service.whenConnected()).toBe("second")
      yield* TestClock.adjust("1 minute")
      expect(yield* counts(server)).toEqual({ attempts: 2, opens: 2, closes: 1 })
      expect(yield* service.whenConnected()).toBe("second")
    })
  )

  // Failure 5: The heartbeat takes a connection for dead that is fine, and a second one is opened beside it.
  // Reported: kuzzleio/sdk-javascript#651
  it.scoped("an answer just at its deadline does not lead to a second connection", () =>
    Effect.gen(function* () {
      for (const late of [-1, 0, 1]) {
        const { open, server, service } = yield* make({
          heartbeat: { probe: () => Effect.sleep(2000 + late), interval: "10 seconds", timeout: "2 seconds" }
        })
        yield* acceptAll(server, 1000, { close: Effect.sleep("1 second") })
        yield* service.start
        yield* TestClock.adjust("2 minutes")
        expect(open.most).toBe(1)
        // Just at the deadline, either may come first.
        const { attempts } = yield* counts(server)
        if (late !== 0) expect(attempts > 1).toBe(late > 0)
        const stopping = yield* Effect.fork(service.stop)
        yield* TestClock.adjust("1 minute")
        yield* stopping.await
      }
    })
  )

  // Failure 6: Each health check makes a client of its own, and those that it drops go on reconnecting.
  // Reported: safe-global/safe-events-service#594, grpc/grpc-node#2448
  it.scoped("all who ask for a key share one client, and it stops with the last of them", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      yield* acceptAll(server, 1)
      const services = yield* ClientServiceMap.make({
        lookup: (_: string) => ClientService.make({ endpoint: server.endpoint, retryPolicy: everySecond })
      })
      const scopes = yield* Effect.replicateEffect(Scope.make(), 100)
      const shared = yield* Effect.forEach(scopes, (scope) => Scope.extend(services.get("health"), scope), {
        concurrency: "unbounded"
      })
      expect(new Set(shared).size).toBe(1)
      yield* settle
      for (const scope of scopes) {
        expect(yield* counts(server)).toEqual({ attempts: 1, opens: 1, closes: 0 })
        yield* Scope.close(scope, Exit.void)
      }
      expect(yield* counts(server)).toEqual({ attempts: 1, opens: 1, closes: 1 })
      yield* TestClock.adjust("1 hour")
      expect(yield* server.attempts).toBe(1)
    })
  )
})
