import * as Channel from "effect/Channel"
import * as Chunk from "effect/Chunk"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Stream from "effect/Stream"
import { TransportError } from "../../Transport.js"
import type { Status } from "../connection/attemptStatus.js"
import { monotonic } from "../time/monotonic.js"
import { deadline } from "../time/turn.js"
import { type Pending, wait } from "../time/wait.js"
import { type ByteSource, type OnChunk, setSource } from "./byteSource.js"

/** Milliseconds that a reader has to come back where no option tells, and a peer to close as well. */
export const linger = 1000

/** What a chunk takes besides its bytes: a million empty messages are no less than many bytes. */
const overhead = 512

/** What can still come of a source that is held back: what it has read at once, and the many messages in that. */
const slack = 32 * 1024 * 1024

/** What can be held back. */
interface Source {
  readonly pause: () => unknown
  readonly resume: () => unknown
}

type Attempt = Pick<Status, "isEstablished" | "received" | "receivers">

interface Settings<in E> {
  readonly lost: (error?: E | TransportError, detail?: string) => void
  readonly linger: number
  readonly capacity: number
}

interface End<out E> {
  readonly error: TransportError | undefined
  readonly loss: E | TransportError | undefined
  readonly detail: string | undefined
}

const byPeer = "the peer ended it cleanly"

/** In so many steps of the scheduler, a reader that has come to the end has acted on it, though others race or time it out. */
export const steps = 32

type Read = Channel.Channel<Chunk.Chunk<Uint8Array>, unknown, TransportError, unknown, void>

/**
 * Bytes that arrived and wait to be read.
 *
 * There is one for each connection, most of the time empty: it holds no more than it needs to.
 */
export class ReceiveBuffer<E> implements ByteSource {
  readonly #settings: Settings<E>
  readonly #clock: Clock.Clock
  /** Those who read from the first have begun once it is established. */
  readonly #attempt: Attempt
  #source: Source | undefined
  /** What has arrived since the reader came to its end of what had, in order. */
  #arrived: Array<Uint8Array> | undefined
  /** What the reader takes from, the first at the end. */
  #taken: Array<Uint8Array> | undefined
  #bytes = 0
  #limit: number
  #isHeldBack = false
  #isRead = false
  #isFollowed = false
  /** When something last arrived, or could. */
  #received: number | undefined
  /** When a reader was last heard of, or began to be waited for. */
  #since: number | undefined
  #end: End<E> | undefined
  /** Whether a reader has come to the end. */
  #isReadOut = false
  /** Whether there is nothing more to be told to the service. */
  #isTold = false
  #timer: Fiber.RuntimeFiber<void> | undefined
  #wake: (() => void) | undefined

  constructor(settings: Settings<E>, clock: Clock.Clock, attempt: Attempt) {
    this.#settings = settings
    this.#clock = clock
    this.#attempt = attempt
    this.#limit = settings.capacity
    attempt.receivers?.add(this)
  }

  from(source: Source): void {
    this.#source = source
  }

  /** When something last arrived. Of a source that is held back nothing can be heard, so it may have at any time. */
  get lastReceived(): number | undefined {
    return this.#isHeldBack ? this.#now() : this.#received
  }

