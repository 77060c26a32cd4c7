/**
 * Plays a history that was written, or clicked together in the playground of the website, on a service and a `TestEndpoint`:
 * all of it at once, and the same each time for the same seed. It runs in browsers too, so it imports neither `node:` nor
 * `fast-check`.
 */
import { Clock, Effect, Exit, Option, Random, Runtime, Schedule, Scope, Stream, Supervisor } from "effect"
import { ClientService, type ConnectionState, RetryPolicy, TestEndpoint } from "effect-client-service"
import { ScriptClock } from "../properties/scriptClock.js"
import { StepScheduler, stepRuntime } from "../properties/stepScheduler.js"
import { successors, type Tag } from "../support/model.js"
import { delaysAt } from "../support/steps.js"
import { type Does, type PolicyName, parse, printWord, type Word } from "./notation.js"

export type Policy = RetryPolicy.RetryPolicy<unknown>

/** What a retry policy is chosen from. */
export const policies: Readonly<Record<PolicyName, Policy>> = {
  fullJitter: RetryPolicy.fullJitter(),
  proportional: RetryPolicy.proportional(),
  backoff: RetryPolicy.backoff(),
  decorrelatedJitter: RetryPolicy.decorrelatedJitter(),
  fixed: Schedule.spaced("5 seconds"),
  fiveTimes: Schedule.intersect(RetryPolicy.fullJitter(), Schedule.recurs(5))
}

/** A state that the service was in, since an instant of the clock. */
export interface Moment {
  readonly at: number
  readonly state: Tag
  readonly attempt: number
  readonly failures: number
  readonly generation: number
  /** How long the service waits, if it does. */
  readonly delay: number | undefined
}

type State = ConnectionState.ConnectionState<"protocol", string>

// More than any script needs.
const manyTasks = 50_000

export class Player {
  readonly clock = new ScriptClock()
  /** The states, each with what came before it. */
  readonly moments: Array<Moment> = []
  /** What was done and what came of it, a line each. */
  readonly trace: Array<string> = []
  /** What went wrong, if anything did. */
  readonly problems: Array<string> = []
  /** How many answers wait for an attempt. */
  unanswered = 0
  private readonly scheduler = new StepScheduler()
  private readonly supervisor = Effect.runSync(Supervisor.track)
  private readonly runtime: Runtime.Runtime<never>
  private readonly owner: Scope.CloseableScope
  private readonly peer: TestEndpoint.TestEndpoint<"protocol", string>
  private readonly service: ClientService.ClientService<"protocol", string>

  constructor(seed: number, policy: PolicyName) {
    this.runtime = stepRuntime(this.scheduler, this.clock, Random.make(seed))
    this.owner = this.evaluate(Scope.make())
    this.peer = this.evaluate(TestEndpoint.make<"protocol", string>())
    this.service = this.evaluate(
      ClientService.make({ endpoint: this.peer.endpoint, retryPolicy: policies[policy] }).pipe(
        Effect.supervised(this.supervisor),
        Scope.extend(this.owner)
      )
    )
    Runtime.runFork(this.runtime)(
      Stream.runForEach(this.service.state.changes, (state) => Effect.sync(() => this.changed(state)))
    )
    this.settle()
  }

  get now(): number {
    return this.clock.now
  }

  /** The last of the moments. */
  get last(): Moment {
    return this.moments[this.moments.length - 1] ?? { ...counts(this.service), at: 0, state: "Init", delay: undefined }
  }

  /** Until when nothing happens by itself; infinite if nothing is due at all. */
  get nextIn(): number {
    return this.clock.due[0] ?? Infinity
  }

  perform(word: Word): void {
    this.note(printWord(word))
    switch (word._tag) {
      case "command":
        Runtime.runFork(this.runtime)(this.service[word.command])
        break
      case "peer":
        this.answer(word.does)
        break
      case "pass":
        this.pass(word.millis)
        break
    }
    this.settle()
  }

  /** Closes the owner Scope, and sees whether anything is left. */
  end(): void {
    this.note("close the owner Scope")
    Runtime.runFork(this.runtime)(Scope.close(this.owner, Exit.void))
    this.settle()
    this.pass(3_600_000)
    const fibers = this.evaluate(this.supervisor.value).length
    const [opens, closes] = [this.evaluate(this.peer.opens), this.evaluate(this.peer.closes)]
    if (this.last.state !== "Stopped")
      this.problem(`the service is ${this.last.state} after its owner Scope has closed`)
    if (opens !== closes) this.problem(`${opens} connections were opened, and ${closes} closed`)
    if (this.clock.sleeping > 0) this.problem(`${this.clock.sleeping} sleeps are left`)
    if (fibers > 0) this.problem(`${fibers} fibers are left`)
  }

