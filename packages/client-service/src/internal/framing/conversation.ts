import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import type * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import { FrameError } from "../../FrameError.js"
import { TransportError } from "../../Transport.js"
import { AttemptStatus, type Status } from "../connection/attemptStatus.js"
import { type Fork, makeFork } from "../fork.js"
import { monotonic } from "../time/monotonic.js"
import { deadline } from "../time/turn.js"
import { wait } from "../time/wait.js"
import { linger, steps } from "../transports/receiveBuffer.js"
import { withoutStack } from "../withoutStack.js"
import { Answers } from "./answers.js"
import { encoded } from "./cutter.js"
import { Events } from "./events.js"
import type { Encoded, Link } from "./link.js"
import { Call, type Pairing } from "./pairing.js"

type Failure = FrameError | TransportError

/** What waits to be sent and has no answer. */
interface Told {
  readonly encoded: Encoded
  readonly resume: (effect: Effect.Effect<never, Failure>) => void
  isSent: boolean
  hasLeft: boolean
  readonly sent: () => void
}

type Outgoing<In> = Call<In> | Told

type Attempt = Pick<Status, "changes" | "isEstablished" | "users">

interface Surroundings {
  readonly scheduler: Scheduler.Scheduler
  readonly fork: Fork<never>
  readonly clock: Clock.Clock
  readonly attempt: Attempt
}

/** As many bytes as go out in one write, and no more frames than that takes. */
const batch = 64 * 1024

/** The requests and answers of one connection. */
export class Conversation<in out In, in out Out, in Request> {
  /** Begins to read, until the Scope closes. */
  static begin<In, Out, Request>(
    link: Link<In, Out>,
    pairing: () => Pairing<In, Out, Request>,
    capacity: number
  ): Effect.Effect<Conversation<In, Out, Request>, never, Scope.Scope> {
    return Effect.gen(function* () {
      const surroundings = {
        scheduler: yield* FiberRef.get(FiberRef.currentScheduler),
        fork: yield* makeFork<never>(),
        clock: yield* Effect.clock,
        attempt: yield* AttemptStatus
      }
      const conversation = new Conversation(link, pairing(), capacity, surroundings)
      yield* Effect.addFinalizer(() => link.halt)
      conversation.#reader = yield* Effect.forkScoped(Effect.interruptible(conversation.#reading))
      yield* Effect.addFinalizer(() => Effect.sync(() => conversation.#close(undefined)))
      return conversation
    })
  }

  readonly #link: Link<In, Out>
  readonly #pairing: Pairing<In, Out, Request>
  readonly #scheduler: Scheduler.Scheduler
  readonly #fork: Fork<never>
  readonly #clock: Clock.Clock
  readonly #events: Events<In>
  readonly events: Events<In>["stream"]
  #outbox: Array<Outgoing<In>> = []
  /** How many of them, from the first on, are taken. */
  #taken = 0
  /** What is being written, whose callers nobody else tells that the writing is cut short. */
  #sendingNow: ReadonlyArray<Outgoing<In>> = []
  #sender: Fiber.RuntimeFiber<void> | undefined
  /** Has sending go on. */
  #posted: (() => void) | undefined
  #reader: Fiber.RuntimeFiber<void> | undefined
  /** Whether nothing more is read. */
  #isReadOut = false
  /** When somebody was last answered, by what of the chunks that were taken. */
  #answered = Number.NEGATIVE_INFINITY
  #answering = 0
  readonly #answers: Answers
  /** What has the connection lost after a write that failed. */
  #breaking: Fiber.RuntimeFiber<void> | undefined
  /** What calls fail with. */
  #closed: Effect.Effect<never, Failure> | undefined
  /** What the connection is lost by. */
  #error: Failure | undefined
  /** Has reading go on. */
  #wanted: (() => void) | undefined

  private constructor(
    link: Link<In, Out>,
    pairing: Pairing<In, Out, Request>,
    capacity: number,
    { attempt, clock, fork, scheduler }: Surroundings
  ) {
    this.#link = link
    this.#pairing = pairing
    this.#scheduler = scheduler
    this.#fork = fork
    this.#clock = clock
    this.#answers = new Answers(attempt, clock, () => pairing.askers())
    this.#events = new Events(capacity, clock, () => {
      link.touch()
      this.#wanted?.()
    })
    this.events = this.#events.stream
  }

