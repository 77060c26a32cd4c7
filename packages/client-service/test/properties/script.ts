import fc from "fast-check"
import type { Command } from "../support/model.js"

/** What a callback calls the service back with. */
export type Callback = Command | "whenConnected"

/** How the peer treats an attempt, and the connection that comes of it. Times are milliseconds; an infinite one hangs. */
export interface Outcome {
  readonly connect: Part
  /** Whether `connect` ignores its interruption. */
  readonly uninterruptible: boolean
  readonly protocol: Part
  readonly prepare: Part
  /** What the probes of the connection do, in order. All later ones are answered. */
  readonly probes: ReadonlyArray<Probe>
  /** When the peer drops the connection, counted from when it is open; 0 is before `connect` has returned. */
  readonly drop: { readonly after: number; readonly error: boolean } | undefined
  /** How long the connection takes to close. */
  readonly close: number
  readonly closeCalls: Callback | undefined
  readonly closeDies: boolean
}

/** A part of an attempt. */
export interface Part {
  readonly takes: number
  /** How many turns of the scheduler it takes besides. */
  readonly turns: number
  readonly calls: Callback | undefined
  /** To throw is to do so in the callback itself, at once. */
  readonly ends: "ok" | "fails" | "dies" | "throws"
}

export interface Probe extends Part {
  readonly uninterruptible: boolean
}

/** What a policy answers: a delay, good or bad, or nothing good at all. None that is an interval of the calendar. */
export type Answer = number | "dies" | "throws" | "hangs" | "done"

export type Event =
  | { readonly _tag: "command"; readonly command: Command }
  /** A stop whose caller does not wait until it is done. */
  | { readonly _tag: "interruptedStop" }
  /** A burst of reconnects, by `reconnectOn`. */
  | { readonly _tag: "reconnects"; readonly times: number }
  | { readonly _tag: "check" }
  | { readonly _tag: "wait"; readonly failAfterFailures: number | undefined; readonly calls: Callback | undefined }
  | { readonly _tag: "interruptWaiter"; readonly waiter: number }
  | ({ readonly _tag: "use" } & UseOptions & Omit<Part, "turns">)
  | { readonly _tag: "connections" }
  /** A reader of `ClientService.stream`. */
  | { readonly _tag: "stream" }
  /** An observer that calls back, dies or hangs when it next sees the state. */
  | { readonly _tag: "observe"; readonly state: string; readonly does: Callback | "dies" | "hangs" }
  /** Calls the signal of a connection, the newest or an older one. */
  | { readonly _tag: "lose"; readonly age: number; readonly error: boolean }
  /** Ends something that hangs. */
  | { readonly _tag: "release"; readonly hung: number }
  | { readonly _tag: "pass"; readonly millis: number }

export interface UseOptions {
  /** Whether it is a `use` or a `usePromise`. */
  readonly how: "effect" | "promise"
  readonly maxWait: number | undefined
  /** Whether its caller is in an uninterruptible region. */
  readonly uninterruptible: boolean
}

export interface Step {
  readonly event: Event
  /** How many tasks of fibers run before the next event, which thus comes between them. Infinite: all. */
  readonly tasks: number
}

export interface Options {
  readonly connectTimeout: number
  readonly closeTimeout: number
  readonly drainTimeout?: number | undefined
  readonly resetAfter: number
  /** The answers to 1, 2, ... failures; the last one is that to all more. */
  readonly policy: ReadonlyArray<Answer>
  readonly policyCalls?: Callback | undefined
  readonly heartbeat?: { readonly interval: number; readonly timeout: number } | undefined
  readonly maxAge?: number | undefined
}

export class Script {
  constructor(
    readonly options: Options,
    /** Of the first attempts. All later ones are accepted. */
    readonly outcomes: ReadonlyArray<Outcome>,
    readonly steps: ReadonlyArray<Step>,
    /** What follows before the owner Scope closes. */
    readonly ending: ReadonlyArray<"recover" | "stop">,
    /** Decides which fibers are stopped between two of their steps. By default, none is. */
    readonly preemptions?: number | undefined
  ) {}

  toString(): string {
    const { closeTimeout, connectTimeout, drainTimeout, heartbeat, maxAge, policy, policyCalls, resetAfter } =
      this.options
    return [
      "",
      `options   connectTimeout ${connectTimeout}, closeTimeout ${closeTimeout}, resetAfter ${resetAfter}`,
      ...(drainTimeout === undefined ? [] : [`drainTimeout ${drainTimeout}`]),
      ...(heartbeat === undefined ? [] : [`heartbeat every ${heartbeat.interval}, timeout ${heartbeat.timeout}`]),
      ...(maxAge === undefined ? [] : [`maxAge    ${maxAge}`]),
      `policy    ${policy.join(", ")}${policyCalls === undefined ? "" : `; calls ${policyCalls}`}`,
      ...this.outcomes.map((outcome, index) => `attempt ${index + 1} ${printOutcome(outcome)}`),
      ...this.steps.map(({ event, tasks }) => `  ${printEvent(event)}${tasks < Infinity ? ` (${tasks} tasks)` : ""}`),
      `ending    ${[...this.ending, "close the owner Scope"].join(", ")}`,
      ...(this.preemptions === undefined ? [] : [`fibers are stopped by the seed ${this.preemptions}`]),
      ""
    ].join("\n")
  }
}

