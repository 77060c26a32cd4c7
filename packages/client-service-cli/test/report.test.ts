import { expect, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect } from "effect"
import { ConnectionState } from "effect-client-service"
import * as Report from "../src/internal/report.js"
import { coloursFor } from "../src/internal/terminal/colours.js"
import type { Output } from "../src/internal/terminal/output.js"

const record = () => {
  const told: Array<string> = []
  const output: Output = {
    write: (chunk) => Effect.sync(() => told.push(String(chunk))),
    print: (chunk) => void told.push(String(chunk)),
    closed: Effect.never,
    colours: coloursFor({}, { NO_COLOR: "1" }),
    columns: () => undefined
  }
  return { output, told }
}

// Kind 6
it.effect("what is told has the time since the beginning, though somebody sets the clock back", () =>
  Effect.gen(function* () {
    let [millis, nanos] = [0, 0n]
    const clock: Clock.Clock = Object.assign(Object.create(Clock.make()), {
      currentTimeMillis: Effect.sync(() => millis),
      currentTimeNanos: Effect.sync(() => nanos)
    })
    const { output, told } = record()
    yield* Effect.withClock(
      Effect.gen(function* () {
        const report = yield* Report.forPeople(output)
        millis = -24 * 60 * 60 * 1000
        nanos = 1_500_000_000n
        yield* report.happened({ event: "accepted", service: "s", client: 1, from: "127.0.0.1:1" })
      }),
      clock
    )
    expect(told.join("")).toContain(" 1.50 s ")
  })
)

it.effect("a delay that ends later than dates go is told in both ways", () =>
  Effect.gen(function* () {
    const { output, told } = record()
    for (const delay of [Duration.millis(1e300), Duration.infinity]) {
      const waiting = ConnectionState.Waiting({
        failures: 1,
        delay,
        retryAt: Duration.toMillis(delay),
        cause: Cause.fail({ _tag: "Refused", message: "no" })
      })
      yield* Report.inJson(output).state(waiting, "s")
      yield* (yield* Report.forPeople(output)).state(waiting, "s")
    }
    const [json = "", text = "", jsonOfInfinity = ""] = told
    expect(told).toHaveLength(4)
    expect(text).toContain("Waiting")
    expect(JSON.parse(json)).toMatchObject({ delayMillis: 1e300, retryAt: "+275760-09-13T00:00:00.000Z" })
    expect(JSON.parse(jsonOfInfinity)).toMatchObject({ delayMillis: Number.MAX_VALUE })
  })
)

it("what a process writes to its standard error is told whole in JSON, and apart from that of others", () => {
  const { output, told } = record()
  const { stderr } = Report.inJson(output)
  const [one, two] = [stderr(), stderr()]
  const euro = Buffer.from("€")
  one.take(Buffer.from("from one, "))
  one.take(euro.subarray(0, 1))
  two.take(Buffer.from("from two\nand no"))
  one.take(euro.subarray(1))
  one.take(Buffer.from("\n"))
  const long = "x".repeat(200_000)
  one.take(Buffer.from(`${long.slice(0, 150_000)}`))
  one.take(Buffer.from(`${long.slice(150_000)}\n`))
  two.end()
  one.end()
  const events = told.map((line) => JSON.parse(line))
  const texts = events.filter(({ text }) => !text.startsWith("x")).map(({ text }) => text)
  expect(texts).toEqual(["from two", "from one, €", "and no"])
  const parts = events.filter(({ text }) => text.startsWith("x"))
  expect(parts.map(({ text }) => text).join("")).toBe(long)
  expect(parts.map(({ continues }) => continues)).toEqual([true, true, true, undefined])
})
