import { Cause, Effect, type Exit, Schedule, ScheduleDecision, ScheduleInterval, type Scope } from "effect"
import { ConnectionError, type ConnectionState, Endpoint, type RetryPolicy } from "effect-client-service"
import {
  type Answer,
  accepted,
  type Callback,
  fine,
  type Options,
  type Outcome,
  type Part,
  type Probe
} from "./script.js"
import type { ScriptClock } from "./scriptClock.js"

type State = ConnectionState.ConnectionState<Protocol, PeerError>

export class PeerError {
  constructor(
    readonly attempt: number,
    readonly what: string
  ) {}
}

/** What dies by the script, unlike a defect of the service. */
export class ScriptedDefect extends Error {
  constructor(
    message: string,
    readonly attempt?: number
  ) {
    super(message)
  }
}

/** An attempt, and what came of it: what the peer knows of it, whatever the service believes. */
export interface Attempt {
  readonly number: number
  readonly beganAt: number
  readonly outcome: Outcome
  readonly signal: Endpoint.ConnectionSignal<PeerError>
  readonly protocol: Protocol
  /** Whether it began while there was a connection to replace. */
  readonly isReplacement: boolean
  /** Whether that was lost meanwhile, so that it has become the attempt of the service. */
  isAdopted: boolean
  /** How many of connect, protocol, prepare and the probes are running. */
  running: number
  probes: number
  /** When the probe under way has to have answered. */
  probeDeadline: number
  /** When a probe failed. The service learns of it a few turns later. */
  probeFailedAt: number | undefined
  /** When it was over, whether it failed or was given up, or its connection was lost. */
  overAt: number | undefined
  /** When it was no longer one that anybody is given: a moment of the scheduler. */
  goneAt: number | undefined
  lost: boolean
  /** What it last failed with. */
  error: unknown
  hasFailed: boolean
  /** Until when those who use it may go on although the service stops. */
  drainingUntil: number | undefined
  /** Since when the service has had it for its connection, and since when another one in its place. */
  establishedAt: number | undefined
  retiredAt: number | undefined
  /** Whether it was closed for no other reason. */
  isClosedForAge: boolean
  opened: boolean
  closings: number
  closed: number
  /** What `protocol` and `prepare` have acquired in the Scope, and released. */
  acquired: number
  released: number
}

/** An attempt that failed while the service waited for it. */
export interface Failure {
  readonly attempt: Attempt
  readonly kind: "error" | "lost" | "timeout"
  /** Whether the service has counted it for certain: it may have been stopped before it took notice. */
  isCertain: boolean
}

export class Protocol {
  attempt: Attempt | undefined
  constructor(readonly number: number) {}
}

/** A question to the policy. */
export interface Asked {
  readonly failures: number
  /** How many steps the policy has made since it began afresh. */
  readonly steps: number
  readonly at: number
  readonly answer: Answer
  answeredAt: number | undefined
  /** Whether the service has gone on meanwhile, and so may or may not have taken the answer. */
  isCutShort: boolean
  /** Whether a state followed that it led to. */
  isTaken: boolean
  /** The attempt that failed, or whose connection was lost. */
  readonly attempt: Attempt | undefined
  /** Whether the failures in a row began anew since the question before, with one that it was not asked about. */
  readonly isAfresh: boolean
}

export interface PeerSettings {
  readonly options: Options
  readonly outcomes: ReadonlyArray<Outcome>
  readonly clock: ScriptClock
  /** Calls the service back, and waits for it if that can't wait for itself. */
  readonly call: (callback: Callback, from: "interruptible" | "uninterruptible") => Effect.Effect<void>
  /** Tells the states of the service apart. */
  readonly snapshot: () => string
  /** The attempt that the service has its connection from. */
  readonly connected: () => Attempt | undefined
  /** Takes note of the state of the service, and gives it. */
  readonly look: () => State
  /** How many use the connection of an attempt. */
  readonly usesOf: (attempt: Attempt) => number
  /** The moment of the scheduler. */
  readonly moment: () => number
  readonly trace: (entry: string) => void
  readonly violated: (what: string) => void
}

