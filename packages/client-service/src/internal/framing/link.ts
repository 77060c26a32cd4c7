import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Stream from "effect/Stream"
import { FrameError } from "../../FrameError.js"
import { type Transport, TransportError } from "../../Transport.js"
import { type ByteSource, sourceOf } from "../transports/byteSource.js"
import { steps } from "../transports/receiveBuffer.js"
import { type Cutter, none } from "./cutter.js"

/** The keys that a framing, and what it makes, keep these by. */
export const format: unique symbol = Symbol.for("effect-client-service/Framing/format")
export const link: unique symbol = Symbol.for("effect-client-service/Framing/link")

export type Encoded = Uint8Array | string

/** How frames are cut and made. */
export interface Format<out In, in Out> {
  readonly cutter: () => Cutter<In>
  /** Throws a `FrameError` if there can be no such frame. */
  readonly encode: (frame: Out) => Encoded
  /** Whether a frame ends where its bytes say, rather than where the write does. */
  readonly isOfBytes: boolean
}

export interface Signal {
  readonly lost: (error?: FrameError) => void
}

type Reading<A> = Effect.Effect<A, FrameError | TransportError>
type Frames<In> = Channel.Channel<Chunk.Chunk<In>, unknown, FrameError | TransportError, unknown, void>

/** The frames of one connection. */
export class Link<out In, in Out> {
  readonly #format: Format<In, Out>
  readonly #transport: Transport
  readonly #source: ByteSource
  readonly #cutter: Cutter<In>
  readonly signal: Signal | undefined
  /** How many chunks were taken from the transport. */
  chunks = 0
  /** The next frame, if it is whole. */
  #next: In | typeof none = none
  #end: { readonly error: FrameError | TransportError | undefined } | undefined
  #isReadOut = false
  /** A fiber that reads one frame, or something else that reads many. */
  #reader: Fiber.RuntimeFiber<unknown, unknown> | "many" | undefined

  constructor(format: Format<In, Out>, transport: Transport, signal: Signal | undefined) {
    this.#format = format
    this.#transport = transport
    this.signal = signal
    this.#source = sourceOf(transport.incoming)
    this.#cutter = format.cutter()
  }

  /** About how many bytes the frame has that was taken last. */
  get weight(): number {
    return this.#cutter.weight
  }