  readonly ask = (request: Request): Effect.Effect<In, Failure> =>
    wait((resume) => {
      if (this.#closed !== undefined) {
        resume(this.#closed)
        return undefined
      }
      const call = new Call<In>(resume, Option.getOrUndefined(Fiber.getCurrentFiber()))
      try {
        call.encoded = this.#link.encode(encoded(() => this.#pairing.add(call, request)))
      } catch (error) {
        this.#pairing.leave(call)
        resume(error instanceof FrameError ? error : Effect.die(error))
        return undefined
      }
      // Nobody would answer, and the peer may have ended both sides.
      if (!this.#isReadOut) this.#post(call)
      if (call.fiber !== undefined) this.#answers.asks(call.fiber)
      this.#wanted?.()
      return {
        cancel: Effect.sync(() => {
          call.hasLeft = true
          this.#pairing.leave(call)
        })
      }
    })

  readonly tell = (message: Out): Effect.Effect<void, Failure> =>
    wait<void, Failure, never>((resume) => {
      if (this.#closed !== undefined) {
        resume(this.#closed)
        return undefined
      }
      const sent = () => resume(Effect.void)
      try {
        const outgoing: Told = { encoded: this.#link.encode(message), resume, isSent: false, hasLeft: false, sent }
        this.#post(outgoing)
        return {
          cancel: Effect.sync(() => {
            outgoing.hasLeft = true
          })
        }
      } catch (error) {
        resume(error instanceof FrameError ? error : Effect.die(error))
        return undefined
      }
    })

  // Once those have run that are ready now: what they send goes out together.
  #post(outgoing: Outgoing<In>): void {
    this.#outbox.push(outgoing)
    this.#sender ??= this.#fork.soon(this.#sending)
    this.#posted?.()
  }

  readonly #sending: Effect.Effect<void> = Effect.suspend(() => {
    const outgoing = this.#sendingNow.length > 0 ? this.#sendingNow : this.#take()
    if (outgoing.length === 0) return Effect.zipRight(this.#more, this.#sending)
    let writing: Effect.Effect<void, TransportError>
    try {
      writing = this.#link.send(outgoing.map(({ encoded }) => encoded))
    } catch (error) {
      // What throws has written nothing. Were this fiber to end by it, nothing would be sent any more.
      this.#notSent(outgoing, writeError(error))
      return this.#sending
    }
    return Effect.zipRight(
      Effect.matchCause(writing, {
        onSuccess: () => this.#written(outgoing),
        onFailure: (cause) => this.#notWritten(outgoing, cause)
      }),
      this.#sending
    )
  })

  // The fiber that sends goes on only with what the transport does not take at once: to wake it costs more than the write.
  readonly #more: Effect.Effect<void> = Effect.async((resume) => {
    const listen = () => {
      this.#posted = () => {
        this.#posted = undefined
        this.#scheduler.scheduleTask(() => (this.#trySend() ? listen() : resume(Effect.void)), 0)
      }
    }
    listen()
    if (this.#taken < this.#outbox.length) this.#posted?.()
  })

  /** Sends as much as needs not wait, and tells whether that is all. */
  #trySend(): boolean {
    for (let outgoing = this.#take(); outgoing.length > 0; outgoing = this.#take()) {
      try {
        if (!this.#link.trySend(outgoing.map(({ encoded }) => encoded))) return false
      } catch {
        return false
      }
      this.#written(outgoing)
    }
    return true
  }

