import { Cause, Effect, Exit, Fiber, Option, Runtime, Scope, Stream } from "effect"
import { ClientService } from "effect-client-service"
import { type Command, commanded } from "../support/model.js"
import { FiberCensus } from "./fiberCensus.js"
import { GaugeReader, type Gauges, measured } from "./gauges.js"
import { checkStandstill, isClosing } from "./invariants.js"
import type { Consumer, Counts, Job, Use, Waiter } from "./jobs.js"
import type { Observed } from "./observed.js"
import { type Attempt, Peer, type PeerError, type Protocol, ScriptedDefect } from "./peer.js"
import { withoutRealTimers } from "./realTimers.js"
import { Reference, type State } from "./reference.js"
import type { Callback, Event, Part, Script, UseOptions } from "./script.js"
import { ScriptClock } from "./scriptClock.js"
import { chances, preemptBy, StepScheduler, stepRuntime } from "./stepScheduler.js"

// More than any script needs: only a loop that never lets the clock move reaches it.
const manyTasks = 50_000

/**
 * Runs a script on a service, checks the invariants all along, and gives the trace of what happened.
 */
export const runScript = (script: Script): ReadonlyArray<string> =>
  withoutRealTimers((keepAlives) => new Run(script, keepAlives).run())

class Run implements Observed {
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
  readonly checks: Array<Job> = []
  /** The last of the changes of the protocol. */
  lastProtocol: Protocol | undefined
  /** The attempt that was to be begun anew when a reconnect was called. */
  toRenew: Attempt | undefined
  private stopped = 0
  private exhausted = 0
  private readonly gaugeReader = new GaugeReader()
  /** How many callbacks wait for a connection, and how many streams use one. */
  private waitingCallbacks = 0
  private usingStreams = 0
  /** What runs outside of the service. Effect holds on to every fiber that has no parent, for as long as it lives. */
  private readonly jobs = new Set<Job>()
  private readonly scheduler: StepScheduler
  private readonly runtime: Runtime.Runtime<never>
  private readonly owner: Scope.CloseableScope
  private violation: string | undefined
  private isEnding = false
  private isOwnerClosed = false
  private isStandingStill = false
  private calls = 0
  private seen: State
  // Cheaper to compare than the state, and told apart by the same.
  private snapshot = ""
  private failures = 0