/**
 * The other end: an endpoint and a retry policy that do as the script says, and know what is open.
 */
export class Peer {
  readonly attempts: Array<Attempt> = []
  readonly failures: Array<Failure> = []
  readonly asked: Array<Asked> = []
  /** What the policy was asked because a connection could not be replaced. */
  readonly askedToReplace: Array<Asked> = []
  /** From when on it accepts every attempt at once, and drops nothing. */
  recovered = false
  private hung: Array<() => void> = []
  private nothingHangs = false
  private isAfresh = false
  private readonly questions = new WeakMap<State, Asked>()

  constructor(private readonly settings: PeerSettings) {}

  get newest(): Attempt | undefined {
    return this.attempts[this.attempts.length - 1]
  }

  /** Whether the attempt and its connection are behind. */
  static isFinished(attempt: Attempt): boolean {
    return attempt.running === 0 && (!attempt.opened || attempt.closed > 0)
  }

  /** When the attempt was over, as far as that is known by now. At the instant of its timeout it may still succeed. */
  overAt(attempt: Attempt): number | undefined {
    const timeout = attempt.beganAt + this.settings.options.connectTimeout
    const isTimedOut = attempt.establishedAt === undefined && timeout <= this.settings.clock.now
    const isDrained = (attempt.drainingUntil ?? Infinity) <= this.settings.clock.now
    return attempt.overAt ?? (isTimedOut ? timeout : isDrained ? attempt.drainingUntil : undefined)
  }

  /** Whether `closeTimeout` has passed for certain: since the attempt was over, or since its users had time to end. */
  isOverdue(attempt: Attempt): boolean {
    return this.mayBeOverdue(attempt, 2)
  }

  /** Whether `closeTimeout` may have passed. When one that was replaced begins to close, only the service knows. */
  mayBeOverdue(attempt: Attempt, closeTimeouts = 1): boolean {
    const { clock, options } = this.settings
    const ends = [
      (this.overAt(attempt) ?? Infinity) + options.closeTimeout,
      (attempt.retiredAt ?? Infinity) + closeTimeouts * options.closeTimeout
    ]
    return Math.min(...ends) <= clock.now
  }

  /** Whether the connection is up, and its loss was not signalled. */
  isUp({ attempt }: Protocol): boolean {
    return attempt?.opened === true && attempt.closings === 0 && !attempt.lost && this.overAt(attempt) === undefined
  }

  /** Whether the connection can be given to those who ask for one. */
  isLive(protocol: Protocol): boolean {
    const { attempt } = protocol
    return this.isUp(protocol) && attempt?.retiredAt === undefined && attempt?.drainingUntil === undefined
  }

  /** Whether those who use the connection may go on. */
  isUsable(protocol: Protocol): boolean {
    const usableUntil = (protocol.attempt?.retiredAt ?? Infinity) + this.settings.options.closeTimeout
    return this.isUp(protocol) && this.settings.clock.now < usableUntil
  }

  /** Whether the connection may be replaced before it is closed. */
  private mayBeReplaced({ establishedAt, overAt, retiredAt }: Attempt): boolean {
    const { now } = this.settings.clock
    const age = now - (establishedAt ?? Infinity)
    const isOld = age >= 0.8 * (this.settings.options.maxAge ?? Infinity)
    return isOld && retiredAt === undefined && (overAt === undefined || overAt === now)
  }

  /** Whether the service has reason to close the connection. */
  private mayBeClosed(attempt: Attempt): boolean {
    const { now } = this.settings.clock
    return (
      this.overAt(attempt) !== undefined ||
      attempt.retiredAt !== undefined ||
      (attempt.drainingUntil !== undefined && this.settings.usesOf(attempt) === 0) ||
      attempt.probeFailedAt !== undefined ||
      attempt.probeDeadline <= now ||
      // It was to replace one that is lost.
      (attempt.establishedAt === undefined &&
        this.attempts.some(
          (other) => other.number < attempt.number && other.establishedAt !== undefined && this.mayBeClosed(other)
        ))
    )
  }