  offer(chunk: Uint8Array): void {
    if (this.#end !== undefined) return
    this.#received = this.#now()
    const weight = this.#bytes + this.#length * overhead + chunk.length
    const isBounded = this.#source === undefined ? this.#length > 0 || this.#wake === undefined : this.#isHeldBack
    if (isBounded && weight > this.#limit) {
      const overflow = new TransportError({ reason: "Overflow", limit: this.#settings.capacity })
      this.end(overflow, overflow)
      return
    }
    this.#attempt.received?.(chunk.length)
    if (!this.#attempt.isEstablished) this.#since ??= this.#received
    this.#arrived ??= []
    this.#arrived.push(chunk)
    this.#bytes += chunk.length
    if (this.#source !== undefined && !this.#isHeldBack && weight >= this.#limit) {
      this.#isHeldBack = true
      this.#limit = weight + slack
      this.#source.pause()
    }
    this.#wake?.()
  }

  end(error?: TransportError, loss?: E | TransportError, detail = error === undefined ? byPeer : undefined): void {
    if (this.#end !== undefined) return
    this.#end = { error, loss, detail }
    // Who reads by steps of its own is no reader while it is at something else.
    if (this.#isRead || this.#isFollowed) this.#since = this.#now()
    this.#wake?.()
    this.#awaitReader()
  }

  giveUp(cause: unknown): void {
    this.end(new TransportError({ reason: "Read", cause }))
  }

  /** What the reader comes to, if that is an error. Nothing is to be written then. */
  get failure(): TransportError | undefined {
    return this.#end?.error
  }

  close(): void {
    this.#isTold = true
    this.#timer?.unsafeInterruptAsFork(FiberId.none)
    this.#end ??= { error: new TransportError({ reason: "Closed" }), loss: undefined, detail: undefined }
    this.#attempt.receivers?.remove(this)
    this.#letGo()
    this.#wake?.()
  }

  get stream(): Stream.Stream<Uint8Array, TransportError> {
    const stream = Stream.fromChannel(
      Channel.suspend((): Read => {
        if (this.#isRead) return Channel.fail(new TransportError({ reason: "Busy" }))
        this.#isRead = true
        return Channel.ensuring(
          this.#read(),
          Effect.sync(() => {
            this.#isRead = false
          })
        )
      })
    )
    return setSource(stream, this)
  }

  receive<E2, R>(onChunk: OnChunk<E2, R>, atEnd: Effect.Effect<void>): Effect.Effect<void, E2 | TransportError, R> {
    const work = (): Effect.Effect<void, E2, R> | undefined => {
      for (let chunk = this.take(); chunk !== undefined; chunk = this.take()) {
        const work = onChunk(chunk)
        if (work !== undefined) return work
      }
      return undefined
    }
    // As it arrives: to wake a fiber for each chunk costs more than what most have done.
    const more = wait<void, E2, R>((resume) =>
      this.#whenMore(resume, () => {
        try {
          const next = work()
          if (next === undefined) return this.#end !== undefined
          resume(next)
        } catch (defect) {
          resume(Effect.die(defect))
        }
        return true
      })
    )
    const ended = Effect.suspend(() => {
      this.readOut()
      return this.#end?.error ?? Effect.void
    })
    const step: Effect.Effect<void, E2, R> = Effect.suspend(() => {
      const next = work()
      if (next !== undefined) return Effect.zipRight(next, step)
      return this.#end === undefined ? Effect.zipRight(more, step) : Effect.void
    })
    const all = step.pipe(
      Effect.tapErrorCause(() => atEnd),
      Effect.zipRight(atEnd),
      Effect.zipRight(ended)
    )
    return Effect.uninterruptibleMask((restore) => {
      if (this.#isRead) return new TransportError({ reason: "Busy" })
      this.#isRead = true
      return Effect.ensuring(
        restore(all),
        Effect.sync(() => {
          this.#isRead = false
        })
      )
    })
  }

  get isRead(): boolean {
    return this.#isRead
  }

  get arrival(): Effect.Effect<void, TransportError> {
    return this.arrivals(() => true)
  }

  // Who takes by itself reads only while it waits: no interruption between two of its steps can leave it reading for ever.
  arrivals(isEnough: () => boolean): Effect.Effect<void, TransportError> {
    return wait<void, TransportError, never>((resume) => {
      if (!this.#isRead) return this.#whenMore(resume, isEnough, true)
      resume(new TransportError({ reason: "Busy" }))
      return undefined
    })
  }

  get ended(): ByteSource["ended"] {
    return this.#length === 0 ? this.#end : undefined
  }

  follow(isFollowed: boolean): void {
    this.#isFollowed = isFollowed
  }

  touch(): void {
    this.#since = this.#now()
  }

  readonly #read = (): Read => {
    const chunk = this.take()
    // One at a time, since a consumer that stops within several would lose the rest.
    if (chunk !== undefined) return Channel.flatMap(Channel.write(Chunk.of(chunk)), this.#read)
    if (this.#end === undefined) return Channel.flatMap(Channel.fromEffect(this.#more), this.#read)
    this.readOut()
    return this.#end.error === undefined ? Channel.void : Channel.fail(this.#end.error)
  }

  // A chunk is taken by the fiber that reads, and not by what wakes it: an interruption in between loses none.
  get #more(): Effect.Effect<void> {
    return wait((resume) => this.#whenMore(resume, () => true))
  }

  /**
   * Resumes if there is something, and otherwise calls a function whenever there is, until that tells that it is enough. Who
   * takes by itself is no reader before and after.
   */
  #whenMore(
    resume: (effect: Effect.Effect<void>) => void,
    isEnough: () => boolean,
    takesByItself = false
  ): Pending | undefined {
    if (this.#length > 0 || this.#end !== undefined) {
      resume(Effect.void)
      return undefined
    }
    let isLettingGo = false
    const stop = () => {
      this.#wake = undefined
      if (takesByItself) this.#isRead = false
    }
    const wake = () => {
      stop()
      // By the fiber, if a source gives what it has as soon as it is let go: it could do so for ever.
      if (isLettingGo || isEnough()) resume(Effect.void)
      else listen()
    }
    const listen = () => {
      this.#wake = wake
      this.#isRead = true
      isLettingGo = true
      this.#letGo()
      isLettingGo = false
    }
    listen()
    return {
      cancel: Effect.sync(() => {
        if (this.#wake === wake) stop()
      })
    }
  }

  take(): Uint8Array | undefined {
    if (this.#taken === undefined || this.#taken.length === 0) {
      // What comes first is at the end, where it is taken from an array without moving the others.
      this.#taken = this.#arrived?.reverse()
      this.#arrived = undefined
    }
    const chunk = this.#taken?.pop()
    if (chunk === undefined) return undefined
    this.#bytes -= chunk.length
    this.touch()
    return chunk
  }

  #letGo(): void {
    if (!this.#isHeldBack) return
    this.#isHeldBack = false
    this.#received = this.#now()
    this.#limit = this.#settings.capacity
    this.#source?.resume()
  }

  // By steps, and not by a turn of the event loop: callers that try again without a pause might starve that.
  readonly halt = Effect.void

  readOut(): void {
    if (this.#isReadOut || this.#isTold) return
    this.#isReadOut = true
    this.#schedule(Effect.repeatN(Effect.yieldNow(), steps), () => this.#tell())
  }

  /** Tells of the loss when the reader has had the time that it gets. */
  #awaitReader(): void {
    if (this.#isTold) return
    const { linger } = this.#settings
    const left = this.#since === undefined ? 0 : this.#since + linger - this.#now()
    if (left > 0) this.#schedule(deadline(left), () => this.#awaitReader())
    else this.#tell()
  }

  #tell(): void {
    if (this.#isTold) return
    this.#isTold = true
    this.#timer?.unsafeInterruptAsFork(FiberId.none)
    this.#settings.lost(this.#end?.loss, this.#end?.detail)
    this.#attempt.receivers?.remove(this)
  }

  #schedule(wait: Effect.Effect<void>, f: () => void): void {
    this.#timer?.unsafeInterruptAsFork(FiberId.none)
    this.#timer = Effect.runFork(Effect.withClock(Effect.zipRight(wait, Effect.sync(f)), this.#clock))
  }

  get #length(): number {
    return (this.#arrived?.length ?? 0) + (this.#taken?.length ?? 0)
  }

  #now(): number {
    return monotonic(this.#clock)
  }
}