  readonly read: Reading<In> = Effect.withFiberRuntime((fiber) => {
    if (this.#isReadByOther(fiber)) return new TransportError({ reason: "Busy" })
    this.#reader = fiber
    return this.#fill() ? this.#taken : Effect.zipRight(this.#arrival, this.#taken)
  })

  // The last step, whose value nothing comes between and whoever waits for it: a fiber that is interrupted before has not
  // taken the frame, and the next reader gets it.
  readonly #taken: Effect.Effect<In> = Effect.sync(() => {
    this.#reader = undefined
    this.touch()
    return this.#take()
  })

  readonly #arrival: Reading<void> = Effect.suspend(() => {
    if (this.#fill()) return Effect.void
    if (this.#end === undefined)
      return Effect.zipRight(Effect.mapError(this.#source.arrival, this.#left), this.#arrival)
    this.#left(undefined)
    this.comeToEnd()
    return Effect.fail(this.#end.error ?? new TransportError({ reason: "Closed" }))
  })

  readonly #left = <E>(error: E): E => {
    this.#reader = undefined
    return error
  }

  #follow(isFollowed: boolean): void {
    this.#reader = isFollowed ? "many" : undefined
    this.#source.follow(isFollowed)
  }

  get frames(): Stream.Stream<In, FrameError | TransportError> {
    return Stream.fromChannel(
      Channel.suspend((): Frames<In> => {
        if (this.#isReadByOther(undefined)) return Channel.fail(new TransportError({ reason: "Busy" }))
        this.#follow(true)
        return Channel.ensuring(
          this.#frames(),
          Effect.sync(() => this.#follow(false))
        )
      })
    )
  }

  // One at a time, since a consumer that stops within several would lose the rest.
  readonly #frames = (): Frames<In> => {
    this.touch()
    if (this.#fill()) return Channel.flatMap(Channel.write(Chunk.of(this.#take())), this.#frames)
    if (this.#end === undefined) return Channel.flatMap(Channel.fromEffect(this.#source.arrival), this.#frames)
    this.comeToEnd()
    return this.#end.error === undefined ? Channel.void : Channel.fail(this.#end.error)
  }

  /** Calls a function with each frame, as long as they are wanted, until the end. Does not tell that it has come to that. */
  receive(onFrame: (frame: In) => void, wanted: () => Effect.Effect<void> | undefined): Reading<void> {
    let unwanted: Effect.Effect<void> | undefined
    const takeAll = () => {
      unwanted = wanted()
      while (unwanted === undefined && this.#fill()) {
        try {
          onFrame(this.#take())
        } catch (error) {
          this.#fail(error)
        }
        unwanted = wanted()
      }
      return unwanted !== undefined || this.#end !== undefined
    }
    const source = this.#source
    // As they arrive: to wake a fiber for each chunk costs more than what most have done.
    const arrival = source.arrivals?.(takeAll) ?? source.arrival
    const step: Reading<void> = Effect.suspend(() => {
      if (!takeAll()) return Effect.zipRight(arrival, step)
      if (unwanted !== undefined) return Effect.zipRight(unwanted, step)
      return this.#end?.error === undefined ? Effect.void : Effect.fail(this.#end.error)
    })
    return Effect.suspend(() => {
      if (this.#isReadByOther(undefined)) return new TransportError({ reason: "Busy" })
      this.#follow(true)
      return Effect.ensuring(
        step,
        Effect.sync(() => this.#follow(false))
      )
    })
  }

  readonly write = (frame: Out): Effect.Effect<void, FrameError | TransportError> =>
    Effect.suspend((): Effect.Effect<void, FrameError | TransportError> => {
      try {
        return this.#transport.write(this.#format.encode(frame))
      } catch (error) {
        return error instanceof FrameError ? error : Effect.die(error)
      }
    })

  /** Throws a `FrameError` if there can be no such frame. */
  encode(frame: Out): Encoded {
    return this.#format.encode(frame)
  }

  /** Whether several frames may go out in one write. */
  get joins(): boolean {
    return this.#format.isOfBytes
  }

  /** Writes a frame, or several that are joined. */
  send(frames: ReadonlyArray<Encoded>): Effect.Effect<void, TransportError> {
    return this.#transport.write(joined(frames))
  }

  /** Does the same if that needs not wait, and tells whether it has. */
  trySend(frames: ReadonlyArray<Encoded>): boolean {
    return this.#transport.write.now?.(joined(frames)) ?? false
  }

  /** The reader still works on what it has taken. */
  touch(): void {
    this.#source.touch()
  }

  /** Ends what reads the transport. Whoever reads later goes on. */
  get halt(): Effect.Effect<void> {
    return this.#source.halt
  }

  /** The reader has come to the end. If that is none of the connection, it is lost once the reader had time to act. */
  comeToEnd(): void {
    const { signal } = this
    const error = this.#end?.error
    if (signal === undefined || !(error instanceof FrameError)) this.#source.readOut()
    else if (!this.#isReadOut)
      Effect.runFork(
        Effect.zipRight(
          aWhile,
          Effect.sync(() => signal.lost(error))
        )
      )
    this.#isReadOut = true
  }

  /** Takes the frame that is whole. */
  #take(): In {
    const frame = this.#next
    this.#next = none
    if (frame === none) throw new Error("there is no whole frame")
    return frame
  }

  /** Tells whether the next frame is whole. */
  #fill(): boolean {
    const source = this.#source
    try {
      while (this.#next === none && this.#end === undefined) {
        this.#next = this.#cutter.next()
        if (this.#next !== none) return true
        if (source.isRead) return false
        const chunk = source.take()
        if (chunk !== undefined) {
          this.chunks += 1
          this.#cutter.push(chunk)
        } else if (source.ended === undefined) return false
        else if (source.ended.error !== undefined || !this.#cutter.isMidFrame) this.#end = source.ended
        else this.#fail(new FrameError({ reason: "CutOff" }))
      }
    } catch (error) {
      this.#fail(error)
    }
    return this.#next !== none
  }

  /** Nothing that comes can be read any more. */
  #fail(error: unknown): void {
    this.#next = none
    this.#end = { error: error instanceof FrameError ? error : new FrameError({ reason: "Undecodable", cause: error }) }
  }

  // A fiber that was interrupted reads no more, and may have had no chance to tell.
  #isReadByOther(fiber: Fiber.RuntimeFiber<unknown, unknown> | undefined): boolean {
    const reader = this.#reader
    if (reader === undefined || reader === fiber) return false
    return (
      reader === "many" ||
      (reader.unsafePoll() === null && Cause.isEmpty(reader.getFiberRef(FiberRef.interruptedCause)))
    )
  }
}

/** In so long a reader that has come to the end has acted on it. */
const aWhile = /* @__PURE__ */ Effect.repeatN(/* @__PURE__ */ Effect.yieldNow(), steps)

const joined = (frames: ReadonlyArray<Encoded>): Encoded => {
  const [first] = frames
  if (first !== undefined && frames.length === 1) return first
  const texts = frames.filter((frame) => typeof frame === "string")
  return texts.length === frames.length ? texts.join("") : concat(frames)
}

/** The bytes of all, one after the other. */
export const concat = (parts: ReadonlyArray<Encoded>): Uint8Array => {
  const arrays = parts.map((part) => (typeof part === "string" ? new TextEncoder().encode(part) : part))
  const bytes = new Uint8Array(arrays.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const array of arrays) {
    bytes.set(array, at)
    at += array.length
  }
  return bytes
}