  private isClosedForAge(attempt: Attempt): boolean {
    const isSilent = attempt.probeFailedAt !== undefined || attempt.probeDeadline <= this.settings.clock.now
    return attempt.retiredAt !== undefined && this.overAt(attempt) === undefined && !isSilent
  }

  /** Counts a connection as lost whose probe has failed, once the service must have noticed. */
  expireProbes(): void {
    const { now } = this.settings.clock
    for (const attempt of this.attempts) {
      const failedAt = attempt.probeFailedAt ?? (attempt.probeDeadline <= now ? attempt.probeDeadline : undefined)
      if (failedAt !== undefined) attempt.overAt ??= failedAt
    }
  }

  /** Takes note that a failure is the first in a row, and that a reconnect came before the policy was done with it. */
  beginAfresh(attempt: Attempt | undefined): void {
    if (this.asked[this.asked.length - 1]?.attempt !== attempt) this.isAfresh = true
  }

  /** Takes note that the last question to the policy has led to a state, which may be published later. */
  ledTo(state: State): void {
    const asked = this.asked[this.asked.length - 1]
    if (asked !== undefined) this.questions.set(state, asked)
  }

  askedFor(state: State): Asked | undefined {
    return this.questions.get(state)
  }

  /** Whether only the service knows when `closeTimeout` passes for a connection that it replaced. */
  get isUncertain(): boolean {
    return this.attempts.some((attempt) => attempt.retiredAt !== undefined && !Peer.isFinished(attempt))
  }

  /** Counts attempts as failed, and connections as over, that must be so by now: nothing is under way any more. */
  expire(): void {
    this.expireProbes()
    for (const attempt of this.attempts) {
      const { clock, options, usesOf } = this.settings
      if ((attempt.drainingUntil ?? attempt.retiredAt) !== undefined && usesOf(attempt) === 0) this.over(attempt)
      const timeout = attempt.beganAt + options.connectTimeout
      if (attempt.overAt === undefined && attempt.establishedAt === undefined && timeout <= clock.now) {
        this.failed(attempt, "timeout")
      }
    }
  }

  /** Whether an attempt may or may not have timed out by now. */
  get mayTimeOut(): boolean {
    const { newest } = this
    return newest !== undefined && newest.overAt === undefined && this.overAt(newest) !== undefined
  }

  overAll(): void {
    for (const attempt of this.attempts) this.over(attempt)
  }

  over(attempt: Attempt | undefined): void {
    if (attempt === undefined) return
    attempt.overAt = this.overAt(attempt) ?? this.settings.clock.now
    this.gone(attempt)
  }

  gone(attempt: Attempt): void {
    attempt.goneAt ??= this.settings.moment()
  }

  /** Takes note that an attempt has failed, or a connection is lost. */
  failed(attempt: Attempt, kind: Failure["kind"]): void {
    const { _tag } = this.settings.look()
    const isAwaited = _tag === "Connecting" && attempt === this.newest && attempt.overAt === undefined
    this.over(attempt)
    if (!isAwaited || attempt.hasFailed) return
    attempt.hasFailed = true
    this.failures.push({ attempt, kind, isCertain: true })
  }

  /** Takes note that the service has halted an attempt, for no other reason than that it takes too long if it is time. */
  private halted(attempt: Attempt): void {
    this.settings.look()
    if (attempt.overAt === undefined && this.overAt(attempt) !== undefined) this.failed(attempt, "timeout")
    else this.over(attempt)
  }

  lose(attempt: Attempt, error: boolean): void {
    this.settings.trace(`lose ${attempt.number}`)
    const dropped = new PeerError(attempt.number, "dropped")
    if (error && attempt.overAt === undefined) attempt.error = dropped
    this.failed(attempt, error ? "error" : "lost")
    attempt.lost = true
    attempt.signal.lost(error ? dropped : undefined)
  }

