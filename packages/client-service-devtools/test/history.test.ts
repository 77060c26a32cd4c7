import { describe, expect, it } from "@effect/vitest"
import type { ClientServices } from "effect-client-service"
import { type Known, learn, nothing } from "../page/history.js"
import { announcement, barText, lengthText, stateDetail, summary, tally } from "../page/words.js"
import type { ServiceUpdate, Update } from "../src/internal/model.js"

const transition = (
  at: number,
  state: ClientServices.Transition["state"],
  more: Partial<ClientServices.Transition> = {}
): ClientServices.Transition => ({ state, at, attempt: 1, failures: 0, generation: 0, ...more })

const news = (id: string, more: Partial<ServiceUpdate>): ServiceUpdate => ({
  id,
  name: `service ${id}`,
  canCheck: false,
  waiters: 0,
  uses: 0,
  gaps: 0,
  transitions: [],
  isWhole: false,
  ...more
})

const update = (services: ReadonlyArray<ServiceUpdate>, ids?: ReadonlyArray<string>): Update => ({
  now: 0,
  total: 2,
  found: 2,
  services,
  ...(ids && { ids })
})

const begin = (): Known =>
  learn(
    nothing,
    update(
      [
        news("a", { isWhole: true, transitions: [transition(0, "Init"), transition(1, "Connecting")] }),
        news("b", { isWhole: true, transitions: [transition(0, "Init")] })
      ],
      ["a", "b"]
    )
  ).known

const statesOf = ({ services }: Known) =>
  services.map(({ transitions }) => transitions.map(({ state }) => state).join())

describe("learn", () => {
  it("adds what is new, and tells which services have entered another state", () => {
    const { changed, known } = learn(
      begin(),
      update([news("a", { uses: 2, transitions: [transition(2, "Connected")] })])
    )
    expect(statesOf(known)).toEqual(["Init,Connecting,Connected", "Init"])
    expect(known.services[0]).toMatchObject({ uses: 2, current: { state: "Connected" } })
    expect(changed.map(announcement)).toEqual(["service a: connected"])
  })

  it("keeps the very states, where only counts have changed", () => {
    const before = begin()
    const { changed, known } = learn(before, update([news("a", { uses: 2 })]))
    expect(changed).toEqual([])
    expect(known.services[0]?.transitions).toBe(before.services[0]?.transitions)
    expect(known.services[1]).toBe(before.services[1])
  })

  it("remembers what the program has forgotten, when it is told all anew", () => {
    const whole = [transition(1, "Connecting"), transition(2, "Connected")]
    const { known } = learn(begin(), update([news("a", { isWhole: true, transitions: whole })], ["a"]))
    expect(statesOf(known)).toEqual(["Init,Connecting,Connected"])
  })

  it("shows the services in the order of the program, without those that are gone", () => {
    const { known } = learn(
      begin(),
      update([news("c", { isWhole: true, transitions: [transition(5, "Init")] })], ["c", "b"])
    )
    expect(known.services.map(({ id }) => id)).toEqual(["c", "b"])
  })

  it("forgets what was very long ago", () => {
    const many = Array.from({ length: 3000 }, (_, at) => transition(at, at % 2 === 0 ? "Connecting" : "Waiting"))
    const { known } = learn(begin(), update([news("a", { transitions: many })]))
    expect(known.services[0]?.transitions).toHaveLength(2000)
  })

  it("knows the last failure", () => {
    const transitions = [
      transition(2, "Waiting", { cause: "Refused" }),
      transition(3, "Connecting", { cause: "Refused" }),
      transition(4, "Connected")
    ]
    const { known } = learn(begin(), update([news("a", { transitions })]))
    expect(known.services[0]?.lastFailure).toEqual({ cause: "Refused", at: 2 })
  })
})

describe("the words", () => {
  it("tell a length of time as precisely as one cares for", () => {
    const lengths = [0, 4, 40, 1234, 9940, 9960, 59_400, 59_600, 3_599_000, 3_600_000, 7_260_000, 180_000_000]
    expect(lengths.map(lengthText)).toEqual([
      "0 ms",
      "4 ms",
      "40 ms",
      "1.2 s",
      "9.9 s",
      "10 s",
      "59 s",
      "59 s",
      "59 min 59 s",
      "1 h",
      "2 h 1 min",
      "2 days 2 h"
    ])
  })

  it("count down to the next attempt", () => {
    const { known } = learn(
      begin(),
      update([news("a", { transitions: [transition(10, "Waiting", { retryAt: 2010 })] })])
    )
    const [service] = known.services
    expect([10, 1000, 3000].map((now) => service && stateDetail(service, now))).toEqual([
      "next attempt in 2.0 s",
      "next attempt in 1.0 s",
      "next attempt now"
    ])
  })

  it("say what a bar is, and what is on a time line", () => {
    const bar = {
      kind: "failure",
      from: 0,
      to: 400,
      transition: transition(0, "Connecting"),
      cause: "Refused"
    } as const
    expect(barText(bar, 9000)).toEqual(["Attempt 1 failed", "after 0.4 s", "Refused"])
    const shares = new Map([
      ["delay", 0.25],
      ["connection", 0.7],
      ["failure", 0.05]
    ] as const)
    expect(summary(shares, 2, 60_000)).toBe("Time line of 1 min: connection 70 %, delay 25 %, 2 failed attempts")
    expect(summary(new Map(), 0, 60_000)).toBe("Time line of 1 min: nothing yet")
  })

  it("count the services by what they are doing, the worst first", () => {
    const transitions = [transition(2, "Exhausted")]
    const { known } = learn(begin(), update([news("b", { transitions })]))
    expect(tally(known.services).map(({ count, name }) => `${count} ${name}`)).toEqual(["1 Gave up", "1 Connecting"])
  })
})
