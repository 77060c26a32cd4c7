import { Effect, Exit, Logger, LogLevel, Option, Random, Runtime, Scope, Stream } from "effect"
import { ClientService } from "effect-client-service"
import { FiberCensus } from "./fiberCensus.js"
import { checkStandstill, immediately, isClosing } from "./invariants.js"
import type { Consumer, Counts, Job, Use, Waiter } from "./jobs.js"
import { Peer, type PeerError, type Protocol } from "./peer.js"
import { withoutRealTimers } from "./realTimers.js"
import { Reference, type State } from "./reference.js"
import type { Command, Event, Script } from "./script.js"
import { ScriptClock } from "./scriptClock.js"
import { StepScheduler } from "./stepScheduler.js"

// More than any script needs: only a loop that never lets the clock move reaches it.
const manyTasks = 50_000

/**
 * Runs a script on a service, checks the invariants all along, and gives the trace of what happened.
 */
export const runScript = (script: Script): ReadonlyArray<string> =>
  withoutRealTimers((keepAlives) => new Run(script, keepAlives).run())

export class Run {
  readonly trace: Array<string> = []
  readonly clock = new ScriptClock()
  readonly census = new FiberCensus((defect) => this.violated(`a fiber died: ${defect}`))
  readonly peer: Peer
  readonly service: ClientService.ClientService<Protocol, PeerError>
  readonly reference: Reference
  readonly waiters: Array<Waiter> = []
  readonly uses: Array<Use> = []
  readonly consumers: Array<Consumer> = []
  readonly stops: Array<Job> = []
  /** And reconnects. */
  readonly starts: Array<Job> = []
  counts: Counts = { failedAttempts: 0, stopped: 0, exhausted: 0 }
  /** What runs outside of the service. Effect holds on to every fiber that has no parent, for as long as it lives. */
  private readonly jobs = new Set<Job>()
  private readonly scheduler = new StepScheduler()
  private readonly runtime: Runtime.Runtime<never>
  private readonly owner: Scope.CloseableScope
  private violation: string | undefined
  private isEnding = false
  private isStandingStill = false
  private calls = 0
  private seen: State
  // Cheaper to compare than the state, and told apart by the same.
  private snapshot = ""

  constructor(
    readonly script: Script,
    readonly keepAlives: () => number
  ) {
    const { options, outcomes } = script
    this.peer = new Peer({
      options,
      outcomes,
      clock: this.clock,
      call: (command, from) => this.callBack(command, from),
      trace: (entry) => this.note(entry),
      violated: (what) => this.violated(what)
    })
    this.runtime = Effect.runSync(
      Effect.runtime<never>().pipe(
        Logger.withMinimumLogLevel(LogLevel.None),
        Effect.withClock(this.clock),
        Effect.withRandom(Random.make("script")),
        Effect.withScheduler(this.scheduler)
      )
    )
    this.owner = this.evaluate(Scope.make())
    this.service = this.evaluate(
      ClientService.make({
        endpoint: this.peer.endpoint,
        protocol: this.peer.protocol,
        prepare: this.peer.prepare,
        retryPolicy: this.peer.policy,
        connectTimeout: options.connectTimeout,
        closeTimeout: options.closeTimeout,
        resetAfter: options.resetAfter
      }).pipe(Effect.supervised(this.census), Scope.extend(this.owner))
    )
    this.seen = this.state
    this.reference = new Reference(options, this.peer.asked, this.seen)
    this.fork(Stream.runForEach(Stream.drop(this.service.state.changes, 1), (state) => this.published(state)))
    this.settle()
  }

  get state(): State {
    return this.evaluate(this.service.state.get)
  }

  evaluate<A, E>(effect: Effect.Effect<A, E>): A {
    const { exit } = this.fork(effect)
    if (exit?._tag !== "Success") throw new Error(`not evaluated at once: ${exit}`)
    return exit.value
  }

