import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Option, Struct, TestClock } from "effect"
import { ConnectionState } from "effect-client-service"
import { type EventName, type Events, type Model, type Output, transition } from "../src/internal/service/table.js"
import { makeFixture, recordStates, type StateTag, settle } from "./support/fixture.js"

type Fixture = Effect.Effect.Success<typeof makeFixture>

const drop = ({ server }: Fixture) =>
  Effect.flatMap(server.last, Option.match({ onNone: () => Effect.void, onSome: (connection) => connection.drop() }))

const withoutRetries = (fixture: Fixture, event: Effect.Effect<void>) =>
  Effect.suspend(() => {
    fixture.retries.granted = false
    return event
  })

/** What can happen to a service, as it is brought about from outside. */
const causes = {
  start: ({ service }) => service.start,
  stop: ({ service }) => Effect.forkDaemon(service.stop),
  "attempt succeeds": ({ server }) => server.accept("next"),
  "attempt fails": ({ server }) => server.refuse("failed"),
  "attempt fails, policy done": (fixture) => withoutRetries(fixture, fixture.server.refuse("failed")),
  lost: (fixture) => drop(fixture),
  "lost, policy done": (fixture) => withoutRetries(fixture, drop(fixture)),
  "delay over": () => TestClock.adjust("1 second"),
  "old one closed": ({ gate }) => Deferred.succeed(gate, undefined),
  reconnect: ({ service }) => service.reconnect,
  "reconnect, after a second": ({ service }) => Effect.zipRight(TestClock.adjust("1 second"), service.reconnect)
} satisfies Record<string, (fixture: Fixture) => Effect.Effect<unknown>>

const ignored = "ignored"

/** The states that come of each state and each event that can come about in it: `ignored` if it changes nothing. */
const outcomes: Record<StateTag, Partial<Record<keyof typeof causes, typeof ignored | ReadonlyArray<StateTag>>>> = {
  Init: { start: ["Connecting"], stop: ["Stopped"], "delay over": ignored, reconnect: ignored },
  Connecting: {
    start: ignored,
    stop: ["Disconnecting", "Stopped"],
    "attempt succeeds": ["Connected"],
    "attempt fails": ["Waiting"],
    "attempt fails, policy done": ["Exhausted"],
    "delay over": ignored,
    reconnect: ignored,
    "reconnect, after a second": ["Connecting"]
  },
  Connected: {
    start: ignored,
    stop: ["Disconnecting", "Stopped"],
    lost: ["Waiting"],
    "lost, policy done": ["Exhausted"],
    "delay over": ignored,
    reconnect: ["Connecting"]
  },
  Waiting: {
    start: ignored,
    stop: ["Stopped"],
    lost: ignored,
    "delay over": ["Connecting"],
    reconnect: ["Connecting"]
  },
  Disconnecting: {
    start: ["Restarting"],
    stop: ignored,
    lost: ignored,
    "delay over": ignored,
    "old one closed": ["Stopped"],
    reconnect: ignored
  },
  Restarting: {
    start: ignored,
    stop: ["Disconnecting"],
    lost: ignored,
    "delay over": ignored,
    "old one closed": ["Connecting"],
    reconnect: ignored
  },
  Stopped: { start: ["Connecting"], stop: ignored, lost: ignored, "delay over": ignored, reconnect: ignored },
  Exhausted: {
    start: ["Connecting"],
    stop: ["Stopped"],
    lost: ignored,
    "delay over": ignored,
    reconnect: ["Connecting"]
  }
}

describe("transitions of a service", () => {
  for (const state of keysOf(outcomes)) {
    for (const event of keysOf(outcomes[state])) {
      const outcome = outcomes[state][event] ?? ignored
      it.scoped(`${state}, ${event}: ${outcome === ignored ? ignored : outcome.join(", then ")}`, () =>
        Effect.gen(function* () {
          const fixture = yield* makeFixture
          yield* fixture.reach[state]
          const states = yield* recordStates(fixture.service)
          yield* causes[event](fixture)
          yield* settle
          expect(states).toEqual(outcome === ignored ? [] : outcome)
          expect((yield* fixture.service.state.get)._tag).toBe(outcome === ignored ? state : outcome.at(-1))
        })
      )
    }
  }
})

const cause = Cause.fail("refused")
const retry = Option.some({ delay: Duration.seconds(1), retryAt: 1000 })

