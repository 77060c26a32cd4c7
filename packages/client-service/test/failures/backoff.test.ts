import { describe, expect, it } from "@effect/vitest"
import { Cause, Duration, Effect, Schedule } from "effect"
import { RetryPolicy, TestEndpoint } from "effect-client-service"
import { scheduleOf } from "../support/schedules.js"
import { delaysAt } from "../support/steps.js"
import { delaysOf, make, refuseAll } from "./support.js"
import { World } from "./world.js"

type Options = NonNullable<Parameters<typeof make>[0]>

/** 1, 2, 4, 8 ... 60 seconds. */
const ladder = RetryPolicy.backoff({ factor: 2, jitter: Effect.succeed(0) })

/** A service that runs through some outcomes, and the seconds that it waits for after each. */
const delaysAfter = (outcomes: ReadonlyArray<TestEndpoint.Outcome<string, string>>, options: Options = {}) => {
  const world = new World()
  const { open, server, service } = world.run(make({ retryPolicy: ladder, ...options }))
  world.run(server.script(...outcomes))
  const delays = world.run(delaysOf(service))
  world.run(service.start)
  while (delays.length < outcomes.length) world.pass("1 hour")
  expect(open.most).toBe(1)
  world.close()
  return delays.slice(0, outcomes.length).map((delay) => delay / 1000)
}

const repeated = <A>(times: number, value: A): ReadonlyArray<A> => Array.from({ length: times }, () => value)