  run(): ReadonlyArray<string> {
    for (const { event, tasks } of this.script.steps) {
      this.perform(event)
      this.look()
      this.checkProtocol()
      this.settle(tasks)
    }
    this.settle()
    this.isEnding = true
    if (this.script.ending.includes("recover")) this.recover()
    if (this.script.ending.includes("stop")) this.stop()
    this.closeOwner()
    this.endJobs()
    return this.trace
  }

  private perform(event: Event): void {
    this.note(Object.values(event).join(" "))
    switch (event._tag) {
      case "command":
        this.command(event.command)
        break
      case "interruptedStop":
        this.interrupt(this.fork(this.call("stop")))
        break
      case "wait":
        this.wait(event.failAfterFailures, event.calls)
        break
      case "interruptWaiter": {
        const waiter = this.waiters[event.waiter]
        if (waiter === undefined) break
        waiter.interrupted = true
        this.interrupt(waiter)
        break
      }
      case "use":
        this.use(event.takes, event.fails)
        break
      case "connections":
        this.consume()
        break
      case "observe":
        this.observe(event.state, event.calls)
        break
      case "lose": {
        const attempt = this.peer.attempts[this.peer.attempts.length - 1 - event.age]
        if (attempt !== undefined) this.peer.lose(attempt, event.error)
        break
      }
      case "release":
        this.peer.release(event.hung)
        break
      case "pass":
        this.settle()
        this.pass(event.millis)
        break
    }
  }

  /** Calls the service, and checks that its state has changed by the time that the call returns. */
  private command(command: Command): void {
    const before = this.look()
    const { calls, isStandingStill } = this
    const closing = isClosing(this)
    this.isStandingStill = false
    const job = this.fork(this.call(command))
    if (command === "stop") this.stops.push(job)
    else this.starts.push(job)
    const after = this.look()
    // What the call ran may have called the service again.
    if (!isStandingStill || this.calls > calls + 1) return
    const expected = immediately[command](before._tag, closing)
    if (expected !== after._tag) this.violated(`${command} leads from ${before._tag} to ${after._tag}, not ${expected}`)
  }