  /** The failed attempt that somebody was told of, by its error. */
  failureOf(error: unknown, from: number): number {
    return this.failures.findIndex(
      ({ attempt, kind }, index) =>
        index >= from &&
        (kind === "error"
          ? attempt.error === error
          : kind === "timeout"
            ? error instanceof ConnectionError.ConnectTimeout
            : error instanceof ConnectionError.ConnectionLost)
    )
  }

  /** Ends something that hangs. */
  release(index: number): void {
    this.hung.splice(index % Math.max(1, this.hung.length), 1)[0]?.()
  }

  /** Ends all that hangs, and all that hangs thereafter. */
  releaseAll(settle: () => void): void {
    this.nothingHangs = true
    while (this.hung.length > 0) {
      this.release(0)
      settle()
    }
  }

  readonly endpoint: Endpoint.Endpoint<Attempt, PeerError> = Endpoint.make({
    name: "peer",
    connect: (signal: Endpoint.ConnectionSignal<PeerError>) => {
      const attempt = this.begin(signal)
      const { connect, uninterruptible } = attempt.outcome
      const connected = this.part(attempt, "connect", connect, uninterruptible, this.open(attempt))
      return uninterruptible ? Effect.uninterruptible(connected) : connected
    }
  })

  readonly protocol = (
    attempt: Attempt,
    _: Endpoint.ConnectionSignal<PeerError>
  ): Effect.Effect<Protocol, PeerError, Scope.Scope> =>
    this.part(attempt, "protocol", attempt.outcome.protocol, false, Effect.as(this.acquire(attempt), attempt.protocol))

  readonly prepare = ({ attempt }: Protocol): Effect.Effect<void, PeerError, Scope.Scope> =>
    attempt === undefined
      ? Effect.dieMessage("a protocol that no attempt has made")
      : this.part(attempt, "prepare", attempt.outcome.prepare, false, this.acquire(attempt))

  readonly probe = ({ attempt }: Protocol): Effect.Effect<void, PeerError> => {
    if (attempt === undefined) return Effect.dieMessage("a protocol that no attempt has made")
    const probe = this.recovered ? answered : (attempt.outcome.probes[attempt.probes] ?? answered)
    attempt.probes += 1
    const probed = this.part(attempt, "probe", probe, probe.uninterruptible, Effect.void)
    return probe.uninterruptible ? Effect.uninterruptible(probed) : probed
  }

  readonly policy: RetryPolicy.RetryPolicy<unknown> = Schedule.makeWithState(
    0,
    (now, failure: RetryPolicy.ConnectionFailure<unknown>, steps) => {
      const { policy, policyCalls } = this.settings.options
      const { failures } = failure
      const answer = this.recovered ? 1000 : (policy[Math.min(failures, policy.length) - 1] ?? 1000)
      const isToReplace = this.isToReplace(failure.cause)
      // What has happened before the question.
      this.settings.look()
      const { newest } = this
      // The attempt may not have been halted yet.
      if (!isToReplace && newest?.establishedAt === undefined && this.mayTimeOut && newest !== undefined)
        this.halted(newest)
      const asked: Asked = {
        ...{ failures, steps, at: now, answer, answeredAt: undefined },
        ...{ isCutShort: false, isTaken: isToReplace },
        ...{ attempt: this.settings.connected() ?? newest, isAfresh: !isToReplace && this.isAfresh }
      }
      if (isToReplace) this.askedToReplace.push(asked)
      else {
        this.asked.push(asked)
        this.isAfresh = false
      }
      this.settings.trace(
        `policy: ${failures} failures${isToReplace ? " to replace" : ""}, ${steps} steps, answer ${answer}`
      )
      if (answer === "throws") {
        asked.answeredAt = now
        throw new ScriptedDefect("policy")
      }
      const answers = (delay: number) => {
        asked.answeredAt = this.settings.clock.now
        return Effect.succeed([
          steps + 1,
          delay,
          ScheduleDecision.continueWith(ScheduleInterval.after(now + delay))
        ] as const)
      }
      const called = policyCalls === undefined ? Effect.void : this.settings.call(policyCalls, "interruptible")
      const { snapshot } = this.settings
      const before = snapshot()
      return Effect.flatMap(called, () => {
        asked.isCutShort = snapshot() !== before
        switch (answer) {
          case "dies":
            asked.answeredAt = this.settings.clock.now
            return Effect.die(new ScriptedDefect("policy"))
          case "hangs":
            return Effect.flatMap(this.pause(Infinity), () => answers(1000))
          case "done":
            asked.answeredAt = this.settings.clock.now
            return Effect.succeed([steps + 1, 0, ScheduleDecision.done] as const)
          default:
            return answers(answer)
        }
      })
    }
  )

