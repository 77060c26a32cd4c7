import { Effect, Exit, type Fiber, Option, Runtime, Schedule, Scope, Stream } from "effect"
import { ClientService, Endpoint, type RetryPolicy } from "effect-client-service"
import { FiberCensus } from "../properties/fiberCensus.js"
import { withoutRealTimers } from "../properties/realTimers.js"
import { ScriptClock } from "../properties/scriptClock.js"
import { StepScheduler, stepRuntime } from "../properties/stepScheduler.js"
import {
  closeTimeout,
  connectTimeout,
  delay,
  drainTimeout,
  type Event,
  isRunning,
  type Model,
  resetAfter,
  sleeps
} from "../support/model.js"
import type { Sequence } from "./sequences.js"

/** Plays a sequence on a service, and tells the first thing in which it is not as the model has it. */
export const play = (sequence: Sequence): string | undefined =>
  withoutRealTimers(() => {
    const player = new Player()
    return player.play(sequence) ?? player.end(sequence)
  })

class Refused {
  readonly _tag = "Refused"
  constructor(readonly attempt: number) {}
}

type Answer = "accept" | "acceptSlow" | "reject" | "refuse"

interface Attempt {
  readonly number: number
  readonly signal: Endpoint.ConnectionSignal<Refused>
}

class Player {
  private readonly clock = new ScriptClock()
  private readonly scheduler = new StepScheduler()
  private readonly defects: Array<string> = []
  private readonly census = new FiberCensus((defect) => this.defects.push(`a fiber died: ${defect}`))
  private readonly runtime: Runtime.Runtime<never>
  private readonly owner: Scope.CloseableScope
  private readonly service: ClientService.ClientService<number, Refused>
  private readonly tags: Array<string> = []
  private readonly jobs = new Set<Fiber.RuntimeFiber<unknown, unknown>>()
  private readonly waiters: Array<string | undefined> = []
  private readonly opened: Array<Attempt> = []
  private attempts = 0
  private closes = 0
  private stops = 0
  private isRetried = true
  private answer: ((answer: Answer) => void) | undefined
  private readonly hung: Array<() => void> = []
  private finish: Array<() => void> = []

  constructor() {
    this.runtime = stepRuntime(this.scheduler, this.clock)
    this.owner = this.evaluate(Scope.make())
    this.service = this.evaluate(
      ClientService.make({
        ...{ closeTimeout, connectTimeout, drainTimeout, resetAfter },
        endpoint: Endpoint.make({
          name: "peer",
          connect: (signal: Endpoint.ConnectionSignal<Refused>) => this.connect(signal)
        }),
        retryPolicy: this.policy
      }).pipe(Effect.supervised(this.census), Scope.extend(this.owner))
    )
    this.fork(Stream.runForEach(this.service.state.changes, ({ _tag }) => Effect.sync(() => this.tags.push(_tag))))
    this.drain()
  }

  play({ events, models }: Sequence): string | undefined {
    for (const [index, event] of events.entries()) {
      const before = models[index]
      const model = models[index + 1]
      if (before === undefined || model === undefined) throw new Error("a sequence without its models")
      for (const failures of [undefined, 1, 2]) this.wait(failures)
      this.perform(event, model)
      const immediately = ["start", "stop", "reconnect"].includes(event)
        ? difference({ tag: model.tags[before.tags.length] ?? model.tag }, { tag: this.state._tag })
        : undefined
      this.drain()
      const wrong = immediately ?? this.defects[0] ?? difference(expected(model), this.actual())
      if (wrong !== undefined) return `after ${events.slice(0, index + 1).join(", ")}: ${wrong}`
    }
    return undefined
  }

  /** Closes the owner Scope, and tells what is left behind. */
  end({ events }: Sequence): string | undefined {
    this.fork(Scope.close(this.owner, Exit.void))
    this.drain()
    // The owner waits for those who may go on for a while.
    while (this.finish.length > 0) this.perform("finish")
    this.drain()
    while (this.hung.length > 0) this.perform("close")
    this.drain()
    const isOver = this.service.toString().includes('"Stopped"')
    const rest = { isOver, jobs: this.jobs.size, fibers: this.census.size }
    const none = { isOver: true, jobs: 0, fibers: 0, closes: this.opened.length, sleeping: 0 }
    const wrong = difference(none, { ...rest, closes: this.closes, sleeping: this.clock.sleeping })
    return wrong === undefined ? undefined : `after ${events.join(", ")}, and the end of the owner Scope: ${wrong}`
  }

  private perform(event: Event, model?: Model): void {
    switch (event) {
      case "start":
      case "reconnect":
        this.fork(this.service[event])
        break
      case "stop":
        this.stops += 1
        this.fork(
          Effect.tap(this.service.stop, () => {
            this.stops -= 1
          })
        )
        break
      case "refuseForGood":
        this.isRetried = false
        this.answer?.("refuse")
        break
      case "lose":
      case "loseForGood":
        this.isRetried = event === "lose"
        this.opened[this.opened.length - 1]?.signal.lost()
        break
      case "loseOld": {
        const isUp = model?.up !== undefined
        for (const { signal } of isUp ? this.opened.slice(0, -1) : this.opened) signal.lost(new Refused(0))
        break
      }
      case "close":
        this.hung.shift()?.()
        break
      case "use":
        this.use()
        break
      case "finish":
        this.finish.shift()?.()
        break
      case "wait":
      case "stay":
      case "linger":
        if (model !== undefined)
          this.clock.moveTo(
            model.now,
            () => this.drain(),
            () => {}
          )
        break
      default:
        this.isRetried = true
        this.answer?.(event)
    }
  }

