/**
 * Services that have been through everything, for pictures.
 */
import { Effect, Option, Stream, Subscribable } from "effect"
import type { ClientServices } from "effect-client-service"

type Transition = ClientServices.Transition

/** States and how many seconds ago they were entered. */
type Told = ReadonlyArray<readonly [ago: number, state: Transition["state"], more?: Partial<Transition>]>

const service = (
  now: number,
  name: string,
  counts: ClientServices.Counts,
  canCheck: boolean,
  told: Told
): ClientServices.Listed => {
  let attempt = 0
  let failures = 0
  let generation = 0
  const transitions = told.map(([ago, state, more]): Transition => {
    if (state === "Connecting") attempt += 1
    if (state === "Connected") generation += 1
    if (state === "Waiting" || state === "Exhausted") failures += 1
    const transition = { state, at: now - ago * 1000, attempt, failures, generation, ...more }
    ;({ attempt, failures, generation } = transition)
    return transition
  })
  const current = transitions[transitions.length - 1]
  if (current === undefined) throw new Error("a service has a state")
  return {
    name,
    service: { name, start: Effect.void, stop: Effect.void, reconnect: Effect.void },
    hasConnected: generation > 0,
    current,
    transitions,
    counts: Effect.succeed(counts),
    check: canCheck ? Option.some(Effect.succeed(true)) : Option.none()
  }
}

/** Failed attempts with the delays between them, which grow, until so many seconds ago. */
const failing = (from: number, until: number, cause: string, length = 0.3): Told => {
  const told: Array<Told[number]> = []
  let at = from
  for (let delay = 0.7; at > until; delay *= 1.8) {
    told.push([at, "Connecting"])
    at -= length
    told.push([at, "Waiting", { cause, retryAt: 0 }])
    at -= delay
  }
  return told
}

/** A list of services as of now. */
export const scene: Effect.Effect<ClientServices.ClientServices> = Effect.clockWith((clock) =>
  Effect.map(clock.currentTimeMillis, (now) => {
    const refused = "ConnectError.Refused"
    const listed = [
      service(now, "orders-db", { waiters: 0, uses: 14, gaps: 0 }, true, [
        [5210, "Connecting"],
        [5209.8, "Connected", { generation: 3 }]
      ]),
      service(now, "sessions", { waiters: 1, uses: 3, gaps: 2 }, true, [
        [960, "Connecting", { attempt: 2 }],
        [959.8, "Connected", { generation: 2 }],
        [43, "Waiting", { cause: "ConnectionLost", failures: 1 }],
        ...failing(42.4, 14, refused),
        [11.4, "Connecting"],
        [11.2, "Connected"]
      ]),
      service(now, "events", { waiters: 3, uses: 0, gaps: 0 }, true, [
        [2400, "Connecting"],
        [2399, "Connected"],
        [33, "Waiting", { cause: "HeartbeatTimeout", failures: 1 }],
        ...failing(32, 4, "ConnectTimeout", 1.4),
        [2.9, "Connecting"],
        [1.5, "Waiting", { cause: "ConnectTimeout", retryAt: now + 14_000 }]
      ]),
      service(now, "payments", { waiters: 1, uses: 0, gaps: 0 }, false, [
        [26, "Connecting", { attempt: 1 }],
        [25.6, "Connected"],
        [4.4, "Waiting", { cause: "PgError.Terminated", failures: 1 }],
        [3.1, "Connecting", { cause: "PgError.Terminated" }]
      ]),
      service(now, "prices (eu-west-1)", { waiters: 0, uses: 1, gaps: 0 }, true, [
        [3000, "Connected", { generation: 6, attempt: 6 }],
        [21, "Connected", { generation: 7, attempt: 7 }]
      ]),
      service(now, "search", { waiters: 0, uses: 0, gaps: 0 }, false, [
        ...failing(47, 27, "RedisError.Authentication", 0.5),
        [24, "Connecting"],
        [23.6, "Exhausted", { cause: "RedisError.Authentication" }]
      ]),
      service(now, "legacy feed", { waiters: 0, uses: 0, gaps: 1 }, false, [
        [900, "Connecting"],
        [899, "Connected"],
        [31, "Disconnecting"],
        [28.5, "Stopped"]
      ])
    ]
    return {
      all: Subscribable.make({ get: Effect.succeed(listed), changes: Stream.concat(Stream.make(listed), Stream.never) })
    }
  })
)