  #written(outgoing: ReadonlyArray<Outgoing<In>>): void {
    this.#sendingNow = []
    for (const each of outgoing) if ("sent" in each) each.sent()
  }

  #take(): ReadonlyArray<Outgoing<In>> {
    let outgoing: ReadonlyArray<Outgoing<In>> = []
    while (outgoing.length === 0 && this.#outbox.length > 0) outgoing = this.#takeNext()
    for (const each of outgoing) each.isSent = true
    this.#sendingNow = outgoing
    return outgoing
  }

  /** Takes what goes out together, of which those may be none who have left. */
  #takeNext(): ReadonlyArray<Outgoing<In>> {
    const all = this.#outbox
    const begin = this.#taken
    let bytes = 0
    let end = begin
    // By itself what is written by itself, or nobody would know how many of them were.
    const most = this.#link.joins ? all.length : begin + 1
    for (; end < Math.min(most, all.length) && bytes < batch; end += 1) bytes += all[end]?.encoded.length ?? 0
    const outgoing = all.slice(begin, end).filter(({ hasLeft }) => !hasLeft)
    this.#taken = end
    if (end > all.length / 2) {
      this.#outbox = all.slice(end)
      this.#taken = 0
    }
    return outgoing
  }

  /** Nothing was sent of these. */
  #notSent(outgoing: ReadonlyArray<Outgoing<In>>, error: TransportError): void {
    for (const each of outgoing) each.isSent = false
    this.#failed(outgoing, error)
  }

  #failed(outgoing: ReadonlyArray<Outgoing<In>>, error: TransportError): void {
    this.#sendingNow = []
    for (const each of outgoing) if (each instanceof Call) this.#pairing.leave(each)
    for (const { resume } of outgoing) resume(Effect.fail(error))
  }

  // The peer may have a part of it, or all. What followed would be torn, and answers could be for whoever asked before. What
  // it had sent, or sends to what it has, can still be read.
  #notWritten(outgoing: ReadonlyArray<Outgoing<In>>, cause: Cause.Cause<TransportError>): void {
    const error = Option.getOrElse(Cause.failureOption(cause), () => writeError(Cause.squash(cause)))
    this.#failed(outgoing, error)
    // A transport that is closed tells so itself; and it may be the sending side alone that has ended.
    if (error.reason === "Closed" || this.#closed !== undefined) return
    this.#closed = Effect.fail(error)
    this.#notSent(this.#unsent(), error)
    this.#breaking = this.#fork.soon(
      Effect.zipRight(
        deadline(linger),
        Effect.suspend(() =>
          this.#isReadOut || this.#reader === undefined
            ? Effect.void
            : Effect.zipRight(Fiber.interrupt(this.#reader), this.#ended(error))
        )
      )
    )
  }

  /** Takes all that waits to be sent. */
  #unsent(): ReadonlyArray<Outgoing<In>> {
    const unsent = this.#outbox.slice(this.#taken)
    this.#outbox = []
    this.#taken = 0
    return unsent
  }

  get #reading(): Effect.Effect<void> {
    return this.#link.receive(this.#received, this.#unwanted).pipe(
      Effect.match({
        onSuccess: () => undefined,
        onFailure: (error) => error
      }),
      Effect.flatMap((error) => this.#ended(error))
    )
  }

  #ended(error: Failure | undefined): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#isReadOut = true
      this.#error = error
      this.#events.end(error)
      // Without a service, there is nobody to tell of it.
      if (this.#link.signal === undefined) this.#close(error)
      return Effect.zipRight(Effect.zipRight(this.#events.readOut, this.#answers.acted), this.#lost)
    })
  }

  get #lost(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#link.comeToEnd()
      if (this.#error instanceof FrameError) return Effect.void
      // Should the transport not tell of its end, nobody else would.
      return Effect.zipRight(
        Effect.repeatN(Effect.yieldNow(), 2 * steps),
        Effect.sync(() => this.#link.signal?.lost())
      )
    })
  }

  readonly #received = (message: In): void => {
    const { weight } = this.#link
    const call = this.#pairing.answered(message)
    if (call === true) {
      if (this.#events.isFull) throw new FrameError({ reason: "Unread", limit: this.#events.capacity })
      this.#events.add(message, weight)
    } else if (call !== undefined) {
      // A chunk may have many, and to look at the clock for each would take longer than all else that is done with it.
      if (this.#answering !== this.#link.chunks) {
        this.#answering = this.#link.chunks
        this.#answered = monotonic(this.#clock)
      }
      this.#answers.add(call.fiber, this.#answered)
      call.resume(Effect.succeed(message))
    }
  }

  /** Waits while nobody wants what comes: events fill their buffer, and no call waits. */
  readonly #unwanted = (): Effect.Effect<void> | undefined =>
    this.#events.isFull && this.#pairing.size === 0 ? this.#want : undefined

  readonly #want: Effect.Effect<void> = Effect.async((resume) => {
    const go = () => {
      if (this.#pairing.size === 0 && !this.#events.hasRoom) return
      this.#wanted = undefined
      // What is left of the chunk may be read long after.
      this.#answering = -1
      resume(Effect.void)
    }
    this.#wanted = go
    go()
  })

  #close(error: Failure | undefined): void {
    const failure = error ?? this.#error ?? withoutStack(() => new TransportError({ reason: "Closed" }))
    const closed = Effect.fail(failure)
    this.#closed ??= closed
    this.#events.end(failure)
    this.#sender?.unsafeInterruptAsFork(FiberId.none)
    this.#breaking?.unsafeInterruptAsFork(FiberId.none)
    for (const { resume } of [...this.#sendingNow, ...this.#unsent()]) resume(closed)
    this.#sendingNow = []
    for (const { resume } of this.#pairing.clear()) resume(closed)
  }
}

const writeError = (cause: unknown): TransportError => new TransportError({ reason: "Write", cause })
