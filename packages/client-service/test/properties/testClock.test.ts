import { Effect, Exit, Logger, LogLevel, Scope, Stream, TestClock, TestContext } from "effect"
import { ClientService, RetryPolicy, TestEndpoint } from "effect-client-service"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { runScript } from "./run.js"
import { accepted, fine, type Outcome, Script, type Step } from "./script.js"

// Any instant, so that no two timers are due at once: which one is first is not the same on both clocks.
const millis = fc.integer({ min: 1, max: 20_000 })

// What takes its time never ends at the very instant of its timeout.
const even = millis.map((n) => 2 * n)
const odd = millis.map((n) => 2 * n + 1)

const outcome: fc.Arbitrary<Outcome> = fc
  .record({
    takes: fc.oneof(fc.constant(0), even),
    ends: fc.constantFrom("ok", "ok", "fails", "dies"),
    drop: fc.option(fc.record({ after: millis, error: fc.constant(false) }), { nil: undefined }),
    close: fc.oneof(fc.constant(0), even)
  })
  .map(({ close, drop, ends, takes }) => ({ ...accepted, connect: { ...fine, takes, ends }, drop, close }))

const step: fc.Arbitrary<Step> = fc
  .oneof(
    fc.record({ _tag: fc.constant("pass"), millis: fc.integer({ min: 1, max: 60_000 }) }),
    fc.record({ _tag: fc.constant("command"), command: fc.constantFrom("start", "stop", "reconnect") })
  )
  .map((event) => ({ event, tasks: Infinity }))

const script = fc
  .record({
    options: fc.record({
      connectTimeout: odd,
      closeTimeout: odd,
      resetAfter: fc.constantFrom(0, 5000),
      policy: fc.array(millis, { minLength: 1, maxLength: 4 })
    }),
    outcomes: fc.array(outcome, { maxLength: 5 }),
    steps: fc.array(step, { maxLength: 8 })
  })
  .map(({ options, outcomes, steps }) => new Script(options, outcomes, [start, ...steps], []))

const start: Step = { event: { _tag: "command", command: "start" }, tasks: Infinity }

const played = ({ close, connect, drop }: Outcome): TestEndpoint.Outcome<string, string> => {
  const options = { close: close === 0 ? Effect.void : Effect.sleep(close) }
  const { ends, takes } = connect
  const accepts =
    drop === undefined ? TestEndpoint.accepted("", options) : TestEndpoint.dropped("", drop.after, options)
  const outcome: TestEndpoint.Outcome<string, string> =
    ends === "ok" ? accepts : ends === "fails" ? TestEndpoint.refused("") : TestEndpoint.died("")
  return takes === 0 ? outcome : TestEndpoint.delayed(outcome, takes)
}

/** The states that a service goes through on `TestClock`, with the peer that is offered for tests. */
const statesOnTestClock = ({ options, outcomes, steps }: Script): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function* () {
    const { closeTimeout, connectTimeout, policy, resetAfter } = options
    const states: Array<string> = []
    const owner = yield* Scope.make()
    const peer = yield* TestEndpoint.make<string, string>()
    yield* peer.script(...outcomes.map(played), ...steps.map(() => TestEndpoint.accepted("")))
    const service = yield* ClientService.make({
      ...{ closeTimeout, connectTimeout, resetAfter },
      endpoint: peer.endpoint,
      retryPolicy: RetryPolicy.fromFunction((failures) => Number(policy[Math.min(failures, policy.length) - 1]))
    }).pipe(Scope.extend(owner))
    yield* Stream.runForEach(Stream.drop(service.state.changes, 1), (state) =>
      Effect.map(TestClock.currentTimeMillis, (now) => {
        states.push(`${now} state ${JSON.stringify({ ...state, protocol: undefined, cause: undefined })}`)
      })
    ).pipe(Effect.forkDaemon)
    yield* TestClock.adjust(0)
    for (const { event } of steps) {
      if (event._tag === "command") yield* Effect.forkDaemon(service[event.command])
      yield* TestClock.adjust(event._tag === "pass" ? event.millis : 0)
    }
    // The Scope takes time to close, which only this fiber can let pass.
    const passed = states.slice()
    yield* Effect.forkDaemon(Scope.close(owner, Exit.void))
    yield* TestClock.adjust("1 hour")
    return passed
  }).pipe(Logger.withMinimumLogLevel(LogLevel.None), Effect.provide(TestContext.TestContext))

const statesOf = (trace: ReadonlyArray<string>): ReadonlyArray<string> =>
  trace
    .slice(
      0,
      trace.findIndex((entry) => entry.endsWith("close the owner Scope"))
    )
    .filter((entry) => entry.includes(" state "))

describe("on TestClock and TestEndpoint", () => {
  it("a service goes through the same states at the same times", async () => {
    const property = fc.asyncProperty(script, async (script) => {
      expect(await Effect.runPromise(statesOnTestClock(script))).toEqual(statesOf(runScript(script)))
    })
    await fc.assert(property, { numRuns: 10 })
  }, 60_000)
})
