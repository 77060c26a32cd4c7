/**
 * A service and a server that misbehaves in every usual way, in about twenty seconds.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ClientService from "effect-client-service/ClientService"
import * as Exchange from "effect-client-service/Exchange"
import * as Framing from "effect-client-service/Framing"
import * as RetryPolicy from "effect-client-service/RetryPolicy"
import * as NodeEndpoint from "effect-client-service-node/NodeEndpoint"
import { sinceNow } from "../sinceNow.js"
import type { Screen } from "../terminal/screen.js"
import { indent, type State, stateLine, waitBar } from "../terminal/stateLine.js"
import * as Words from "../terminal/words.js"
import { watch } from "../watch.js"
import { misbehavingServer } from "./server.js"
import { Tally } from "./tally.js"

/** `speed` divides every time: delays, pauses, and how long a connection is up until it counts as stable. */
export const tour = (screen: Screen, speed: number): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { bold, dim, green, red } = screen.colours
    const elapsed = yield* sinceNow
    const server = yield* misbehavingServer
    const tally = new Tally()
    const stableAfter = 1500 / speed

    const service = yield* ClientService.make({
      endpoint: NodeEndpoint.tcp({ host: "127.0.0.1", port: server.port }),
      protocol: lines,
      prepare: (lines) =>
        Effect.filterOrFail(
          lines.ask("LOGIN demo"),
          (reply) => reply.startsWith("+"),
          (reply) => new Rejected({ reply })
        ),
      retryPolicy: RetryPolicy.backoff({
        initialDelay: 400 / speed,
        maxDelay: 4000 / speed,
        factor: 1.6,
        jitter: Random.nextRange(0, 150 / speed)
      }),
      connectTimeout: "3 seconds",
      resetAfter: stableAfter
    })

    const heading = (text: string) => screen.print(`\n${bold(text)}`)
    const pause = Effect.sleep(1000 / speed)
    const stable = Effect.sleep(1.1 * stableAfter)

    yield* screen.print(`One connection to 127.0.0.1:${server.port}, kept alive by a ClientService.`)
    const { shown, caughtUp } = yield* watch(
      service,
      (state) =>
        Effect.flatMap(elapsed, (millis) => {
          tally.state(state)
          return screen.print(stateLine(screen.colours, state, millis))
        }),
      (state) => waiting(screen, state)
    )
    const { connected, dropped, failures, rejected } = moments(shown)

    // What a caller waits for, and below the state that decides it, what the caller got.
    const waiter = <A>(name: string, effect: Effect.Effect<A, Words.Told>, got: (a: A) => string) =>
      Effect.gen(function* () {
        tally.waits()
        yield* screen.print(`${indent}${dim(`↳ ${name} waits`)}`)
        return yield* effect.pipe(
          Effect.match({
            onSuccess: (a) => ({ isSuccess: true, words: `${green("✓")} ${name} ${got(a)}` }),
            onFailure: (problem) => ({
              isSuccess: false,
              words: `${red("✗")} ${name} fails: ${Words.ofProblem(problem)}`
            })
          }),
          Effect.tap(({ isSuccess }) => Effect.sync(() => tally.resolved(isSuccess))),
          Effect.tap(() => caughtUp),
          Effect.flatMap(({ words }) => screen.print(indent + words)),
          Effect.forkScoped
        )
      })
    const whenConnected = () => waiter("whenConnected()", service.whenConnected(), () => "has the connection")
    const use = (line: string) =>
      waiter(
        `use(${line})`,
        service.use((lines) => lines.ask(line)),
        (reply) => `gets ${reply}`
      )

    yield* heading("Nobody listens yet")
    const patient = yield* whenConnected()
    const impatient = yield* waiter(
      "whenConnected({ failAfterFailures: 2 })",
      service.whenConnected({ failAfterFailures: 2 }),
      () => "has the connection"
    )
    yield* service.start
    yield* Fiber.join(impatient)
    yield* failures(3)

    yield* heading("The server listens, but rejects the login")
    yield* server.rejectLogins(true)
    yield* server.listen
    yield* rejected

    yield* heading("It accepts the login")
    yield* server.rejectLogins(false)
    yield* Fiber.join(patient)
    yield* Fiber.join(yield* use("PING"))
    yield* stable

    yield* heading("It drops a connection that is in use")
    const report = yield* use("REPORT")
    yield* pause
    yield* server.drop
    yield* Fiber.join(report)
    yield* connected
    yield* stable

    yield* heading("It restarts")
    const late = yield* server.shut.pipe(Effect.zipRight(failures(2)), Effect.zipRight(whenConnected()))
    yield* server.listen
    yield* Fiber.join(late)
    yield* stable

    yield* heading("It accepts, then drops, again and again: the delays climb all the same")
    for (let losses = 1; losses <= 4; losses++) {
      yield* connected
      yield* server.drop
      yield* dropped
    }

    yield* heading("It behaves")
    yield* connected
    yield* Fiber.join(yield* use("PING"))
    yield* stable

    yield* heading("The service is stopped")
    const unfinished = yield* use("REPORT")
    yield* pause
    yield* service.stop
    yield* Fiber.join(unfinished)
    yield* caughtUp
    yield* Fiber.join(yield* whenConnected())

    yield* heading("Summary")
    for (const line of tally.lines(screen.colours)) yield* screen.print(line)
  })

const moments = (shown: (isIt: (state: State) => boolean) => Effect.Effect<void>) => ({
  connected: shown((state) => state._tag === "Connected"),
  dropped: shown((state) => state._tag === "Waiting"),
  rejected: shown((state) => state._tag === "Waiting" && Words.ofCause(state.cause).startsWith("rejected")),
  failures: (n: number) => shown((state) => state._tag === "Waiting" && state.failures >= n)
})

/** Each line that is sent is answered by one line. */
const lines = Framing.protocol(Framing.lines(), (framed) => Exchange.inOrder(framed))

class Rejected extends Data.TaggedError("Rejected")<{ readonly reply: string }> {
  override get message(): string {
    return `rejected: ${this.reply.slice(1)}`
  }
}

const waiting = (screen: Screen, state: State): Stream.Stream<void> => {
  if (state._tag !== "Waiting" || !screen.isLive) return Stream.empty
  const delay = Duration.toMillis(state.delay)
  const draw = Effect.flatMap(Clock.currentTimeMillis, (now) =>
    screen.status((columns) =>
      waitBar(screen.colours, { delay, remaining: Math.min(Math.max(state.retryAt - now, 0), delay) }, columns)
    )
  )
  return Stream.ensuring(
    Stream.repeatEffectWithSchedule(draw, Schedule.spaced("50 millis")),
    screen.status(() => "")
  )
}