  private call(command: Command): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.calls += 1
      this.note(`call ${command}`)
      const { _tag } = this.look()
      if (command === "stop" || (command === "reconnect" && _tag === "Connected")) this.peer.over(this.peer.newest)
      return this.service[command]
    })
  }

  /** Calls the service from within one of its callbacks, and waits unless it would have to wait for itself. */
  private callBack(command: Command, from: "interruptible" | "uninterruptible"): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.isEnding) return Effect.void
      if (from === "interruptible" || this.script.options.closeTimeout < Infinity) return this.call(command)
      this.fork(this.call(command))
      return Effect.void
    })
  }

  private wait(failAfterFailures: number | undefined, calls: Command | undefined): void {
    const { service } = this
    this.look()
    const waiter = { failAfterFailures, since: this.counts, until: undefined, deliveries: 0, interrupted: false }
    const connected: Effect.Effect<Protocol, unknown> =
      failAfterFailures === undefined ? service.whenConnected() : service.whenConnected({ failAfterFailures })
    const delivered = (protocol: Protocol) =>
      Effect.suspend(() => {
        waiter.deliveries += 1
        this.note(`waiter gets ${protocol.number}`)
        if (!this.peer.isLive(protocol)) this.violated(`a waiter gets protocol ${protocol.number}, which is lost`)
        return calls === undefined ? Effect.void : this.callBack(calls, "interruptible")
      })
    const failed = Effect.sync(() => {
      this.look()
      Object.assign(waiter, { until: this.counts })
    })
    const waiting = Effect.flatMap(
      Effect.tapErrorCause(connected, () => failed),
      delivered
    )
    this.waiters.push(this.follow(waiter, waiting))
  }

  private use(takes: number, fails: boolean): void {
    const use: Omit<Use, keyof Job> = { protocol: undefined, runs: 0, running: false }
    const used = this.service.use((protocol) =>
      Effect.suspend((): Effect.Effect<void, string> => {
        use.runs += 1
        use.running = true
        use.protocol = protocol
        this.note(`use ${protocol.number}`)
        if (!this.peer.isLive(protocol)) this.violated(`use gets protocol ${protocol.number}, which is lost`)
        return fails ? Effect.fail("fails") : this.peer.pause(takes)
      }).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            use.running = false
          })
        )
      )
    )
    this.uses.push(this.follow(use, used))
  }

  private consume(): void {
    const consumer: Omit<Consumer, keyof Job> = { last: undefined }
    const consuming = Stream.runForEach(this.service.connections, (protocol) =>
      Effect.sync(() => {
        this.note(`consumer gets ${protocol.number}`)
        if (consumer.last !== undefined && protocol.number <= consumer.last.number) {
          this.violated("connections gives an old protocol")
        }
        consumer.last = protocol
      })
    )
    this.consumers.push(this.follow(consumer, consuming))
  }

  private observe(tag: string, calls: Command): void {
    this.fork(
      this.service.state.changes.pipe(
        Stream.filter(({ _tag }) => _tag === tag),
        Stream.take(1),
        Stream.runForEach(() => this.callBack(calls, "interruptible"))
      )
    )
  }

  private published(state: State): Effect.Effect<void> {
    return Effect.sync(() => {
      this.note(`state ${JSON.stringify({ ...state, protocol: undefined, cause: undefined })}`)
      for (const wrong of this.reference.next(state, this.clock.now)) this.violated(wrong)
    })
  }

  /** Takes note of the state, which may have changed since the last look. */
  private look(): State {
    const before = this.seen
    const snapshot = `${this.service}`
    if (snapshot === this.snapshot) return before
    this.snapshot = snapshot
    const state = this.state
    this.seen = state
    const { exhausted, failedAttempts, stopped } = this.counts
    const hasFailed = before._tag === "Connecting" && (state._tag === "Waiting" || state._tag === "Exhausted")
    this.counts = {
      failedAttempts: failedAttempts + (hasFailed ? 1 : 0),
      stopped: stopped + (state._tag === "Stopped" ? 1 : 0),
      exhausted: exhausted + (state._tag === "Exhausted" ? 1 : 0)
    }
    if (state._tag === "Connected" && state.protocol.attempt !== undefined) state.protocol.attempt.established = true
    return state
  }

  /** Lets the fibers run, all they can or only some tasks of theirs. */
  private settle(tasks = Infinity): void {
    this.isStandingStill = this.drain(tasks)
    if (this.isStandingStill) this.checkStandstill()
  }

  private drain(tasks: number): boolean {
    for (let task = 0; task < tasks; task++) {
      if (task > manyTasks) this.violated("the fibers never come to rest")
      const ran = this.scheduler.step()
      this.look()
      this.checkOpen()
      this.failIfViolated()
      if (!ran) return true
    }
    return false
  }

  private checkStandstill(): void {
    for (const wrong of checkStandstill(this)) this.violated(wrong)
    this.failIfViolated()
  }

  private failIfViolated(): void {
    if (this.violation !== undefined) throw new Error(`${this.violation}\n${this.trace.join("\n")}`)
  }

  private checkProtocol(): void {
    const protocol = Option.getOrUndefined(this.evaluate(this.service.protocol.get))
    if (protocol !== undefined && !this.peer.isLive(protocol)) this.violated(`protocol ${protocol.number} is lost`)
  }

  private checkOpen(): void {
    let open = 0
    for (const attempt of this.peer.attempts) {
      if (attempt.opened && attempt.closed === 0 && !this.peer.isOverdue(attempt)) open += 1
    }
    if (open > 1) this.violated(`${open} connections are open`)
  }

  private pass(millis: number): void {
    this.clock.moveTo(
      this.clock.now + millis,
      () => this.drain(Infinity),
      () => this.checkStandstill()
    )
  }

  /** The peer accepts everything from now on, so there has to be a connection in time. */
  private recover(): void {
    const { clock, peer } = this
    const { closeTimeout, connectTimeout } = this.script.options
    this.note("recover")
    peer.recovered = true
    if (!this.evaluate(this.service.running)) this.command("start")
    this.settle()
    if (connectTimeout === Infinity || closeTimeout === Infinity) peer.releaseAll(() => this.settle())
    const state = this.look()
    if (state._tag === "Waiting" && peer.attempts.every(Peer.isFinished)) {
      this.pass(state.retryAt - clock.now)
    } else {
      // What hangs: an attempt, the policy, a close; and then the delay and another close.
      const longest = (timeout: number) => (timeout === Infinity ? 5000 : timeout)
      this.pass(2 * longest(connectTimeout) + 2 * longest(closeTimeout) + 60_000)
    }
    const { _tag } = this.look()
    if (_tag !== "Connected") this.violated(`the peer accepts, but the service is ${_tag}`)
    this.settle()
  }

  private stop(): void {
    this.note("stop for good")
    this.command("stop")
    this.settle()
    this.checkStopped()
  }

  private closeOwner(): void {
    this.note("close the owner Scope")
    this.peer.over(this.peer.newest)
    const closing = this.fork(Scope.close(this.owner, Exit.void))
    this.settle()
    this.checkStopped()
    if (closing.exit === undefined) this.violated("the owner Scope does not close")

    this.fork(this.call("start"))
    this.wait(undefined, undefined)
    this.settle()
    this.checkStopped()
    if (this.evaluate(this.service.running)) this.violated("the service runs after its owner Scope has closed")

    this.peer.releaseAll(() => this.settle())
    this.pass(7_200_000)
    for (const attempt of this.peer.attempts) {
      if (attempt.opened && attempt.closed !== 1) this.violated(`${attempt.number} was closed ${attempt.closed} times`)
      if (attempt.acquired !== attempt.released) this.violated(`what ${attempt.number} acquired is not released`)
    }
    if (this.census.size > 0) this.violated(`${this.census.size} fibers are left`)
    this.settle()
  }

  /** Ends those who watch the service, who would go on for ever. */
  private endJobs(): void {
    for (const job of [...this.jobs]) this.interrupt(job)
    this.settle()
    if (this.jobs.size > 0) this.violated(`${this.jobs.size} callers of the service wait for ever`)
    if (this.keepAlives() > 0) this.violated(`${this.keepAlives()} endless waits are left`)
    this.failIfViolated()
  }

  /** The service has stopped once `closeTimeout` has passed, and then nothing happens any more. */
  private checkStopped(): void {
    const { closeTimeout } = this.script.options
    if (closeTimeout === Infinity) this.peer.releaseAll(() => this.settle())
    // Without a limit, as long as the slowest connect that ignores its interruption, and then the slowest close.
    this.pass(closeTimeout === Infinity ? 10_000 : closeTimeout)
    const { _tag } = this.look()
    if (_tag !== "Stopped") this.violated(`the service is ${_tag}, and was stopped`)
    if (this.stops.some(({ exit }) => exit === undefined)) this.violated("a stop has not completed")
    const { length } = this.peer.attempts
    const states = this.trace.filter((entry) => entry.includes(" state ")).length
    this.pass(3_600_000)
    if (this.peer.attempts.length > length) this.violated("an attempt began after the service had stopped")
    if (this.trace.filter((entry) => entry.includes(" state ")).length > states) {
      this.violated("a state followed after the service had stopped")
    }
    this.settle()
  }

  private fork<A, E>(effect: Effect.Effect<A, E>): Job & { readonly exit: Exit.Exit<A, E> | undefined } {
    return this.follow({}, effect)
  }

  private follow<T extends object, A, E>(about: T, effect: Effect.Effect<A, E>) {
    const fiber = Runtime.runFork(this.runtime)(effect)
    const job: T & { readonly fiber: typeof fiber; exit: Exit.Exit<A, E> | undefined } = Object.assign(about, {
      fiber,
      exit: undefined
    })
    this.jobs.add(job)
    fiber.addObserver((exit) => {
      job.exit = exit
      this.jobs.delete(job)
    })
    return job
  }

  private interrupt({ fiber }: Job): void {
    this.fork(fiber.interruptAsFork(fiber.id()))
  }

  private note(entry: string): void {
    this.trace.push(`${this.clock.now} ${entry}`)
  }

  private violated(what: string): void {
    this.note(`VIOLATED ${what}`)
    this.violation ??= what
  }
}