  private drain(): void {
    while (this.scheduler.step()) {}
    this.isRetried = true
  }

  private actual() {
    const { state } = this
    return {
      now: this.clock.now,
      snapshot: JSON.stringify(this.service),
      tags: tagsOf(this.tags),
      uses: this.finish.length,
      draining: state._tag === "Disconnecting" ? state.uses : undefined,
      retryAt: state._tag === "Waiting" ? state.retryAt : undefined,
      connectedAt: state._tag === "Connected" ? state.connectedAt : undefined,
      protocol: Option.getOrUndefined(this.evaluate(this.service.protocol.get)),
      isRunning: this.evaluate(this.service.running),
      attempts: this.attempts,
      opens: this.opened.length,
      closes: this.closes,
      stops: this.stops,
      sleeps: this.clock.sleeping,
      waiters: this.waiters.join()
    }
  }

  private get state() {
    return this.evaluate(this.service.state.get)
  }

  private wait(failAfterFailures: number | undefined): void {
    const index = this.waiters.push(undefined) - 1
    const { service } = this
    const connected =
      failAfterFailures === undefined ? service.whenConnected() : service.whenConnected({ failAfterFailures })
    const result = Effect.match(connected, {
      onFailure: (error) => (error._tag === "Refused" ? `attempt ${error.attempt}` : error._tag),
      onSuccess: (protocol) => `protocol ${protocol}`
    })
    this.fork(
      Effect.map(result, (result) => {
        this.waiters[index] = result
      })
    )
  }

  private use(): void {
    const using = Effect.async<void>((resume) => {
      const finish = () => resume(Effect.void)
      this.finish.push(finish)
      return Effect.sync(() => {
        this.finish = this.finish.filter((other) => other !== finish)
      })
    })
    this.fork(Effect.exit(this.service.use(() => using)))
  }

  private connect(signal: Endpoint.ConnectionSignal<Refused>): Effect.Effect<number, Refused, Scope.Scope> {
    return Effect.suspend(() => {
      this.attempts += 1
      const attempt = { number: this.attempts, signal }
      const refused = Effect.fail(new Refused(attempt.number))
      const answer = Effect.async<Answer>((resume) => {
        this.answer = (answer) => resume(Effect.succeed(answer))
        return Effect.sync(() => {
          this.answer = undefined
        })
      })
      return Effect.flatMap(answer, (answer) => {
        if (answer === "refuse") return refused
        const opened = this.open(attempt, answer !== "accept")
        return answer === "reject" ? Effect.zipRight(opened, refused) : Effect.as(opened, attempt.number)
      })
    })
  }

  private open(attempt: Attempt, isSlow: boolean): Effect.Effect<unknown, never, Scope.Scope> {
    const told = Effect.async<void>((resume) => {
      this.hung.push(() => resume(Effect.void))
    })
    const closed = Effect.sync(() => {
      this.closes += 1
    })
    return Effect.acquireRelease(
      Effect.sync(() => this.opened.push(attempt)),
      () => (isSlow ? Effect.zipRight(told, closed) : closed)
    )
  }

  private get policy(): RetryPolicy.RetryPolicy<unknown> {
    return Schedule.identity<RetryPolicy.ConnectionFailure<unknown>>().pipe(
      Schedule.whileInput(() => this.isRetried),
      Schedule.addDelay(({ failures }) => delay(failures))
    )
  }

  private fork<A, E>(effect: Effect.Effect<A, E>): Fiber.RuntimeFiber<A, E> {
    const fiber = Runtime.runFork(this.runtime)(effect)
    this.jobs.add(fiber)
    fiber.addObserver(() => this.jobs.delete(fiber))
    return fiber
  }

  private evaluate<A, E>(effect: Effect.Effect<A, E>): A {
    const exit = this.fork(effect).unsafePoll()
    if (exit?._tag !== "Success") throw new Error(`not evaluated at once: ${exit}`)
    return exit.value
  }
}

const expected = (model: Model) => {
  const { attempt, attempts, closes, connectedAt, failures, generation, now, opens, retryAt, stops, tag, tags } = model
  return {
    now,
    snapshot: JSON.stringify({ _id: "ClientService", name: "peer", state: tag, attempt, failures, generation }),
    tags: tagsOf(tags),
    uses: model.uses,
    draining: tag === "Disconnecting" ? model.uses : undefined,
    retryAt: tag === "Waiting" ? retryAt : undefined,
    connectedAt: tag === "Connected" ? connectedAt : undefined,
    protocol: tag === "Connected" ? attempts : undefined,
    isRunning: isRunning(tag),
    attempts,
    opens,
    closes,
    stops,
    sleeps: sleeps(model),
    waiters: model.waiters.map(({ result }) => result).join()
  }
}

// Each use that ends while the service stops is a state of its own.
const tagsOf = (tags: ReadonlyArray<string>): string =>
  tags.filter((tag, index) => tag !== "Disconnecting" || tags[index - 1] !== tag).join()

const difference = (expected: Record<string, unknown>, actual: Record<string, unknown>): string | undefined => {
  const differences = Object.keys(expected)
    .filter((key) => expected[key] !== actual[key])
    .map((key) => `${key} is ${actual[key]}, not ${expected[key]}`)
  return differences.length === 0 ? undefined : differences.join("; ")
}