  constructor(
    readonly script: Script,
    readonly keepAlives: () => number
  ) {
    const { options, outcomes, preemptions } = script
    const { closeTimeout, connectTimeout, drainTimeout, heartbeat, maxAge, resetAfter } = options
    this.scheduler = new StepScheduler(preemptions === undefined ? undefined : preemptBy(chances(preemptions)))
    this.peer = new Peer({
      options,
      outcomes,
      clock: this.clock,
      call: (callback, from) => this.callBack(callback, from),
      snapshot: () => `${this.service}`,
      connected: () => (this.state._tag === "Connected" ? this.state.protocol.attempt : undefined),
      look: () => this.look(),
      usesOf: (attempt) => this.usesOf(attempt),
      moment: () => this.scheduler.now,
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
        ...{ closeTimeout, connectTimeout, drainTimeout, maxAge, resetAfter },
        heartbeat: heartbeat === undefined ? undefined : { ...heartbeat, probe: this.peer.probe }
      }).pipe(Effect.supervised(this.census), Scope.extend(this.owner), measured)
    )
    this.seen = this.state
    this.reference = new Reference(
      options,
      (state) => this.peer.askedFor(state),
      (before) => this.isFailed(before),
      this.seen
    )
    this.fork(Stream.runForEach(Stream.drop(this.service.state.changes, 1), (state) => this.published(state)))
    this.fork(
      Stream.runForEach(this.service.protocol.changes, (protocol) =>
        Effect.sync(() => {
          this.lastProtocol = Option.getOrUndefined(protocol)
        })
      )
    )
    this.settle()
  }

  get state(): State {
    return this.evaluate(this.service.state.get)
  }

  get counts(): Counts {
    const { exhausted, peer, stopped } = this
    return { failedAttempts: peer.failures.length, stopped, exhausted, mayTimeOut: peer.mayTimeOut }
  }

  evaluate<A, E>(effect: Effect.Effect<A, E>): A {
    const { exit } = this.scheduler.undisturbed(() => this.fork(effect))
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
      case "check":
        // Where there is no heartbeat, there is nothing to check by.
        if (this.script.options.heartbeat !== undefined) this.checks.push(this.fork(this.service.check()))
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
        this.consume(this.service.connections)
        break
      case "stream":
        this.consume(
          ClientService.stream(this.service, (protocol) =>
            Stream.unwrapScoped(Effect.as(this.usingStream, Stream.concat(Stream.succeed(protocol), endless)))
          )
        )
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
    const { preemptions } = this.scheduler
    const closing = isClosing(this)
    this.isStandingStill = false
    const job = this.fork(this.call(command))
    if (command === "stop") this.stops.push(job)
    else this.starts.push(job)
    const after = this.look()
    // What the call ran may have called the service again, or the call may be under way still.
    const isDirect = this.scheduler.preemptions === preemptions && this.calls === calls + 1
    if (!isStandingStill || !isDirect || this.peer.isUncertain) return
    const expected = commanded[command](before._tag, closing)
    if (expected !== after._tag) this.violated(`${command} leads from ${before._tag} to ${after._tag}, not ${expected}`)
    const { newest } = this.peer
    if (
      command === "reconnect" &&
      before._tag === "Connecting" &&
      newest !== undefined &&
      newest.overAt === undefined
    ) {
      this.toRenew = newest
    }
  }

  private call(callback: Callback): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.calls += 1
      this.note(`call ${callback}`)
      return callback === "whenConnected" ? tolerant(this.whenConnected) : this.service[callback]
    })
  }

  private reconnects(times: number): void {
    // Each comes a turn after the other.
    const calls = Stream.mapEffect(Stream.range(1, times), () => Effect.yieldNow())
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
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        this.waitingCallbacks += 1
      }),
      () => Effect.map(this.service.whenConnected(), (protocol) => this.delivered(protocol)),
      () =>
        Effect.sync(() => {
          this.waitingCallbacks -= 1
        })
    )
  }

  private delivered(protocol: Protocol): void {
    this.note(`waiter gets ${protocol.number}`)
    if (!this.peer.isLive(protocol) && !this.isExcused(protocol)) {
      this.violated(`a waiter gets protocol ${protocol.number}, which is lost`)
    }
  }

  /** Whether a protocol was fine when the fibers that it is given by would have given it, had they not been stopped. */
  private isExcused({ attempt }: Protocol, caller?: object): boolean {
    const fibers = [Option.getOrUndefined(Fiber.getCurrentFiber()), caller].filter((fiber) => fiber !== undefined)
    const since = Math.min(...fibers.map((fiber) => this.scheduler.runningSince(fiber)))
    return this.scheduler.preemptions > 0 && (attempt?.goneAt ?? 0) >= since
  }

  private isFailed(before: State): boolean {
    if (before._tag !== "Connected") return this.peer.attempts.some(({ hasFailed }) => hasFailed)
    const { attempt } = before.protocol
    if (attempt === undefined) return false
    const isOver = (attempt.overAt ?? this.clock.now) < this.clock.now
    return isOver || attempt.lost || attempt.probeFailedAt !== undefined || attempt.probeDeadline <= this.clock.now
  }

  private usesOf(attempt: Attempt): number {
    return this.uses.filter(({ protocol, running }) => running && protocol?.attempt === attempt).length
  }

  private wait(failAfterFailures: number | undefined, calls: Callback | undefined): void {
    const { service } = this
    this.look()
    const waiter: Omit<Waiter, keyof Job> = {
      ...{ failAfterFailures, since: this.counts, waiting: undefined, until: undefined },
      ...{ deliveries: 0, interrupted: false }
    }
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
      waiter.until = this.counts
    })
    const waiting = Effect.flatMap(
      Effect.tapErrorCause(connected, () => failed),
      delivered
    )
    const { preemptions } = this.scheduler
    const job = this.follow(waiter, waiting)
    if (this.scheduler.preemptions === preemptions) job.waiting = job.since
    this.waiters.push(job)
  }

  private use({ calls, ends, how, maxWait, takes, uninterruptible }: UseOptions & Omit<Part, "turns">): void {
    const use: Omit<Use, keyof Job> = {
      ...{ options: { how, maxWait, uninterruptible }, since: this.clock.now },
      ...{ protocol: undefined, runs: 0, running: false, signal: undefined }
    }
    let caller: object | undefined
    const begin = (protocol: Protocol) => {
      use.runs += 1
      use.protocol = protocol
      this.note(`use ${protocol.number}`)
      if (!this.peer.isUp(protocol) && !this.isExcused(protocol, caller)) {
        this.violated(`use gets protocol ${protocol.number}, which is lost`)
      }
      if (ends === "throws") throw new ScriptedDefect("use")
    }
    const run = () => {
      use.running = true
    }
    const end = () => {
      use.running = false
    }
    const f = (protocol: Protocol): Effect.Effect<void, string> => {
      begin(protocol)
      const result =
        ends === "ok" ? Effect.void : ends === "fails" ? Effect.fail("fails") : Effect.die(new ScriptedDefect("use"))
      return Effect.acquireUseRelease(
        Effect.sync(run),
        () =>
          (calls === undefined ? Effect.void : this.callBack(calls, "interruptible")).pipe(
            Effect.zipRight(this.peer.pause(takes)),
            Effect.zipRight(result)
          ),
        () => Effect.sync(end)
      )
    }
    const promise = (protocol: Protocol, signal: AbortSignal): PromiseLike<undefined> => {
      begin(protocol)
      run()
      use.signal = signal
      signal.addEventListener("abort", end)
      if (calls !== undefined && !this.isEnding) this.fork(this.call(calls))
      return new ScriptedPromise((settle) => {
        this.fork(
          Effect.map(this.peer.pause(takes), () => {
            if (!use.running) return
            end()
            settle(ends === "ok" ? undefined : new ScriptedDefect("use"))
          })
        )
      })
    }
    const options = maxWait === undefined ? {} : { maxWait }
    const used: Effect.Effect<unknown, unknown> =
      how === "effect" ? this.service.use(f, options) : this.service.usePromise(promise, options)
    const job = this.follow(use, uninterruptible ? Effect.uninterruptible(used) : used)
    caller = job.fiber
    this.uses.push(job)
  }

  private consume<E>(stream: Stream.Stream<Protocol, E>): void {
    const consumer: Omit<Consumer, keyof Job> = { last: undefined }
    const consuming = Stream.runForEach(stream, (protocol) =>
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

  /** In one step, as a fiber may be interrupted between any two. */
  private get usingStream(): Effect.Effect<void, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => {
        this.usingStreams += 1
      }),
      () =>
        Effect.sync(() => {
          this.usingStreams -= 1
        })
    )
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
    // One whose owner has closed is in no state, once it is stopped.
    if (!this.isOwnerClosed) for (const wrong of this.gaugeReader.checkStatus(state._tag)) this.violated(wrong)
    this.seen = state
    if (state._tag === "Stopped" || (state._tag === "Disconnecting" && state.uses > 0)) this.stopped += 1
    if (state._tag === "Exhausted") this.exhausted += 1
    this.failures = this.countFailures(before, state)
    if (state._tag === "Waiting" || state._tag === "Exhausted") this.peer.ledTo(state)
    this.passed(before, state)
    if (state._tag === "Connected" && state.protocol.attempt !== undefined) {
      state.protocol.attempt.establishedAt = state.connectedAt
    }
    return state
  }

  /** Takes note of what a transition means for the connections. */
  private passed(before: State, state: State): void {
    const { peer } = this
    const { newest } = peer
    const last = peer.failures[peer.failures.length - 1]
    const isStopped = state._tag === "Connecting" || state._tag === "Disconnecting"
    if (before._tag === "Connecting" && isStopped && last?.attempt === newest && last !== undefined) {
      last.isCertain = false
    }
    switch (state._tag) {
      case "Connected":
        if (before._tag === "Connected" && before.protocol.attempt !== undefined) {
          before.protocol.attempt.retiredAt = this.clock.now
          peer.gone(before.protocol.attempt)
        }
        break
      case "Waiting":
      case "Exhausted":
        // Unless it is known by now, it has timed out.
        if (before._tag === "Connecting" && newest !== undefined && !newest.hasFailed) {
          newest.hasFailed = true
          peer.failures.push({ attempt: newest, kind: "timeout", isCertain: true })
        }
        this.overUnless(({ retiredAt }) => retiredAt !== undefined)
        break
      case "Connecting":
        if (before._tag === "Connected" && newest !== undefined && newest !== before.protocol.attempt) {
          newest.isAdopted = newest.overAt === undefined && this.isFailed(before)
        }
        // One that was replaced goes on for a while.
        this.overUnless((attempt) => attempt.retiredAt !== undefined || (attempt === newest && attempt.isAdopted))
        break
      case "Disconnecting":
        if (state.uses > 0 && before._tag !== "Restarting") this.drained()
        this.overUnless(({ drainingUntil }) => drainingUntil !== undefined)
        break
      case "Restarting":
        this.overUnless(({ drainingUntil }) => drainingUntil !== undefined)
        break
      default:
        peer.overAll()
    }
  }

  /** Those who use a connection may go on for a while. */
  private drained(): void {
    const { peer } = this
    for (const attempt of peer.attempts) {
      if (attempt.establishedAt === undefined || peer.overAt(attempt) !== undefined) continue
      attempt.drainingUntil ??= this.clock.now + (this.script.options.drainTimeout ?? 0)
      peer.gone(attempt)
    }
  }

  private overUnless(isSpared: (attempt: Attempt) => boolean): void {
    for (const attempt of this.peer.attempts) if (!isSpared(attempt)) this.peer.over(attempt)
  }

  /** The failures in a row. Takes note of a first one that the policy was not asked about. */
  private countFailures(before: State, state: State): number {
    if (state._tag === "Waiting" || state._tag === "Exhausted") return state.failures
    if (state._tag !== "Connecting") return this.failures
    const connection = before._tag === "Connected" ? before : undefined
    const attempt = connection?.protocol.attempt ?? (before._tag === "Connecting" ? this.peer.newest : undefined)
    const lifetime = connection === undefined ? 0 : (attempt?.overAt ?? this.clock.now) - connection.connectedAt
    const isStable = connection !== undefined && lifetime >= this.script.options.resetAfter
    if (attempt !== undefined && state.failures === 1 && (this.failures !== 1 || isStable)) {
      this.peer.beginAfresh(attempt)
    }
    return state.failures
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
    this.look()
    this.peer.expire()
    for (const waiter of this.waiters) waiter.waiting ??= this.counts
    for (const wrong of checkStandstill(this)) this.violated(wrong)
    for (const wrong of this.gaugeReader.check(this.gauges)) this.violated(wrong)
    this.failIfViolated()
  }

  /** What the gauges have to say whenever no fiber can go on. */
  private get gauges(): Gauges {
    const { consumers, peer, uses, waiters } = this
    const pending = uses.filter(({ exit }) => exit === undefined)
    return {
      open: peer.attempts.filter(
        (attempt) => attempt.establishedAt !== undefined && attempt.closings === 0 && peer.overAt(attempt) === undefined
      ).length,
      uses: pending.filter(({ protocol }) => protocol !== undefined).length + this.usingStreams,
      waiters:
        waiters.filter(({ deliveries, exit }) => exit === undefined && deliveries === 0).length +
        pending.filter(({ protocol }) => protocol === undefined).length +
        // A stream waits for the connection that follows the one that it uses.
        consumers.filter(({ exit }) => exit === undefined).length +
        this.waitingCallbacks
    }
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
    const { closeTimeout, connectTimeout, drainTimeout = 0, heartbeat } = this.script.options
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
      : clock.now + drainTimeout + 2 * longest(connectTimeout) + 2 * longest(closeTimeout) + silence + 60_000
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
    this.isOwnerClosed = true
    const closing = this.fork(Scope.close(this.owner, Exit.void))
    this.settle()
    this.checkStopped()
    if (closing.exit === undefined) this.violated("the owner Scope does not close")
    for (const wrong of this.gaugeReader.checkStatus(undefined)) this.violated(wrong)

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
    // Effect's own may be left if a fiber is interrupted just when it begins to wait.
    if (this.keepAlives() > 0 && this.script.preemptions === undefined)
      this.violated(`${this.keepAlives()} endless waits are left`)
    this.failIfViolated()
  }

  /** The service has stopped once `closeTimeout` has passed, and then nothing happens any more. */
  private checkStopped(): void {
    const { closeTimeout, drainTimeout = 0 } = this.script.options
    if (closeTimeout === Infinity) this.peer.releaseAll(() => this.settle())
    // Without a limit, as long as the slowest connect that ignores its interruption, and then the slowest close.
    this.pass(drainTimeout + (closeTimeout === Infinity ? 10_000 : closeTimeout))
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

// Not `Stream.never`, whose timer would be counted.
const endless = Stream.fromEffect(Effect.async<never>(() => {}))

/** A promise that settles when it is told to, and not a turn of the event loop later: a script has none. */
class ScriptedPromise implements PromiseLike<undefined> {
  constructor(private readonly begin: (settle: (error: Error | undefined) => void) => void) {}

  // biome-ignore lint/suspicious/noThenProperty: it is one
  then<A, B>(
    onFulfilled?: ((value: undefined) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null
  ): PromiseLike<A | B> {
    this.begin((error) => {
      if (error === undefined) onFulfilled?.(undefined)
      else onRejected?.(error)
    })
    return new Promise<A | B>(() => {})
  }
}

/**
 * Has whoever waits for what waits for it go on, as the service tells it that by a defect. None that is interrupted meanwhile
 * is to die of it instead.
 */
const tolerant = (wait: Effect.Effect<void, unknown>): Effect.Effect<void> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.catchAllCause(restore(Effect.ignore(wait)), (cause) => {
      const defect = Cause.squash(cause)
      return defect instanceof Error && / waits for /.test(defect.message) ? Effect.void : Effect.failCause(cause)
    })
  )