  /** Whether the failure is that of an attempt to replace the connection, not that of the connection. */
  private isToReplace(cause: Cause.Cause<unknown>): boolean {
    const isSuccessor = (attempt: Attempt | undefined) =>
      attempt?.isReplacement === true && !attempt.isAdopted && attempt.establishedAt === undefined
    const error = Cause.squash(cause)
    if (error instanceof PeerError || error instanceof ScriptedDefect) {
      return isSuccessor(this.attempts[(error.attempt ?? 0) - 1])
    }
    if (error instanceof ConnectionError.HeartbeatTimeout) return false
    const connected = this.settings.connected()
    return connected === undefined ? isSuccessor(this.newest) : !connected.lost
  }

  private begin(signal: Endpoint.ConnectionSignal<PeerError>): Attempt {
    const number = this.attempts.length + 1
    const others = this.attempts.filter((other) => !Peer.isFinished(other) && !this.mayBeOverdue(other))
    for (const other of others) {
      if (!this.mayBeReplaced(other)) {
        this.settings.violated(`attempt ${number} began before attempt ${other.number} was closed`)
      }
    }
    const attempt: Attempt = {
      number,
      beganAt: this.settings.clock.now,
      outcome: this.recovered ? accepted : (this.settings.outcomes[number - 1] ?? accepted),
      signal,
      protocol: new Protocol(number),
      isReplacement: others.length > 0,
      isAdopted: false,
      running: 0,
      probes: 0,
      probeDeadline: Infinity,
      probeFailedAt: undefined,
      overAt: undefined,
      goneAt: undefined,
      lost: false,
      error: undefined,
      hasFailed: false,
      drainingUntil: undefined,
      establishedAt: undefined,
      retiredAt: undefined,
      isClosedForAge: false,
      opened: false,
      closings: 0,
      closed: 0,
      acquired: 0,
      released: 0
    }
    attempt.protocol.attempt = attempt
    this.attempts.push(attempt)
    this.settings.trace(`begin ${number}`)
    return attempt
  }

  private open(attempt: Attempt): Effect.Effect<Attempt, never, Scope.Scope> {
    const { drop } = attempt.outcome
    const opened = Effect.sync(() => {
      attempt.opened = true
      this.settings.trace(`open ${attempt.number}`)
      if (drop === undefined) return
      const dropped = () => {
        if (!this.recovered) this.lose(attempt, drop.error)
      }
      if (drop.after === 0) dropped()
      else this.settings.clock.at(this.settings.clock.now + drop.after, dropped)
    })
    const closing = Effect.suspend(() => {
      attempt.closings += 1
      this.settings.trace(`closing ${attempt.number}`)
      this.settings.look()
      if (attempt.establishedAt === undefined && this.overAt(attempt) !== undefined) this.halted(attempt)
      if (!this.mayBeClosed(attempt)) this.settings.violated(`${attempt.number} was closed while it was fine`)
      if (attempt.closings > 1) this.settings.violated(`${attempt.number} was closed twice`)
      attempt.isClosedForAge = this.isClosedForAge(attempt)
      this.over(attempt)
      const { close, closeCalls: calls, closeDies } = attempt.outcome
      const called = calls === undefined ? Effect.void : this.settings.call(calls, "uninterruptible")
      return called.pipe(
        Effect.zipRight(this.pause(close)),
        Effect.zipRight(closeDies ? Effect.die(new ScriptedDefect("close", attempt.number)) : Effect.void)
      )
    })
    const closed = Effect.sync(() => {
      attempt.closed += 1
      this.settings.trace(`closed ${attempt.number}`)
    })
    return Effect.as(
      Effect.acquireRelease(opened, () => Effect.ensuring(closing, closed)),
      attempt
    )
  }