const printOutcome = (outcome: Outcome): string => {
  const { close, closeCalls, closeDies, connect, drop, prepare, probes, protocol, uninterruptible } = outcome
  return [
    `connect ${printPart(connect)}${uninterruptible ? " uninterruptibly" : ""}`,
    ...(protocol === fine ? [] : [`protocol ${printPart(protocol)}`]),
    ...(prepare === fine ? [] : [`prepare ${printPart(prepare)}`]),
    ...probes.map((probe) => `probe ${printPart(probe)}${probe.uninterruptible ? " uninterruptibly" : ""}`),
    ...(drop === undefined ? [] : [`dropped after ${drop.after}${drop.error ? " with an error" : ""}`]),
    ...(close === 0 ? [] : [`close takes ${close}`]),
    ...(closeCalls === undefined ? [] : [`close calls ${closeCalls}`]),
    ...(closeDies ? ["close dies"] : [])
  ].join("; ")
}

const printPart = ({ calls, ends, takes, turns }: Part): string =>
  [
    ...(takes === 0 ? [] : [`takes ${takes}`]),
    ...(turns === 0 ? [] : [`takes ${turns} turns`]),
    ...(calls === undefined ? [] : [`calls ${calls}`]),
    ends
  ].join(" ")

const printEvent = ({ _tag, ...rest }: Event): string =>
  [_tag, ...Object.entries(rest).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]))].join(
    " "
  )

/** A part of an attempt that ends well and at once. */
export const fine: Part = { takes: 0, turns: 0, calls: undefined, ends: "ok" }

/** The outcome of an attempt that is accepted, and stays so. */
export const accepted: Outcome = {
  connect: fine,
  uninterruptible: false,
  protocol: fine,
  prepare: fine,
  probes: [],
  drop: undefined,
  close: 0,
  closeCalls: undefined,
  closeDies: false
}

const command = fc.constantFrom<Command>("start", "start", "stop", "reconnect")

const callback = fc.constantFrom<Callback>("start", "stop", "reconnect", "whenConnected")

const sometimes = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: undefined, freq: 4 })

const rarely = <A>(usual: A, arbitrary: fc.Arbitrary<A>): fc.Arbitrary<A> =>
  fc.oneof({ arbitrary: fc.constant(usual), weight: 3 }, { arbitrary, weight: 1 })

const takes = fc.constantFrom(0, 10, 500, 999, 1000, 1001, 5000, Infinity)

const ends = fc.oneof(
  { arbitrary: fc.constant<Part["ends"]>("ok"), weight: 2 },
  { arbitrary: fc.constantFrom<Part["ends"]>("fails", "dies", "throws"), weight: 1 }
)

const anyPart = {
  takes: fc.oneof(fc.constant(0), takes),
  turns: fc.constantFrom(0, 0, 0, 1, 2, 3),
  calls: fc.option(callback, { nil: undefined, freq: 2 }),
  ends
}

const part: fc.Arbitrary<Part> = rarely(fine, fc.record(anyPart))

// None takes as long as a heartbeat's timeout, since whichever is first then may be so.
const probe: fc.Arbitrary<Probe> = fc.record({
  ...anyPart,
  takes: fc.constantFrom(0, 0, 0, 10, 999, 2500, Infinity),
  uninterruptible: rarely(false, fc.boolean())
})

const refused: Part = { takes: 0, turns: 0, calls: undefined, ends: "fails" }

const outcome: fc.Arbitrary<Outcome> = fc.record({
  connect: fc.oneof(part, part, part, fc.constant(refused)),
  uninterruptible: rarely(false, fc.boolean()),
  protocol: part,
  prepare: part,
  probes: fc.array(probe, { maxLength: 4 }),
  drop: rarely(
    undefined,
    fc.record({ after: fc.constantFrom(0, 0, 10, 1000, 4999, 5000, 5001, 60_000), error: fc.boolean() })
  ),
  close: fc.oneof(fc.constant(0), takes),
  closeCalls: rarely(undefined, sometimes(callback)),
  closeDies: rarely(false, fc.boolean())
})