  private answer(does: Does): void {
    switch (does) {
      case "accept":
        this.next(TestEndpoint.accepted("protocol"))
        break
      case "accept-and-drop":
        this.next(TestEndpoint.dropped("protocol", 0))
        break
      case "refuse":
        this.next(TestEndpoint.refused("refused"))
        break
      case "hang":
        this.next(TestEndpoint.hung)
        break
      case "up":
        this.evaluate(this.peer.up("protocol"))
        break
      case "down":
        this.evaluate(this.peer.down("refused"))
        break
      case "drop":
        this.drop()
    }
  }

  private drop(): void {
    const last = Option.getOrUndefined(this.evaluate(this.peer.last))
    if (last !== undefined) this.evaluate(last.drop())
  }

  private next(outcome: TestEndpoint.Outcome<"protocol", string>): void {
    this.unanswered += 1
    const counted: TestEndpoint.Outcome<"protocol", string> = (signal, open) => {
      this.unanswered -= 1
      return outcome(signal, open)
    }
    this.evaluate(this.peer.script(counted))
  }

  private changed(state: State): void {
    const { attempt, failures, generation } = counts(this.service)
    const delay = state._tag === "Waiting" ? Number(state.retryAt) - this.now : undefined
    const before = this.moments[this.moments.length - 1]
    this.moments.push({ at: this.now, state: state._tag, attempt, failures, generation, delay })
    this.note(
      `state ${state._tag}${delay === undefined ? "" : ` for ${delay} ms`}, attempt ${attempt}, failures ${failures}`
    )
    const open = this.evaluate(this.peer.opens) - this.evaluate(this.peer.closes)
    if (open > 1) this.problem(`${open} connections are open`)
    if (before !== undefined && !successors[before.state].includes(state._tag))
      this.problem(`${state._tag} follows ${before.state}`)
  }

  private pass(millis: number): void {
    const rest = (): void => this.run()
    this.settle()
    this.clock.moveTo(this.now + millis, rest, rest)
  }

  /** What is due at this very instant happens too. */
  private settle(): void {
    const rest = (): void => this.run()
    rest()
    this.clock.moveTo(this.now, rest, rest)
  }

  private run(): void {
    for (let task = 0; this.scheduler.step(); task += 1) {
      if (task > manyTasks) throw new Error("the fibers never come to rest")
    }
  }

  private evaluate<A>(effect: Effect.Effect<A>): A {
    // Not by `runSync`, whose fibers, and all that they fork, have a scheduler of their own.
    const exit = Runtime.runFork(this.runtime)(effect).unsafePoll()
    if (exit?._tag !== "Success") throw new Error(`not evaluated at once: ${exit}`)
    return exit.value
  }

  private note(entry: string): void {
    this.trace.push(`${this.now} ${entry}`)
  }

  private problem(what: string): void {
    this.note(`VIOLATED ${what}`)
    this.problems.push(what)
  }
}

/** Plays all of a script, the end of the owner Scope too. */
export const play = (seed: number, text: string): Player => {
  const { policy, words } = parse(text)
  const player = new Player(seed, policy)
  for (const word of words) player.perform(word)
  player.end()
  return player
}

const counts = (
  service: ClientService.ClientService<"protocol", string>
): { readonly attempt: number; readonly failures: number; readonly generation: number } =>
  JSON.parse(JSON.stringify(service))

/** Between what a policy draws the delay after each number of failures, if each failure follows at once upon the attempt. */
export const bounds = (
  policy: PolicyName,
  failures: number
): ReadonlyArray<{ readonly least: number; readonly most: number }> => {
  const at = (chance: number) =>
    Effect.runSync(
      delaysAt(
        policies[policy],
        Array.from({ length: failures }, (_, index) => index + 1)
      ).pipe(Effect.withRandom(always(chance)), Effect.withClock(Clock.make()))
    )
  const most = at(1)
  return at(0).map((least, index) => ({ least, most: most[index] ?? least }))
}

/** Draws the same share of every range. */
const always = (share: number): Random.Random => {
  const between = (min: number, max: number) => Effect.succeed(min + (max - min) * share)
  return {
    [Random.RandomTypeId]: Random.RandomTypeId,
    next: Effect.succeed(share),
    nextBoolean: Effect.succeed(share > 0.5),
    nextInt: Effect.succeed(0),
    nextRange: between,
    nextIntBetween: (min, max) => Effect.map(between(min, max - 1), Math.floor),
    shuffle: Random.shuffle
  }
}