describe("back-off", () => {
  // Failure 25: A server that accepts and then drops is hammered, since every accept restarts the back-off.
  // Reported: grpc/grpc-go#954, grpc/grpc-go#1444, FreeTAKTeam/LXMF-rs#493, Twisted 26.4, DBConnection
  it("connections that are dropped after 10 ms climb the ladder, until one stays up for resetAfter", () => {
    const early = TestEndpoint.dropped("protocol", 10)
    const stable = TestEndpoint.dropped("protocol", "5 seconds")
    const climb = [1, 2, 4, 8, 16, 32, ...repeated(14, 60)]
    expect(delaysAfter([...repeated(20, early), stable, early])).toEqual([...climb, 1, 2])
  })

  // Failure 26: The back-off is reset by an intermediate state, before the connection is ready.
  // Reported: grpc/grpc-node#1444, kubernetes/kubernetes#118129
  it("failures of connect and of prepare, in turn, climb one ladder", () => {
    const unprepared = TestEndpoint.accepted("unprepared")
    const refused = TestEndpoint.refused("refused")
    const delays = delaysAfter([refused, unprepared, refused, unprepared, refused, unprepared], {
      prepare: () => Effect.fail("not ready")
    })
    expect(delays).toEqual([1, 2, 4, 8, 16, 32])
  })

  // Failure 27: The back-off is never reset, so a loss after hours waits as long as the last outage had come to.
  // Reported: redis/node-redis#1198, Effect RpcClient
  it("each loss after an hour begins with the first delay", () => {
    const refused = TestEndpoint.refused("refused")
    const hour = TestEndpoint.dropped("protocol", "1 hour")
    expect(delaysAfter([refused, refused, ...repeated(50, hour), refused])).toEqual([1, 2, ...repeated(50, 1), 2])
  })

  // Failure 30: A delay that is zero times two, not a number, negative, infinite or too long for a timer, is none at all.
  // Reported: Daring-Designs/meshtastic-ui-ha#41, App-vNext/Polly#2163, KEEPALIVE_MAX_TIME_MS@grpc/grpc-node
  it.effect("every delay is finite, within its bounds, and waited for", () =>
    Effect.gen(function* () {
      const counts = [1, 2, 10, 100, 1024, 1025, 5000, Number.MAX_SAFE_INTEGER]
      for (const policy of [
        RetryPolicy.backoff({ jitter: Effect.succeed(0) }),
        RetryPolicy.backoff({ factor: 1e300 }),
        RetryPolicy.fullJitter(),
        RetryPolicy.decorrelatedJitter()
      ]) {
        const delays = yield* delaysAt(policy, counts)
        expect(delays).toHaveLength(counts.length)
        for (const delay of delays) expect(delay >= 0 && delay <= 61_000).toBe(true)
      }
      const none = RetryPolicy.backoff({ initialDelay: 0, jitter: Effect.succeed(0) })
      expect(yield* delaysAt(none, counts)).toEqual(counts.map(() => 0))

      // What is no delay at all gets the default policy's, of up to half a second.
      const senseless = [Number.NaN, Number.POSITIVE_INFINITY, -1]
      for (const retryPolicy of [
        ...[...senseless, "-1 second" as const].map((delay) => RetryPolicy.fromFunction(() => delay)),
        ...senseless.map(scheduleOf)
      ]) {
        const world = new World()
        const { server, service } = world.run(make({ retryPolicy }))
        world.run(refuseAll(server, 2))
        world.run(service.start)
        const state = world.run(service.state.get)
        const millis = state._tag === "Waiting" ? Duration.toMillis(state.delay) : Number.NaN
        expect(millis).toBeGreaterThan(0)
        expect(millis).toBeLessThanOrEqual(500)
        expect(world.run(server.attempts)).toBe(1)
        world.close()
      }

      // Of a month, no timer is longer than JavaScript has them, which would fire at once.
      const world = new World()
      const sleeps: Array<number> = []
      const sleep = world.clock.sleep.bind(world.clock)
      world.clock.sleep = (duration) => {
        sleeps.push(Duration.toMillis(duration))
        return sleep(duration)
      }
      const { server, service } = world.run(make({ retryPolicy: RetryPolicy.fromFunction(() => "30 days") }))
      world.run(refuseAll(server, 2))
      world.run(service.start)
      world.pass("29 days")
      expect(world.run(server.attempts)).toBe(1)
      world.pass("1 day")
      expect(world.run(server.attempts)).toBe(2)
      expect(Math.max(...sleeps)).toBeLessThan(2 ** 31)
      world.close()
    })
  )

  // Failure 31: What is refused at once and told to retry now, spins.
  // Reported: pingdotgg/t3code#5404
  it("a thousand reconnects a second make no more attempts than end in that time, and none in parallel", () => {
    const world = new World()
    const { open, server, service } = world.run(make({ retryPolicy: ladder }))
    world.run(server.script(...repeated(1000, TestEndpoint.delayed(TestEndpoint.refused("refused"), 10))))
    world.run(service.start)
    for (let i = 0; i < 1000; i++) {
      world.run(service.reconnect)
      world.pass(1)
    }
    expect(world.run(server.attempts)).toBeLessThanOrEqual(101)
    expect(open.most).toBe(1)
    // Nor do they shorten the delays that follow.
    world.pass(10)
    expect(world.run(service.state.get)).toMatchObject({ _tag: "Waiting", delay: Duration.seconds(60) })
    world.close()
  })

  // Failure 32: A client that crashes for its supervisor to start it again takes the supervisor down with it.
  // Reported: supabase/libcluster_postgres#27, jvantuyl/phoenix_pubsub_postgresql#2
  it("an hour of outage fails nobody's Scope, and ends in a connection", () => {
    const world = new World()
    const { fibers, server, service } = world.run(make({ retryPolicy: RetryPolicy.fullJitter() }))
    const owner = world.fork(Effect.zipRight(service.start, Effect.never))
    const died = [TestEndpoint.died("crash"), TestEndpoint.refused("refused")] as const
    world.run(server.script(...repeated(500, died).flat()))
    world.pass("1 hour")
    expect(owner.unsafePoll()).toBeNull()
    const attempts = world.run(server.attempts)
    // Of the delays, most are 15 seconds on the average.
    expect(attempts).toBeGreaterThan(120)
    expect(attempts).toBeLessThan(500)
    expect(fibers.size).toBe(1)
    world.run(server.script(...repeated(1, TestEndpoint.accepted("protocol"))))
    for (let i = 0; i < 1000 - attempts; i++) world.pass("30 seconds")
    expect(world.run(service.whenConnected())).toBe("protocol")
    world.close()
  })

  // Failure 33: The client gives up silently, after a number of attempts that nobody asked for.
  // Reported: nats-io/nats.node#173, nats-io/nats.js#292, SignalR
  it("the default policy never gives up, and one that does says so to all, with the last cause", () => {
    const world = new World()
    const forever = world.run(make({ retryPolicy: undefined }))
    world.run(refuseAll(forever.server, 10_000))
    world.run(forever.service.start)
    world.pass("1 day")
    expect(world.run(forever.server.attempts)).toBeGreaterThan(5000)
    expect(world.run(forever.service.running)).toBe(true)
    world.run(forever.service.stop)

    const limited = world.run(make({ retryPolicy: Schedule.recurs(2) }))
    world.run(limited.server.script(...["first", "second", "third"].map(TestEndpoint.refused)))
    const waiters = [
      world.fork(Effect.flip(limited.service.whenConnected())),
      world.fork(Effect.flip(limited.service.use(() => Effect.void)))
    ]
    world.run(limited.service.start)
    world.pass("1 minute")
    const last = { failures: 3, cause: Cause.fail("third") }
    expect(world.run(limited.service.state.get)).toMatchObject({ _tag: "Exhausted", ...last })
    const gaveUp = { _tag: "Success", value: { _tag: "RetriesExhausted", service: "test", ...last } }
    for (const waiter of waiters) expect(waiter.unsafePoll()).toMatchObject(gaveUp)
    world.close()
  })

  // Failure 34: The id of a timer is overwritten, and two reconnect loops run side by side.
  // Reported: larksuite/node-sdk#177
  it("stop and start every 35 minutes, for three days, leave one loop", () => {
    const world = new World()
    const { fibers, open, server, service } = world.run(
      make({ retryPolicy: RetryPolicy.fromFunction(() => "1 minute") })
    )
    world.run(refuseAll(server, 5000))
    world.run(service.start)
    const rounds = Math.floor((3 * 24 * 60) / 35)
    for (let round = 1; round <= rounds; round++) {
      world.pass("35 minutes")
      world.run(service.stop)
      expect([fibers.size, world.clock.sleeping]).toEqual([0, 0])
      world.run(service.start)
      expect([fibers.size, world.clock.sleeping]).toEqual([1, 1])
      // One a minute, and those of the starts.
      expect(world.run(server.attempts)).toBe(round * 36 + 1)
    }
    expect(open.most).toBe(1)
    world.close()
  })
})
