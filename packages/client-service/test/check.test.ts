import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Option, PubSub, Stream, TestClock } from "effect"
import {
  ClientService,
  Endpoint,
  RetryPolicy,
  TestEndpoint,
  TestTransport,
  type Transport
} from "effect-client-service"
import { awaitState, recordStates, settle } from "./support/fixture.js"
import { withTimers } from "./support/timers.js"

/** A service that probes only when it is asked to, unless told otherwise, with a peer that answers as the test says. */
const make = (
  answer: (probe: number) => Effect.Effect<unknown, string> = () => Effect.void,
  interval: "10 seconds" | "100 days" = "100 days"
) =>
  Effect.gen(function* () {
    let probes = 0
    const server = yield* TestEndpoint.make<string, string>()
    const service = yield* ClientService.make({
      endpoint: server.endpoint,
      retryPolicy: RetryPolicy.fromFunction(() => "1 minute"),
      connectTimeout: "30 seconds",
      heartbeat: {
        probe: () => {
          probes += 1
          return answer(probes)
        },
        interval,
        timeout: "5 seconds"
      }
    })
    return { probes: () => probes, server, service }
  })

const connected = (...options: Parameters<typeof make>) =>
  Effect.gen(function* () {
    const made = yield* make(...options)
    yield* made.service.start
    const connection = yield* made.server.accept("first")
    yield* awaitState(made.service, "Connected")
    yield* TestClock.adjust("1 second")
    return { connection, ...made }
  })