const answer: fc.Arbitrary<Answer> = fc.oneof(
  { arbitrary: fc.constantFrom<Answer>(1000, 1, 0, 2500, 60_000), weight: 5 },
  { arbitrary: fc.constantFrom<Answer>(NaN, -1.5, Infinity, "dies", "throws", "hangs", "hangs", "done"), weight: 2 }
)

const states = ["Connecting", "Connected", "Waiting", "Disconnecting", "Restarting", "Stopped", "Exhausted"]

const event: fc.Arbitrary<Event> = fc.oneof(
  { arbitrary: fc.record({ _tag: fc.constant("command" as const), command }), weight: 6 },
  {
    arbitrary: fc.record({
      _tag: fc.constant("pass" as const),
      millis: fc.constantFrom(0, 1, 10, 500, 999, 1000, 1001, 2000, 5000, 5000, 30_000, 30_000)
    }),
    weight: 12
  },
  {
    arbitrary: fc.record({
      _tag: fc.constant("lose" as const),
      age: fc.constantFrom(0, 0, 0, 1, 2),
      error: fc.boolean()
    }),
    weight: 3
  },
  {
    arbitrary: fc.record({
      _tag: fc.constant("wait" as const),
      failAfterFailures: fc.constantFrom(undefined, 1, 2, 3),
      calls: sometimes(callback)
    }),
    weight: 3
  },
  {
    arbitrary: fc.record({ _tag: fc.constant("reconnects" as const), times: fc.constantFrom(2, 3, 20) }),
    weight: 1
  },
  { arbitrary: fc.record({ _tag: fc.constant("interruptedStop" as const) }), weight: 1 },
  { arbitrary: fc.record({ _tag: fc.constant("check" as const) }), weight: 2 },
  { arbitrary: fc.record({ _tag: fc.constant("interruptWaiter" as const), waiter: fc.nat(3) }), weight: 1 },
  {
    arbitrary: fc.record({
      _tag: fc.constant("use" as const),
      how: fc.constantFrom("effect" as const, "effect" as const, "promise" as const),
      maxWait: rarely(undefined, fc.constantFrom(0, 500, 5000)),
      uninterruptible: rarely(false, fc.boolean()),
      takes: fc.constantFrom(0, 500, 5000, Infinity),
      calls: rarely(undefined, callback),
      ends
    }),
    weight: 3
  },
  { arbitrary: fc.record({ _tag: fc.constant("connections" as const) }), weight: 1 },
  { arbitrary: fc.record({ _tag: fc.constant("stream" as const) }), weight: 1 },
  {
    arbitrary: fc.record({
      _tag: fc.constant("observe" as const),
      state: fc.constantFrom(...states),
      does: fc.constantFrom<Callback | "dies" | "hangs">("start", "stop", "reconnect", "whenConnected", "dies", "hangs")
    }),
    weight: 1
  },
  { arbitrary: fc.record({ _tag: fc.constant("release" as const), hung: fc.nat(2) }), weight: 1 }
)

const step: fc.Arbitrary<Step> = fc.record({
  event,
  tasks: fc.oneof(
    { arbitrary: fc.constant(Infinity), weight: 3 },
    { arbitrary: fc.constantFrom(0, 1, 2, 3, 5, 8), weight: 1 }
  )
})

const started: Step = { event: { _tag: "command", command: "start" }, tasks: Infinity }

const options: fc.Arbitrary<Options> = fc.record({
  connectTimeout: fc.constantFrom(1000, 30_000, Infinity),
  closeTimeout: fc.constantFrom(0, 2000, 5000, Infinity),
  drainTimeout: rarely(undefined, fc.constantFrom(1000, 5000)),
  resetAfter: fc.constantFrom(0, 5000),
  policy: fc.array(answer, { minLength: 1, maxLength: 4 }),
  policyCalls: rarely(undefined, sometimes(callback)),
  heartbeat: fc.option(
    fc.record({ interval: fc.constantFrom(1000, 10_000), timeout: fc.constantFrom(1000, 2000, Infinity) }),
    { nil: undefined, freq: 2 }
  ),
  maxAge: fc.option(fc.constantFrom(1000, 5000, 20_000), { nil: undefined, freq: 2 })
})

/** Most scripts begin with a start, as nearly all that is of interest comes after one. */
export const script: fc.Arbitrary<Script> = fc
  .record({
    begin: rarely<ReadonlyArray<Step>>([started], fc.constant([])),
    options,
    outcomes: fc.array(outcome, { maxLength: 8, size: "max" }),
    steps: fc.array(step, { maxLength: 24, size: "max" }),
    ending: fc.subarray<"recover" | "stop">(["recover", "stop"]),
    preemptions: fc.option(fc.nat(), { nil: undefined, freq: 2 })
  })
  .map(
    ({ begin, ending, options, outcomes, preemptions, steps }) =>
      new Script(options, outcomes, [...begin, ...steps], ending, preemptions)
  )