const states: { readonly [Tag in StateTag]: ConnectionState.ConnectionState<string, string> } = {
  Init: ConnectionState.Init(),
  Connecting: ConnectionState.Connecting({ attempt: 3, failures: 2, cause: Option.some(cause) }),
  Connected: ConnectionState.Connected({ protocol: "first", generation: 1, connectedAt: 0 }),
  Waiting: ConnectionState.Waiting({ failures: 2, delay: Duration.seconds(1), retryAt: 1000, cause }),
  Disconnecting: ConnectionState.Disconnecting({ uses: 2 }),
  Restarting: ConnectionState.Restarting(),
  Stopped: ConnectionState.Stopped(),
  Exhausted: ConnectionState.Exhausted({ failures: 2, cause })
}

const events: Events<string, string> = {
  start: {},
  stop: { isOpen: false, uses: 0 },
  reconnect: { failures: 0, age: 1000 },
  succeeded: { protocol: "next", now: 5000 },
  failed: { failures: 3, cause, retry },
  lost: { failures: 3, cause, retry },
  overtaken: { failures: 0 },
  replaced: { protocol: "next", failures: 0, now: 5000 },
  delayOver: {},
  usesEnded: { uses: 1 },
  closed: {}
}

type Decision = readonly [state: StateTag, ...outputs: ReadonlyArray<Output>]

/** The same table for the decisions alone, in which every event can come about in every state. */
const decisions: Record<StateTag, Partial<Record<EventName, Decision>>> = {
  Init: { start: ["Connecting", "admit", "open"], stop: ["Stopped", "turnAway", "halt"] },
  Connecting: {
    start: ["Connecting", "warn"],
    stop: ["Disconnecting", "admit", "awaitClosed", "drain"],
    reconnect: ["Connecting", "open", "close"],
    succeeded: ["Connected", "handOut", "renew"],
    failed: ["Waiting", "sleep"]
  },
  Connected: {
    start: ["Connected", "warn"],
    stop: ["Disconnecting", "admit", "awaitClosed", "drain"],
    reconnect: ["Connecting", "open", "close"],
    lost: ["Waiting", "sleep"],
    overtaken: ["Connecting", "adopt"],
    replaced: ["Connected", "handOut", "renew"]
  },
  Waiting: {
    start: ["Waiting", "warn"],
    stop: ["Stopped", "turnAway", "halt"],
    reconnect: ["Connecting", "open", "close"],
    delayOver: ["Connecting", "open"]
  },
  Disconnecting: {
    start: ["Restarting", "admit"],
    usesEnded: ["Disconnecting"],
    closed: ["Stopped", "turnAway", "completeStops"]
  },
  Restarting: {
    start: ["Restarting", "warn"],
    stop: ["Disconnecting"],
    closed: ["Connecting", "admit", "completeStops", "open"]
  },
  Stopped: { start: ["Connecting", "admit", "open"] },
  Exhausted: {
    start: ["Connecting", "admit", "open"],
    stop: ["Stopped", "turnAway", "halt"],
    reconnect: ["Connecting", "admit", "open"]
  }
}

const model = (state: StateTag): Model<string, string> => ({
  state: states[state],
  attempt: 3,
  failures: 2,
  generation: 1
})

