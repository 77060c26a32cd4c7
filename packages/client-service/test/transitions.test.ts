import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Option, Struct, TestClock } from "effect"
import { ConnectionState } from "effect-client-service"
import { type EventName, type Events, type Model, transition } from "../src/internal/transitions.js"
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
  reconnect: ({ service }) => service.reconnect
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
    reconnect: ignored
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
  Exhausted: { start: ["Connecting"], stop: ["Stopped"], lost: ignored, "delay over": ignored, reconnect: ignored }
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
  Connecting: ConnectionState.Connecting({ attempt: 3, failures: 2 }),
  Connected: ConnectionState.Connected({ protocol: "first", generation: 1, connectedAt: 0 }),
  Waiting: ConnectionState.Waiting({ failures: 2, delay: Duration.seconds(1), retryAt: 1000, cause }),
  Disconnecting: ConnectionState.Disconnecting(),
  Restarting: ConnectionState.Restarting(),
  Stopped: ConnectionState.Stopped(),
  Exhausted: ConnectionState.Exhausted({ failures: 2, cause })
}

const events: Events<string, string> = {
  start: {},
  stop: { closing: false },
  succeeded: { protocol: "next", now: 5000 },
  failed: { failures: 3, cause, retry },
  lost: { failures: 3, cause, retry },
  delayOver: {},
  closed: {},
  reconnect: { failures: 0 },
  replaced: { protocol: "next", failures: 0, now: 5000 }
}

/** The same table for the decisions alone, in which every event can come about in every state. */
const decisions: Record<StateTag, Partial<Record<EventName, StateTag>>> = {
  Init: { start: "Connecting", stop: "Stopped" },
  Connecting: { stop: "Disconnecting", succeeded: "Connected", failed: "Waiting" },
  Connected: { stop: "Disconnecting", lost: "Waiting", reconnect: "Connecting", replaced: "Connected" },
  Waiting: { stop: "Stopped", delayOver: "Connecting", reconnect: "Connecting" },
  Disconnecting: { start: "Restarting", closed: "Stopped" },
  Restarting: { stop: "Disconnecting", closed: "Connecting" },
  Stopped: { start: "Connecting" },
  Exhausted: { start: "Connecting", stop: "Stopped" }
}

describe("transition", () => {
  for (const state of keysOf(states)) {
    for (const event of keysOf(events)) {
      const expected = decisions[state][event]
      it(`${state}, ${event}: ${expected ?? ignored}`, () => {
        const model: Model<string, string> = { state: states[state], attempt: 3, failures: 2, generation: 1 }
        const next = transition(model, event, events[event])
        if (expected === undefined) expect(next).toBe(model)
        else expect(next.state._tag).toBe(expected)
      })
    }
  }

  const model = (state: StateTag): Model<string, string> => ({
    state: states[state],
    attempt: 3,
    failures: 2,
    generation: 1
  })

  it("start begins with the first attempt and no failures", () => {
    const next = transition(model("Exhausted"), "start", {})
    expect(next.state).toEqual(ConnectionState.Connecting({ attempt: 1, failures: 0 }))
    expect(next).toMatchObject({ attempt: 1, failures: 0, generation: 1 })
  })

  it("a restart begins with the first attempt and no failures", () => {
    expect(transition(model("Restarting"), "closed", {}).state).toEqual(
      ConnectionState.Connecting({ attempt: 1, failures: 0 })
    )
  })

  it("a retry is one more attempt after the same failures", () => {
    expect(transition(model("Waiting"), "delayOver", {}).state).toEqual(
      ConnectionState.Connecting({ attempt: 4, failures: 2 })
    )
  })

  it("a replacement is one more attempt after the failures that still count", () => {
    expect(transition(model("Connected"), "reconnect", { failures: 0 }).state).toEqual(
      ConnectionState.Connecting({ attempt: 4, failures: 0 })
    )
  })

  it("each connection is one more generation", () => {
    expect(transition(model("Connecting"), "succeeded", { protocol: "next", now: 5000 }).state).toEqual(
      ConnectionState.Connected({ protocol: "next", generation: 2, connectedAt: 5000 })
    )
  })

  it("a connection that replaces another is one more attempt and one more generation", () => {
    const replaced = { protocol: "next", failures: 0, now: 5000 }
    expect(transition(model("Connected"), "replaced", replaced)).toEqual({
      state: ConnectionState.Connected({ protocol: "next", generation: 2, connectedAt: 5000 }),
      attempt: 4,
      failures: 0,
      generation: 2
    })
  })

  it("waiting tells the failures, the delay and the cause", () => {
    expect(transition(model("Connecting"), "failed", { failures: 3, cause, retry }).state).toEqual(
      ConnectionState.Waiting({ failures: 3, delay: Duration.seconds(1), retryAt: 1000, cause })
    )
  })

  it("a policy that is done exhausts", () => {
    const failed = { failures: 3, cause, retry: Option.none() }
    expect(transition(model("Connecting"), "failed", failed).state).toEqual(
      ConnectionState.Exhausted({ failures: 3, cause })
    )
    expect(transition(model("Connected"), "lost", failed).state).toEqual(
      ConnectionState.Exhausted({ failures: 3, cause })
    )
  })

  it("a stop while an old connection is closing disconnects first", () => {
    expect(transition(model("Waiting"), "stop", { closing: true }).state._tag).toBe("Disconnecting")
    expect(transition(model("Exhausted"), "stop", { closing: true }).state._tag).toBe("Disconnecting")
  })
})

function keysOf<K extends string>(record: { readonly [Key in K]?: unknown }): ReadonlyArray<K> {
  return Struct.keys(record)
}
