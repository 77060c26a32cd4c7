import { describe, expect, it } from "@effect/vitest"
import type { ClientServices } from "effect-client-service"
import { type Bar, barAt, barsOf, shares } from "../page/bars.js"

type Transition = ClientServices.Transition

const states = (
  ...told: ReadonlyArray<readonly [at: number, state: Transition["state"], more?: Partial<Transition>]>
) => told.map(([at, state, more]): Transition => ({ state, at, attempt: 0, failures: 0, generation: 0, ...more }))

const draw = (bars: ReadonlyArray<Bar>) =>
  bars.map(({ cause, from, kind, to, until }) =>
    [kind, `${from}-${to ?? ""}`, ...(until === undefined ? [] : [`until ${until}`]), ...(cause ? [cause] : [])].join(
      " "
    )
  )

describe("barsOf", () => {
  it("makes attempts, failures, delays and connections of what a service has done", () => {
    const bars = barsOf(
      states(
        [0, "Init"],
        [10, "Connecting"],
        [20, "Waiting", { cause: "Refused", retryAt: 50 }],
        [50, "Connecting", { cause: "Refused" }],
        [60, "Connected"],
        [100, "Waiting", { cause: "Lost", retryAt: 130 }]
      )
    )
    expect(draw(bars)).toEqual([
      "failure 10-20 Refused",
      "delay 20-50 Refused",
      "attempt 50-60 Refused",
      "connection 60-100 Lost",
      "delay 100- until 130 Lost"
    ])
  })

  it("tells connections that follow each other apart, and an attempt that was begun anew from one that failed", () => {
    expect(draw(barsOf(states([0, "Connecting"], [5, "Connecting"], [9, "Connected"], [20, "Connected"])))).toEqual([
      "attempt 0-5",
      "attempt 5-9",
      "connection 9-20",
      "connection 20-"
    ])
  })

  it("shows the end of a service, and its next beginning", () => {
    const bars = barsOf(
      states(
        [0, "Connecting"],
        [1, "Exhausted", { cause: "Denied" }],
        [2, "Connecting"],
        [3, "Connected"],
        [4, "Disconnecting"],
        [5, "Restarting"],
        [6, "Connecting"],
        [7, "Disconnecting"],
        [8, "Stopped"]
      )
    )
    expect(draw(bars)).toEqual([
      "failure 0-1 Denied",
      "exhausted 1-2 Denied",
      "attempt 2-3",
      "connection 3-4",
      "stopping 4-5",
      "stopping 5-6",
      "attempt 6-7",
      "stopping 7-8",
      "stopped 8-"
    ])
  })

  it("has no bar that ends before it begins, though the clock of the program was set", () => {
    expect(draw(barsOf(states([100, "Connecting"], [40, "Connected"])))).toEqual(["attempt 100-100", "connection 40-"])
  })
})

describe("shares", () => {
  it("tells how much of a time was of what kind, of what is known of it", () => {
    const bars = barsOf(states([0, "Connected"], [60, "Waiting"], [80, "Connecting"], [90, "Connected"]))
    expect(shares(bars, 40, 120)).toEqual(
      new Map([
        ["connection", 50 / 80],
        ["delay", 20 / 80],
        ["attempt", 10 / 80]
      ])
    )
    expect(shares([], 0, 100)).toEqual(new Map())
  })
})

describe("barAt", () => {
  const bars = barsOf(states([0, "Connected"], [60, "Waiting"], [80, "Connecting"], [81, "Waiting", { retryAt: 100 }]))
  const kindAt = (at: number) => barAt(bars, at, 4, 90)?.kind

  it("finds what is there", () => {
    expect([-1, 0, 59, 70, 95].map(kindAt)).toEqual([undefined, "connection", "connection", "delay", "delay"])
    expect(kindAt(101)).toBe(undefined)
  })

  it("finds a failure that is too thin to point at", () => {
    expect([75, 76, 81, 85, 86].map(kindAt)).toEqual(["delay", "failure", "failure", "failure", "delay"])
  })
})