describe("check", () => {
  // Kind 16: Nobody can ask whether the peer is still there, other than by a reconnect, which a connection that is fine does not survive.
  it.scoped("leaves a connection alone that answers", () =>
    Effect.gen(function* () {
      const { connection, probes, service } = yield* connected()
      const states = yield* recordStates(service)
      expect(yield* service.check()).toBe(true)
      expect(yield* ClientService.check(service, { timeout: "1 second" })).toBe(true)
      expect(yield* service.pipe(ClientService.check())).toBe(true)
      expect([probes(), yield* connection.closed, states]).toEqual([3, false, []])
    })
  )

  // Kind 16
  it.scoped("replaces a connection at once that has no answer within the timeout, and tells its users why", () =>
    Effect.gen(function* () {
      const { connection, server, service } = yield* connected(() => Effect.never)
      const states = yield* recordStates(service)
      const use = yield* Effect.fork(Effect.flip(service.use(() => Effect.never)))
      const check = yield* Effect.fork(service.check({ timeout: "2 seconds" }))
      yield* TestClock.adjust("1999 millis")
      expect([yield* connection.closed, yield* server.attempts]).toEqual([false, 1])
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(check)).toBe(false)
      expect(yield* Fiber.join(use)).toMatchObject({ _tag: "ConnectionLost", cause: { _tag: "HeartbeatTimeout" } })
      yield* settle
      expect([yield* connection.closed, yield* server.attempts]).toEqual([true, 2])
      yield* server.accept("second")
      expect(yield* service.whenConnected()).toBe("second")
      yield* settle
      expect(states).toEqual(["Connecting", "Connected"])
    })
  )

  // Kind 16
  it.scoped("has the timeout of the heartbeat by default", () =>
    Effect.gen(function* () {
      const { service } = yield* connected(() => Effect.never)
      const check = yield* Effect.fork(service.check())
      yield* TestClock.adjust("4999 millis")
      expect(check.unsafePoll()).toBeNull()
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(check)).toBe(false)
    })
  )

  for (const [how, answer, cause] of [
    ["fails", () => Effect.fail("mute"), Cause.fail("mute")],
    ["dies", () => Effect.die("boom"), Cause.die("boom")],
    [
      "throws",
      () => {
        throw "thrown"
      },
      Cause.die("thrown")
    ]
  ] as const) {
    it.scoped(`replaces a connection at once whose probe ${how}`, () =>
      Effect.gen(function* () {
        const { server, service } = yield* connected(answer)
        expect(yield* service.check()).toBe(false)
        yield* settle
        expect(yield* service.state.get).toMatchObject({ _tag: "Connecting", failures: 1, cause: Option.some(cause) })
        expect(yield* server.attempts).toBe(2)
      })
    )
  }

  // Kind 16
  it.scoped("leaves it to the policy when to make a connection anew that is younger than a second", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make(() => Effect.fail("mute"))
      yield* service.start
      yield* server.accept("first")
      yield* awaitState(service, "Connected")
      yield* TestClock.adjust("999 millis")
      expect(yield* service.check()).toBe(false)
      yield* awaitState(service, "Waiting")
      expect(yield* server.attempts).toBe(1)
    })
  )

  // Kind 16
  it.scoped("runs one probe for all who ask at once, and for the heartbeat, and the next beat counts from that", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { probes, service } = yield* connected(
        (probe) => (probe === 1 ? Deferred.await(gate) : Effect.void),
        "10 seconds"
      )
      yield* TestClock.adjust("7 seconds")
      const checks = yield* Effect.replicateEffect(Effect.fork(service.check()), 100)
      yield* TestClock.adjust("2 seconds")
      expect(probes()).toBe(1)
      yield* Deferred.succeed(gate, undefined)
      for (const check of checks) expect(yield* Fiber.join(check)).toBe(true)
      yield* TestClock.adjust("9999 millis")
      expect(probes()).toBe(1)
      yield* TestClock.adjust("1 millis")
      expect(probes()).toBe(2)
    })
  )

  // Kind 16
  it.scoped("the shortest timeout of those who ask decides, and all of them hear of it", () =>
    Effect.gen(function* () {
      const { server, service } = yield* connected(() => Effect.never)
      const patient = yield* Effect.fork(service.check({ timeout: "4 seconds" }))
      const hasty = yield* Effect.fork(service.check({ timeout: "1 second" }))
      yield* TestClock.adjust("1 second")
      expect([yield* Fiber.join(hasty), yield* Fiber.join(patient)]).toEqual([false, false])
      yield* settle
      expect(yield* server.attempts).toBe(2)
    })
  )

  // Kind 16
  it.scoped("that is interrupted leaves the probe to the next, and no timer", () =>
    withTimers((timers) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { probes, service } = yield* connected(() => Deferred.await(gate))
        const before = timers.pending()
        const check = yield* Effect.fork(service.check())
        yield* TestClock.adjust("4 seconds")
        yield* Fiber.interrupt(check)
        expect(timers.pending()).toBe(before)
        yield* TestClock.adjust("1 hour")
        expect((yield* service.state.get)._tag).toBe("Connected")
        const next = yield* Effect.fork(service.check())
        yield* settle
        yield* Deferred.succeed(gate, undefined)
        expect(yield* Fiber.join(next)).toBe(true)
        expect(probes()).toBe(1)
      })
    )
  )

  // Kind 16
  it.scoped("has a service that waits try now", () =>
    Effect.gen(function* () {
      const { probes, server, service } = yield* make()
      yield* service.start
      yield* server.refuse("refused")
      yield* awaitState(service, "Waiting")
      expect(yield* service.check()).toBe(false)
      expect((yield* service.state.get)._tag).toBe("Connecting")
      yield* settle
      expect([probes(), yield* server.attempts]).toEqual([0, 2])
    })
  )

  // Kind 16
  it.scoped("has an attempt that hangs begun anew after the timeout, and waits for one that does not", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make()
      yield* service.start
      const hung = yield* Effect.fork(service.check())
      yield* TestClock.adjust("4999 millis")
      expect(yield* server.attempts).toBe(1)
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(hung)).toBe(false)
      expect(yield* server.attempts).toBe(2)
      expect(JSON.parse(JSON.stringify(service))).toMatchObject({ state: "Connecting", failures: 0 })
      const answered = yield* Effect.fork(service.check())
      yield* settle
      yield* server.accept("second")
      expect(yield* Fiber.join(answered)).toBe(true)
      yield* TestClock.adjust("1 hour")
      expect(yield* server.attempts).toBe(2)
    })
  )

  // Kind 16
  it.scoped("does nothing to a service that is not started, stops, is stopped, or has given up", () =>
    Effect.gen(function* () {
      const { server, service } = yield* make()
      expect(yield* service.check()).toBe(false)
      yield* service.start
      yield* server.accept("first", { close: Effect.sleep("1 second") })
      yield* awaitState(service, "Connected")
      const stop = yield* Effect.fork(service.stop)
      yield* settle
      expect(yield* service.check()).toBe(false)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(stop)
      expect(yield* service.check()).toBe(false)
      expect([(yield* service.state.get)._tag, yield* server.attempts]).toEqual(["Stopped", 1])
      const givingUp = yield* ClientService.make({
        endpoint: Endpoint.make({ name: "refusing", connect: () => Effect.fail("refused") }),
        heartbeat: { probe: () => Effect.void, interval: "1 second", timeout: "1 second" },
        retryPolicy: { times: 0 }
      })
      yield* givingUp.start
      yield* awaitState(givingUp, "Exhausted")
      expect(yield* givingUp.check()).toBe(false)
      expect((yield* givingUp.state.get)._tag).toBe("Exhausted")
    })
  )

  // Kind 16
  it.scoped("tells that there is no answer when the service stops meanwhile", () =>
    withTimers((timers) =>
      Effect.gen(function* () {
        const { service } = yield* connected(() => Effect.never)
        const check = yield* Effect.fork(service.check())
        yield* settle
        yield* service.stop
        expect(yield* Fiber.join(check)).toBe(false)
        expect(timers.pending()).toBe(0)
        expect((yield* service.state.get)._tag).toBe("Stopped")
      })
    )
  )

  // Kind 16
  it.scoped("refuses a service without a heartbeat, and a timeout of zero, by name", () =>
    Effect.gen(function* () {
      const service = yield* ClientService.make({
        endpoint: Endpoint.make({ name: "test", connect: () => Effect.void })
      })
      expect(() => service.check()).toThrow(
        "check: heartbeat must be an option of the service, with the probe to check by"
      )
      expect(() => ClientService.checkOn(service, Stream.empty)).toThrow("check: heartbeat must be")
      const { service: other } = yield* make()
      expect(() => other.check({ timeout: 0 })).toThrow("check: timeout must be a duration of more than zero, got 0")
    })
  )
})

