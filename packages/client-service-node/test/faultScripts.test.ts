import { expect, it } from "@effect/vitest"
import { Clock, Duration, Effect, Logger, LogLevel, Queue, Random, Stream } from "effect"
import { ClientService, Endpoint, RetryPolicy } from "effect-client-service"
import { FaultProxy, NodeEndpoint } from "effect-client-service-node"
import { makeAuthority } from "./support/certificates.js"
import { listen, openSockets } from "./support/server.js"
import { turns, until } from "./support/turns.js"
import { nothingUncaught } from "./support/uncaught.js"
import * as Words from "./support/words.js"

/** How many scripts, and the seed of the first; each later one has the next. `SEED=n RUNS=1` runs one again. */
const { RUNS, SEED } = process.env
const runs = Number(RUNS ?? 100)
const firstSeed = Number(SEED ?? 1)

const atOnce = 20
const host = "127.0.0.1"

/** A script that hangs fails, however slow the machine is. */
const patience = "2 minutes"

interface Picker {
  /** From 0, below `n`. */
  readonly below: (n: number) => number
  readonly from: <A>(all: readonly [A, ...ReadonlyArray<A>]) => A
}

const picker = (seed: number): Picker => {
  const random = Random.make(`fault script ${seed}`)
  const below = (n: number) => Effect.runSync(random.nextIntBetween(0, n))
  return { below, from: (all) => all[below(all.length)] ?? all[0] }
}

/** Delays are of the order of the timeouts that the service has while there are faults. */
const randomFault = ({ below, from }: Picker): FaultProxy.Fault => {
  const direction = from(["ToClient", "ToServer", "Both"] as const)
  const delay = below(100)
  const after = below(3000)
  return from([
    () => FaultProxy.latency({ delay, direction }),
    () => FaultProxy.bandwidth({ bytesPerSecond: 1000 * (1 + below(1000)), direction }),
    () => FaultProxy.blackHole({ direction }),
    () => FaultProxy.close({ after, direction }),
    () => FaultProxy.reset({ after, direction }),
    () => FaultProxy.reset(),
    () => FaultProxy.halfClose({ direction: from(["ToClient", "ToServer"] as const) }),
    () => FaultProxy.slowClose({ delay: from([delay, Number.POSITIVE_INFINITY]), direction }),
    () => FaultProxy.lateAccept({ delay: from([delay, Number.POSITIVE_INFINITY]) }),
    () => FaultProxy.refuse
  ])()
}

/** A clock whose time passes faster, for whoever sleeps by it, as long as it is in a hurry. */
const hurriedClock = (clock: Clock.Clock, isHurried: () => boolean): Clock.Clock => ({
  [Clock.ClockTypeId]: Clock.ClockTypeId,
  currentTimeMillis: clock.currentTimeMillis,
  currentTimeNanos: clock.currentTimeNanos,
  unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis(),
  unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
  sleep: (duration) => clock.sleep(isHurried() ? Duration.times(duration, 1 / 50) : duration)
})

const runScript = (seed: number, tls: { readonly ca: string; readonly cert: string; readonly key: string }) =>
  Effect.gen(function* () {
    const pick = picker(seed)
    const isTls = pick.below(4) === 0
    const server = yield* listen(Words.answer, isTls ? { tls } : {})
    const proxy = yield* FaultProxy.make({ upstream: { host, port: server.port } })
    const address = { host, port: proxy.port, linger: "1 second" } as const
    const endpoint = isTls ? NodeEndpoint.tls({ ...address, ca: tls.ca }) : NodeEndpoint.tcp(address)

    let isFaulty = true
    let attempts = 0
    let questions = 0
    // What happens is what a step of the script waits for.
    const events = yield* Queue.unbounded<string>()
    const ask = (words: Words.Words) => {
      questions += 1
      const line = `${seed}/${questions} ${"x".repeat(pick.below(1000))}`
      return Effect.flatMap(words.ask(line), (reply) =>
        reply === `answer to ${line}` ? Effect.void : Effect.dieMessage(`${line} got ${reply}`)
      )
    }

    const service = yield* ClientService.make({
      endpoint: Endpoint.make({
        name: "proxied",
        connect: (signal: Parameters<typeof endpoint.connect>[0]) =>
          Effect.suspend(() => {
            attempts += 1
            return endpoint.connect(signal)
          })
      }),
      protocol: Words.make,
      prepare: ask,
      retryPolicy: RetryPolicy.fromFunction(() => 250),
      connectTimeout: "10 seconds",
      heartbeat: { probe: ask, interval: "1 second", timeout: "10 seconds" }
    }).pipe(
      Effect.withClock(hurriedClock(yield* Effect.clock, () => isFaulty)),
      Logger.withMinimumLogLevel(LogLevel.None)
    )
    yield* service.start
    yield* service.state.changes.pipe(
      Stream.runForEach((state) => Queue.offer(events, state._tag)),
      Effect.forkScoped
    )

    // What it gets is the right answer, or a failure that says that the connection is lost; or it does not wait for it.
    const use = service.use(ask).pipe(
      Effect.as("answered"),
      Effect.catchTags({
        ConnectionLost: () => Effect.succeed("lost"),
        TransportError: () => Effect.succeed("lost")
      })
    )
    const user = Effect.gen(function* () {
      const impatience = pick.below(4) === 0 ? turns(pick.below(20)) : Effect.never
      yield* Queue.offer(events, yield* Effect.raceFirst(use, Effect.as(impatience, "gave up")))
      yield* turns(pick.below(3))
    })

    const script = Effect.gen(function* () {
      const steps = 1 + pick.below(4)
      for (let step = 0; step < steps; step++) {
        yield* proxy.set(...Array.from({ length: 1 + pick.below(2) }, () => randomFault(pick)))
        yield* Queue.takeAll(events)
        yield* Effect.replicateEffect(Queue.take(events), 1 + pick.below(12), { discard: true })
        if (pick.below(4) === 0) yield* service.reconnect
        if (pick.below(4) === 0) yield* proxy.dropAll
      }
      yield* proxy.heal
      isFaulty = false
      const before = attempts
      // The last connection may be broken and its loss still to come, or an attempt be under way that fails. The first
      // attempt after that succeeds, or the second: one may have begun before the proxy had healed.
      let answers = 0
      while (answers < 5) {
        if ((yield* use) === "answered") answers += 1
        yield* turns(1)
      }
      expect(attempts - before).toBeLessThanOrEqual(1)
    })
    yield* Effect.raceFirst(script, Effect.all([Effect.forever(user), Effect.forever(user)], { concurrency: 2 }))
    return questions
  }).pipe(
    Effect.scoped,
    Effect.timeoutFail({ duration: patience, onTimeout: () => new Error(`no end within ${patience}`) }),
    Effect.orDie,
    Effect.tapErrorCause((cause) => Effect.logError(`SEED=${seed} RUNS=1 runs this script alone`, cause))
  )

it.scopedLive(
  `${runs} scripts of faults from seed ${firstSeed}: it recovers, and no answer is wrong`,
  () =>
    Effect.gen(function* () {
      const before = openSockets()
      yield* nothingUncaught
      const authority = yield* makeAuthority()
      const tls = { ca: authority.ca, ...(yield* authority.issue(host)) }
      const seeds = Array.from({ length: runs }, (_, i) => firstSeed + i)
      const questions = yield* Effect.forEach(seeds, (seed) => runScript(seed, tls), { concurrency: atOnce })
      expect(questions.every((count) => count > 0)).toBe(true)
      yield* until(() => openSockets() === before)
    }),
  { timeout: 120_000 + runs * 2000 }
)
