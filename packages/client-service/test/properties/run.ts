import { Effect, Exit, Option, Runtime, Scope, Stream } from "effect"
import { ClientService } from "effect-client-service"
import { FiberCensus } from "./fiberCensus.js"
import { checkStandstill, immediately, isClosing } from "./invariants.js"
import type { Consumer, Counts, Job, Use, Waiter } from "./jobs.js"
import { Peer, type PeerError, type Protocol, ScriptedDefect } from "./peer.js"
import { withoutRealTimers } from "./realTimers.js"
import { Reference, type State } from "./reference.js"
import type { Callback, Command, Event, Part, Script } from "./script.js"
import { ScriptClock } from "./scriptClock.js"
import { StepScheduler, stepRuntime } from "./stepScheduler.js"

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
    const { closeTimeout, connectTimeout, heartbeat, maxAge, resetAfter } = options
    this.peer = new Peer({
      options,
      outcomes,
      clock: this.clock,
      call: (callback, from) => this.callBack(callback, from),
      snapshot: () => `${this.service}`,
      connected: () => (this.state._tag === "Connected" ? this.state.protocol.attempt : undefined),
      trace: (entry) => this.note(entry),
      violated: (what) => this.violated(what)
    })
    this.runtime = stepRuntime(this.scheduler, this.clock)
    this.owner = this.evaluate(Scope.make())
    this.service = this.evaluate(
      ClientService.make({
        endpoint: this.peer.endpoint,
        protocol: this.peer.protocol,
        prepare: this.peer.prepare,
        retryPolicy: this.peer.policy,
        ...{ closeTimeout, connectTimeout, maxAge, resetAfter },
        heartbeat: heartbeat === undefined ? undefined : { ...heartbeat, probe: this.peer.probe }
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
      case "reconnects":
        this.reconnects(event.times)
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
        this.use(event)
        break
      case "connections":
        this.consume()
        break
      case "observe":
        this.observe(event.state, event.does)
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
    if (!isStandingStill || this.calls > calls + 1 || this.peer.isUncertain) return
    const expected = immediately[command](before._tag, closing)
    if (expected !== after._tag) this.violated(`${command} leads from ${before._tag} to ${after._tag}, not ${expected}`)
  }

  private call(callback: Callback): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.calls += 1
      this.note(`call ${callback}`)
      if (callback === "whenConnected") return Effect.ignore(this.whenConnected)
      this.calling(callback)
      return this.service[callback]
    })
  }

  private calling(command: Command): void {
    const { _tag } = this.look()
    if (command === "stop" || (command === "reconnect" && _tag === "Connected")) this.peer.overAll()
  }

  private reconnects(times: number): void {
    // Each comes a turn after the other.
    const call = Effect.zipRight(
      Effect.yieldNow(),
      Effect.sync(() => this.calling("reconnect"))
    )
    const calls = Stream.mapEffect(Stream.range(1, times), () => call)
    this.starts.push(this.fork(ClientService.reconnectOn(this.service, calls)))
  }

  /** Calls the service from within one of its callbacks, and waits unless it would have to wait for itself. */
  private callBack(callback: Callback, from: "interruptible" | "uninterruptible"): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { closeTimeout, connectTimeout } = this.script.options
      if (this.isEnding) return Effect.void
      const isBounded =
        (from === "interruptible" || closeTimeout < Infinity) &&
        (callback !== "whenConnected" || connectTimeout < Infinity)
      if (isBounded) return this.call(callback)
      this.fork(this.call(callback))
      return Effect.void
    })
  }

  private get whenConnected(): Effect.Effect<void, unknown> {
    return Effect.map(this.service.whenConnected(), (protocol) => this.delivered(protocol))
  }

  private delivered(protocol: Protocol): void {
    this.note(`waiter gets ${protocol.number}`)
    if (!this.peer.isLive(protocol)) this.violated(`a waiter gets protocol ${protocol.number}, which is lost`)
  }

  private wait(failAfterFailures: number | undefined, calls: Callback | undefined): void {
    const { service } = this
    this.look()
    const waiter = { failAfterFailures, since: this.counts, until: undefined, deliveries: 0, interrupted: false }
    const connected: Effect.Effect<Protocol, unknown> =
      failAfterFailures === undefined ? service.whenConnected() : service.whenConnected({ failAfterFailures })
    const delivered = (protocol: Protocol) =>
      Effect.suspend(() => {
        waiter.deliveries += 1
        this.delivered(protocol)
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

  private use({ calls, ends, takes }: Omit<Part, "turns">): void {
    const use: Omit<Use, keyof Job> = { protocol: undefined, runs: 0, running: false }
    const used = this.service.use((protocol): Effect.Effect<void, string> => {
      use.runs += 1
      use.protocol = protocol
      this.note(`use ${protocol.number}`)
      if (!this.peer.isUp(protocol)) this.violated(`use gets protocol ${protocol.number}, which is lost`)
      if (ends === "throws") throw new ScriptedDefect("use")
      const end =
        ends === "ok" ? Effect.void : ends === "fails" ? Effect.fail("fails") : Effect.die(new ScriptedDefect("use"))
      return Effect.acquireUseRelease(
        Effect.sync(() => {
          use.running = true
        }),
        () =>
          (calls === undefined ? Effect.void : this.callBack(calls, "interruptible")).pipe(
            Effect.zipRight(this.peer.pause(takes)),
            Effect.zipRight(end)
          ),
        () =>
          Effect.sync(() => {
            use.running = false
          })
      )
    })
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

  private observe(tag: string, does: Callback | "dies" | "hangs"): void {
    const observing = Effect.suspend(() => {
      if (does === "dies") return Effect.die(new ScriptedDefect("observer"))
      return does === "hangs" ? this.peer.pause(Infinity) : this.callBack(does, "interruptible")
    })
    this.fork(
      this.service.state.changes.pipe(
        Stream.filter(({ _tag }) => _tag === tag),
        Stream.take(1),
        Stream.runForEach(() => observing)
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
    if (before._tag === "Connected" && before !== state) this.left(before.protocol, state)
    if (state._tag === "Connected" && state.protocol.attempt !== undefined) {
      state.protocol.attempt.establishedAt = state.connectedAt
    }
    return state
  }

  private left({ attempt }: Protocol, state: State): void {
    if (state._tag !== "Connected") this.peer.overAll()
    else if (attempt !== undefined) attempt.retiredAt = this.clock.now
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
    this.peer.expireProbes()
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
    const { peer } = this
    const open = peer.attempts.filter(
      (attempt) => attempt.opened && attempt.closed === 0 && !peer.mayBeOverdue(attempt)
    )
    // One that ignores its interruption may open although it is not to replace the other any more.
    if (open.length > (open[1]?.isReplacement === true ? 2 : 1)) this.violated(`${open.length} connections are open`)
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
    const { closeTimeout, connectTimeout, heartbeat } = this.script.options
    this.note("recover")
    peer.recovered = true
    if (!this.evaluate(this.service.running)) this.command("start")
    this.settle()
    if (connectTimeout === Infinity || closeTimeout === Infinity) peer.releaseAll(() => this.settle())
    const state = this.look()
    const hasOnlyToWait = state._tag === "Waiting" && peer.attempts.every(Peer.isFinished)
    // What hangs: an attempt, the policy, a close; and then the delay and another close. Or else the heartbeat.
    const longest = (timeout: number) => (timeout === Infinity ? 5000 : timeout)
    const silence = heartbeat === undefined ? 0 : heartbeat.interval + longest(heartbeat.timeout)
    const until = hasOnlyToWait
      ? state.retryAt
      : clock.now + 2 * longest(connectTimeout) + 2 * longest(closeTimeout) + silence + 60_000
    while (clock.now < until && this.look()._tag !== "Connected") this.pass(Math.min(1000, until - clock.now))
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
    this.peer.overAll()
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
    const job: T & { readonly fiber: typeof fiber; exit: Exit.Exit<A, E> | undefined; endedAt: number | undefined } =
      Object.assign(about, { fiber, exit: undefined, endedAt: undefined })
    this.jobs.add(job)
    fiber.addObserver((exit) => {
      job.exit = exit
      job.endedAt = this.clock.now
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