describe("transition", () => {
  for (const state of keysOf(states)) {
    for (const event of keysOf(events)) {
      const decision = decisions[state][event]
      it(`${state}, ${event}: ${decision?.join(", ") ?? ignored}`, () => {
        const before = model(state)
        const { model: after, outputs } = transition(before, event, events[event])
        if (decision === undefined || decision.includes("warn")) expect(after).toBe(before)
        else expect(after.state._tag).toBe(decision[0])
        expect(outputs).toEqual(decision?.slice(1) ?? [])
      })
    }
  }

  it("start begins with the first attempt and no failures", () => {
    const next = transition(model("Exhausted"), "start", {}).model
    expect(next.state).toEqual(ConnectionState.Connecting({ attempt: 1, failures: 0, cause: Option.none() }))
    expect(next).toMatchObject({ attempt: 1, failures: 0, generation: 1 })
  })

  it("so does a reconnect once the policy has ended", () => {
    expect(transition(model("Exhausted"), "reconnect", { failures: 2, age: undefined })).toEqual(
      transition(model("Exhausted"), "start", {})
    )
  })

  it("a restart begins with the first attempt and no failures", () => {
    expect(transition(model("Restarting"), "closed", {}).model.state).toEqual(
      ConnectionState.Connecting({ attempt: 1, failures: 0, cause: Option.none() })
    )
  })

  it("a retry is one more attempt after the same failures, and keeps the cause of the last", () => {
    expect(transition(model("Waiting"), "delayOver", {}).model.state).toEqual(
      ConnectionState.Connecting({ attempt: 4, failures: 2, cause: Option.some(cause) })
    )
  })

  it("an attempt that is begun anew is one more after the same failures, and keeps the cause too", () => {
    expect(transition(model("Connecting"), "reconnect", { failures: 2, age: 1000 }).model.state).toEqual(
      ConnectionState.Connecting({ attempt: 4, failures: 2, cause: Option.some(cause) })
    )
  })

  it("an attempt that has failed is begun anew at once, and counts", () => {
    const last = Cause.fail("refused again")
    const failed = { failures: 3, cause: last, age: undefined }
    for (const state of ["Connecting", "Connected"] as const) {
      const next = transition(model(state), "reconnect", failed)
      expect(next.model.state).toEqual(
        ConnectionState.Connecting({ attempt: 4, failures: 3, cause: Option.some(last) })
      )
      expect(next.outputs).toEqual(["open", "close"])
    }
  })

  it("an attempt that is young is begun anew later, and one that has not begun is not", () => {
    const connecting = model("Connecting")
    expect(transition(connecting, "reconnect", { failures: 2, age: 999 })).toEqual({
      model: connecting,
      outputs: ["reopenLater"]
    })
    expect(transition(connecting, "reconnect", { failures: 2, age: undefined })).toEqual({
      model: connecting,
      outputs: []
    })
  })

  it("a replacement is one more attempt after the failures that still count", () => {
    expect(transition(model("Connected"), "reconnect", { failures: 0, age: undefined }).model.state).toEqual(
      ConnectionState.Connecting({ attempt: 4, failures: 0, cause: Option.none() })
    )
  })

  it("each connection is one more generation", () => {
    expect(transition(model("Connecting"), "succeeded", { protocol: "next", now: 5000 }).model.state).toEqual(
      ConnectionState.Connected({ protocol: "next", generation: 2, connectedAt: 5000 })
    )
  })

  it("a connection that replaces another is one more attempt and one more generation", () => {
    const replaced = { protocol: "next", failures: 0, now: 5000 }
    expect(transition(model("Connected"), "replaced", replaced).model).toEqual({
      state: ConnectionState.Connected({ protocol: "next", generation: 2, connectedAt: 5000 }),
      attempt: 4,
      failures: 0,
      generation: 2
    })
  })

  it("a connection that is lost to what replaces it makes one more attempt of that, and is no failure", () => {
    expect(transition(model("Connected"), "overtaken", { failures: 2 }).model).toEqual({
      state: ConnectionState.Connecting({ attempt: 4, failures: 2, cause: Option.none() }),
      attempt: 4,
      failures: 2,
      generation: 1
    })
  })

  it("waiting tells the failures, the delay and the cause", () => {
    expect(transition(model("Connecting"), "failed", { failures: 3, cause, retry }).model.state).toEqual(
      ConnectionState.Waiting({ failures: 3, delay: Duration.seconds(1), retryAt: 1000, cause })
    )
  })

  it("a policy that is done exhausts, and has those who wait fail", () => {
    const failed = { failures: 3, cause, retry: Option.none() }
    const exhausted = ConnectionState.Exhausted({ failures: 3, cause })
    for (const { model: after, outputs } of [
      transition(model("Connecting"), "failed", failed),
      transition(model("Connected"), "lost", failed)
    ]) {
      expect(after.state).toEqual(exhausted)
      expect(outputs).toEqual(["turnAway"])
    }
  })

  it("a stop while an old connection is closing disconnects first", () => {
    for (const state of ["Waiting", "Exhausted"] as const) {
      const { model: after, outputs } = transition(model(state), "stop", { isOpen: true, uses: 0 })
      expect(after.state).toEqual(ConnectionState.Disconnecting({ uses: 0 }))
      expect(outputs).toEqual(["admit", "awaitClosed", "drain"])
    }
  })

  it("a stop that lets uses finish tells how many, and has those who wait fail", () => {
    for (const [state, outputs] of [
      ["Connected", ["turnAway", "awaitClosed", "drain"]],
      ["Restarting", ["turnAway"]]
    ] as const) {
      const stopped = transition(model(state), "stop", { isOpen: true, uses: 3 })
      expect(stopped.model.state).toEqual(ConnectionState.Disconnecting({ uses: 3 }))
      expect(stopped.outputs).toEqual(outputs)
    }
    const { model: after } = transition(model("Disconnecting"), "usesEnded", { uses: 1 })
    expect(after.state).toEqual(ConnectionState.Disconnecting({ uses: 1 }))
  })
})

function keysOf<K extends string>(record: { readonly [Key in K]?: unknown }): ReadonlyArray<K> {
  return Struct.keys(record)
}
