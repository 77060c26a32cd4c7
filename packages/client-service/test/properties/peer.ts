import { Effect, Schedule, ScheduleDecision, ScheduleInterval, type Scope } from "effect"
import { Endpoint, type RetryPolicy } from "effect-client-service"
import { type Answer, accepted, type Command, type Options, type Outcome, type Part } from "./script.js"
import type { ScriptClock } from "./scriptClock.js"

export class PeerError {
  constructor(
    readonly attempt: number,
    readonly what: string
  ) {}
}

/** What dies by the script, unlike a defect of the service. */
export class ScriptedDefect extends Error {}

/** An attempt, and what came of it: what the peer knows of it, whatever the service believes. */
export interface Attempt {
  readonly number: number
  readonly beganAt: number
  readonly outcome: Outcome
  readonly signal: Endpoint.ConnectionSignal<PeerError>
  readonly protocol: Protocol
  /** How many of connect, protocol and prepare are running. */
  running: number
  /** When it was over, whether it failed or was given up, or its connection was lost. */
  overAt: number | undefined
  lost: boolean
  /** Whether the service has had it for its connection. */
  established: boolean
  opened: boolean
  closings: number
  closed: number
  /** What `protocol` and `prepare` have acquired in the Scope, and released. */
  acquired: number
  released: number
}

export class Protocol {
  attempt: Attempt | undefined
  constructor(readonly number: number) {}
}

export interface Asked {
  readonly failures: number
  /** How many steps the policy has made since it began afresh. */
  readonly steps: number
  readonly at: number
  readonly answer: Answer
  answered: boolean
}

export interface PeerSettings {
  readonly options: Options
  readonly outcomes: ReadonlyArray<Outcome>
  readonly clock: ScriptClock
  /** Calls the service back, and waits for it if that can't wait for itself. */
  readonly call: (command: Command, from: "interruptible" | "uninterruptible") => Effect.Effect<void>
  readonly trace: (entry: string) => void
  readonly violated: (what: string) => void
}

/**
 * The other end: an endpoint and a retry policy that do as the script says, and know what is open.
 */
export class Peer {
  readonly attempts: Array<Attempt> = []
  readonly asked: Array<Asked> = []
  /** From when on it accepts every attempt at once, and drops nothing. */
  recovered = false
  private hung: Array<() => void> = []
  private nothingHangs = false

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
    const isTimedOut = !attempt.established && timeout <= this.settings.clock.now
    return attempt.overAt ?? (isTimedOut ? timeout : undefined)
  }

  /** Whether `closeTimeout` has passed since the attempt was over. */
  isOverdue(attempt: Attempt): boolean {
    const overAt = this.overAt(attempt)
    return overAt !== undefined && overAt + this.settings.options.closeTimeout <= this.settings.clock.now
  }

  /** Whether the connection can be used: it is up, and its loss was not signalled. */
  isLive(protocol: Protocol): boolean {
    const { attempt } = protocol
    return attempt?.opened === true && attempt.closings === 0 && !attempt.lost && this.overAt(attempt) === undefined
  }

  over(attempt: Attempt | undefined): void {
    if (attempt !== undefined) attempt.overAt = this.overAt(attempt) ?? this.settings.clock.now
  }

  lose(attempt: Attempt, error: boolean): void {
    this.settings.trace(`lose ${attempt.number}`)
    attempt.lost = true
    this.over(attempt)
    attempt.signal.lost(error ? new PeerError(attempt.number, "dropped") : undefined)
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
    connect: (signal: Endpoint.ConnectionSignal<PeerError>) =>
      Effect.suspend(() => {
        const attempt = this.begin(signal)
        const { connect, uninterruptible } = attempt.outcome
        const connected = this.part(attempt, "connect", connect, uninterruptible, this.open(attempt))
        return uninterruptible ? Effect.uninterruptible(connected) : connected
      })
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

  readonly policy: RetryPolicy.RetryPolicy<unknown> = Schedule.makeWithState(
    0,
    (now, { failures }: RetryPolicy.ConnectionFailure<unknown>, steps) =>
      Effect.suspend(() => {
        const { policy } = this.settings.options
        const answer = this.recovered ? 1000 : (policy[Math.min(failures, policy.length) - 1] ?? 1000)
        const asked: Asked = { failures, steps, at: now, answer, answered: false }
        this.asked.push(asked)
        this.settings.trace(`policy: ${failures} failures, ${steps} steps, answer ${answer}`)
        const answers = (delay: number) => {
          asked.answered = true
          return Effect.succeed([
            steps + 1,
            delay,
            ScheduleDecision.continueWith(ScheduleInterval.after(now + delay))
          ] as const)
        }
        switch (answer) {
          case "dies":
            asked.answered = true
            return Effect.die(new ScriptedDefect("policy"))
          case "hangs":
            return Effect.flatMap(this.pause(Infinity), () => answers(1000))
          case "done":
            asked.answered = true
            return Effect.succeed([steps + 1, 0, ScheduleDecision.done] as const)
          default:
            return answers(answer)
        }
      })
  )

  private begin(signal: Endpoint.ConnectionSignal<PeerError>): Attempt {
    const number = this.attempts.length + 1
    for (const other of this.attempts) {
      if (!Peer.isFinished(other) && !this.isOverdue(other)) {
        this.settings.violated(`attempt ${number} began before attempt ${other.number} was closed`)
      }
    }
    const attempt: Attempt = {
      number,
      beganAt: this.settings.clock.now,
      outcome: this.recovered ? accepted : (this.settings.outcomes[number - 1] ?? accepted),
      signal,
      protocol: new Protocol(number),
      running: 0,
      overAt: undefined,
      lost: false,
      established: false,
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
      if (this.overAt(attempt) === undefined) this.settings.violated(`${attempt.number} was closed while it was fine`)
      if (attempt.closings > 1) this.settings.violated(`${attempt.number} was closed twice`)
      const { close, closeCalls: calls } = attempt.outcome
      const called = calls === undefined ? Effect.void : this.settings.call(calls, "uninterruptible")
      return Effect.zipRight(called, this.pause(close))
    })
    const closed = Effect.sync(() => {
      attempt.closed += 1
      this.settings.trace(`closed ${attempt.number}`)
    })
    return Effect.as(
      Effect.acquireRelease(opened, () => Effect.zipRight(closing, closed)),
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
    const called =
      calls === undefined
        ? Effect.void
        : this.settings.call(calls, uninterruptible ? "uninterruptible" : "interruptible")
    const end: Effect.Effect<A, PeerError, R> =
      ends === "ok"
        ? ok
        : ends === "fails"
          ? Effect.fail(new PeerError(attempt.number, name))
          : Effect.die(new ScriptedDefect(name))
    return Effect.suspend(() => {
      attempt.running += 1
      return called.pipe(Effect.zipRight(turning(turns)), Effect.zipRight(this.pause(takes)), Effect.zipRight(end))
    }).pipe(
      Effect.onExit((exit) =>
        Effect.sync(() => {
          attempt.running -= 1
          if (exit._tag === "Success") return
          this.settings.trace(`${name} of ${attempt.number} failed`)
          this.over(attempt)
        })
      )
    )
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

const turning = (turns: number): Effect.Effect<void> =>
  turns === 0 ? Effect.void : Effect.zipRight(Effect.yieldNow(), turning(turns - 1))