  private acquire(attempt: Attempt): Effect.Effect<void, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => {
        attempt.acquired += 1
      }),
      () =>
        Effect.sync(() => {
          attempt.released += 1
        })
    )
  }

  private part<A, R>(
    attempt: Attempt,
    name: string,
    { calls, ends, takes, turns }: Part,
    uninterruptible: boolean,
    ok: Effect.Effect<A, never, R>
  ): Effect.Effect<A, PeerError, R> {
    const failed = (isInterrupted: boolean) => {
      this.settings.trace(`${name} of ${attempt.number} failed`)
      if (name === "probe") attempt.probeFailedAt ??= this.settings.clock.now
      else if (isInterrupted) this.halted(attempt)
      else this.failed(attempt, "error")
    }
    const defect = () => {
      const defect = new ScriptedDefect(name, attempt.number)
      if (attempt.overAt === undefined) attempt.error = defect
      return defect
    }
    if (ends === "throws") {
      const thrown = defect()
      failed(false)
      throw thrown
    }
    const called =
      calls === undefined
        ? Effect.void
        : this.settings.call(calls, uninterruptible ? "uninterruptible" : "interruptible")
    const end = Effect.suspend((): Effect.Effect<A, PeerError, R> => {
      if (ends === "ok") return ok
      if (ends === "dies") return Effect.die(defect())
      const error = new PeerError(attempt.number, name)
      if (attempt.overAt === undefined) attempt.error = error
      return Effect.fail(error)
    })
    let hasBegun = false
    const begun = Effect.suspend(() => {
      hasBegun = true
      attempt.running += 1
      if (name === "probe") this.probing(attempt)
      return called.pipe(Effect.zipRight(turning(turns)), Effect.zipRight(this.pause(takes)), Effect.zipRight(end))
    })
    const exited = (exit: Exit.Exit<unknown, unknown>) =>
      Effect.sync(() => {
        if (!hasBegun) return
        attempt.running -= 1
        if (name === "probe") attempt.probeDeadline = Infinity
        if (exit._tag === "Success") return
        // It may be the service that has refused what it was called back with.
        if (attempt.overAt === undefined) attempt.error ??= Cause.originalError(Cause.squash(exit.cause))
        failed(Cause.isInterruptedOnly(exit.cause))
      })
    return Effect.onExit(begun, exited)
  }

  private probing(attempt: Attempt): void {
    this.settings.trace(`probe ${attempt.number}`)
    if (attempt.probeDeadline < Infinity) this.settings.violated(`two probes of ${attempt.number} at a time`)
    attempt.probeDeadline = this.settings.clock.now + (this.settings.options.heartbeat?.timeout ?? Infinity)
  }

  /** Waits by no sleep and no interval of Effect's, as those are counted. */
  pause(millis: number): Effect.Effect<void> {
    if (millis === 0 || (millis === Infinity && this.nothingHangs)) return Effect.void
    return Effect.async<void>((resume) => {
      const done = () => resume(Effect.void)
      if (millis < Infinity) {
        const { clock } = this.settings
        const cancel = clock.at(clock.now + millis, done)
        return Effect.sync(cancel)
      }
      this.hung.push(done)
      return Effect.sync(() => {
        this.hung = this.hung.filter((other) => other !== done)
      })
    })
  }
}

const answered: Probe = { ...fine, uninterruptible: false }

const turning = (turns: number): Effect.Effect<void> =>
  turns === 0 ? Effect.void : Effect.zipRight(Effect.yieldNow(), turning(turns - 1))