describe("checkOn", () => {
  // Kind 16
  it.scoped("runs one probe for a thousand elements in a burst, and another for a later one", () =>
    Effect.gen(function* () {
      const { probes, service } = yield* connected(() => Effect.sleep("1 second"))
      const wakeups = yield* PubSub.unbounded<string>()
      yield* Effect.fork(service.pipe(ClientService.checkOn(Stream.fromPubSub(wakeups))))
      yield* settle
      yield* PubSub.publishAll(
        wakeups,
        Array.from({ length: 1000 }, () => "online")
      )
      yield* Effect.repeatN(settle, 20)
      yield* TestClock.adjust("1 second")
      expect(probes()).toBe(1)
      yield* PubSub.publish(wakeups, "online")
      yield* TestClock.adjust("1 second")
      expect(probes()).toBe(2)
      expect((yield* service.state.get)._tag).toBe("Connected")
    })
  )

  // Kind 16
  it.scoped("waits for the last check when the stream ends, and passes on its failure", () =>
    Effect.gen(function* () {
      const { server, service } = yield* connected(() => Effect.never)
      const checking = yield* Effect.fork(
        ClientService.checkOn(service, Stream.make("online"), { timeout: "1 second" })
      )
      yield* TestClock.adjust("999 millis")
      expect(checking.unsafePoll()).toBeNull()
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.await(checking)).toEqual(Exit.void)
      yield* settle
      expect(yield* server.attempts).toBe(2)
      expect(yield* Effect.flip(ClientService.checkOn(service, Stream.fail("unplugged")))).toBe("unplugged")
    })
  )
})

describe("a heartbeat that counts what comes in", () => {
  const makeTalking = (lastReceived: boolean) =>
    Effect.gen(function* () {
      const { peer, transport } = yield* TestTransport.make()
      const server = yield* TestEndpoint.make<Transport.Transport, string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        heartbeat: {
          probe: () => Effect.never,
          interval: "10 seconds",
          timeout: "2 seconds",
          lastReceived: lastReceived ? (transport) => transport.lastReceived : undefined
        }
      })
      yield* service.start
      yield* server.accept(transport)
      yield* awaitState(service, "Connected")
      return { peer, service, transport }
    })

  // Kind 16
  it.scoped("leaves a peer alone that sends while the probe waits, and gives it up that long after the last", () =>
    Effect.gen(function* () {
      const { peer, service } = yield* makeTalking(true)
      yield* TestClock.adjust("10 seconds")
      for (let second = 0; second < 60; second++) {
        yield* TestClock.adjust("1 second")
        yield* peer.write("a part of a long answer")
      }
      expect((yield* service.state.get)._tag).toBe("Connected")
      yield* TestClock.adjust("1999 millis")
      expect((yield* service.state.get)._tag).toBe("Connected")
      yield* TestClock.adjust("1 millis")
      expect(yield* service.state.get).toMatchObject({ _tag: "Waiting" })
    })
  )

  // Kind 16
  it.scoped("tells whoever checks within the timeout that a peer is there which sends", () =>
    Effect.gen(function* () {
      const { peer, service } = yield* makeTalking(true)
      const checking = yield* Effect.fork(service.check({ timeout: "3 seconds" }))
      yield* settle
      for (let second = 0; second < 3; second++) {
        expect(checking.unsafePoll()).toBeNull()
        yield* peer.write("a part of a long answer")
        yield* TestClock.adjust("1 second")
      }
      expect(checking.unsafePoll()).toEqual(Exit.succeed(true))
      // The probe is still under way, and is that of whoever checks next.
      const again = yield* Effect.fork(service.check())
      yield* TestClock.adjust("2 seconds")
      expect(yield* Fiber.join(again)).toBe(false)
    })
  )

  for (const [what, isCounted] of [
    ["what goes out, to a peer that is mute", true],
    ["what comes in, unless it is told to", false]
  ] as const) {
    it.scoped(`does not count ${what}`, () =>
      Effect.gen(function* () {
        const { peer, service, transport } = yield* makeTalking(isCounted)
        yield* TestClock.adjust("10 seconds")
        yield* TestClock.adjust("1 second")
        yield* isCounted ? transport.write("a request") : peer.write("an answer")
        yield* TestClock.adjust("1 second")
        expect((yield* service.state.get)._tag).toBe("Waiting")
      })
    )
  }

  // Kind 16
  it.scoped("loses a connection whose lastReceived throws, as one without an answer", () =>
    Effect.gen(function* () {
      const server = yield* TestEndpoint.make<string, string>()
      const service = yield* ClientService.make({
        endpoint: server.endpoint,
        heartbeat: {
          probe: () => Effect.never,
          interval: "10 seconds",
          timeout: "2 seconds",
          lastReceived: () => {
            throw new Error("thrown")
          }
        }
      })
      yield* service.start
      yield* server.accept("first")
      yield* TestClock.adjust("12 seconds")
      expect((yield* service.state.get)._tag).toBe("Waiting")
    })
  )
})
