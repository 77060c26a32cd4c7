import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { TransportError } from "../../Transport.js"
import { type Fork, makeFork } from "../fork.js"
import { wait } from "../time/wait.js"

type Bytes = Stream.Stream<Uint8Array, TransportError>

/**
 * Where the bytes of a connection come from, for a reader that takes them by steps of its own: unlike one of a stream, it
 * loses none of them wherever it is interrupted.
 */
export interface ByteSource {
  /** Whether somebody reads the stream. */
  readonly isRead: boolean
  /** Takes the next chunk that has arrived. */
  readonly take: () => Uint8Array | undefined
  /** Waits until there is a chunk, or the end. Fails with `Busy` if another waits. */
  readonly arrival: Effect.Effect<void, TransportError>
  /** Does the same, but calls a function at each arrival, which takes what has come, until that tells that it is enough. */
  readonly arrivals?: (isEnough: () => boolean) => Effect.Effect<void, TransportError>
  /** The end, once all is taken. */
  readonly ended: { readonly error: TransportError | undefined } | undefined
  /** Whether somebody reads all from now on, by steps of its own: who is at something else will come back. */
  readonly follow: (isFollowed: boolean) => void
  /** The reader still works on what it has taken. */
  readonly touch: () => void
  /** The reader has come to the end. */
  readonly readOut: () => void
  /** Ends what reads on behalf of readers, which may come again. */
  readonly halt: Effect.Effect<void>
  /** Reads all that comes, as a consumer of the stream, and comes to the end when something is done. */
  readonly receive?: <E, R>(
    onChunk: OnChunk<E, R>,
    atEnd: Effect.Effect<void>
  ) => Effect.Effect<void, E | TransportError, R>
}

/** Is given each chunk, and may have something to be done before the next. */
export type OnChunk<E, R> = (chunk: Uint8Array) => Effect.Effect<void, E, R> | undefined

/** The sources behind the streams that have one. */
const sources = /* @__PURE__ */ new WeakMap<Bytes, ByteSource>()

export const setSource = (stream: Bytes, source: ByteSource): Bytes => {
  sources.set(stream, source)
  return stream
}

export const sourceOf = (stream: Bytes): ByteSource => sources.get(stream) ?? new StreamSource(stream)

/** Reads a stream, without its machinery if it has a source. */
export const receive = <E, R>(
  stream: Bytes,
  onChunk: OnChunk<E, R>,
  atEnd: Effect.Effect<void>
): Effect.Effect<void, E | TransportError, R> => {
  const source = sources.get(stream)
  if (source?.receive !== undefined) return source.receive(onChunk, atEnd)
  const all = Stream.runForEach(stream, (chunk) => onChunk(chunk) ?? Effect.void)
  return Effect.tapErrorCause(Effect.zipLeft(all, atEnd), () => atEnd)
}

/**
 * The bytes of a stream. It is pulled by a fiber of its own, since one that is interrupted may lose what it has pulled; and by
 * one alone, since a stream that is no transport's may begin anew.
 */
class StreamSource implements ByteSource {
  readonly isRead = false
  readonly #stream: Bytes
  /** The first at the end. */
  #chunks: Array<Uint8Array> = []
  #end: ByteSource["ended"]
  #fiber: Fiber.RuntimeFiber<void> | undefined
  /** Has the next chunk pulled. */
  #pull: (() => void) | undefined
  #wake: ((effect: Effect.Effect<void, TransportError>) => void) | undefined

  constructor(stream: Bytes) {
    this.#stream = stream
  }

  readonly take = (): Uint8Array | undefined => this.#chunks.pop()

  get ended(): ByteSource["ended"] {
    return this.#chunks.length === 0 ? this.#end : undefined
  }

  get arrival(): Effect.Effect<void, TransportError> {
    return Effect.flatMap(makeFork<never>(), (fork) =>
      wait<void, TransportError, never>((resume) => {
        const isThere = this.#chunks.length > 0 || this.#end !== undefined
        if (isThere || this.#wake !== undefined) {
          resume(isThere ? Effect.void : new TransportError({ reason: "Busy" }))
          return undefined
        }
        this.#wake = resume
        if (this.#fiber === undefined) this.#begin(fork)
        else this.#pull?.()
        return {
          cancel: Effect.sync(() => {
            if (this.#wake === resume) this.#wake = undefined
          })
        }
      })
    )
  }

  readonly follow = (): void => {}
  readonly touch = (): void => {}
  readonly readOut = (): void => {}

  readonly halt: Effect.Effect<void> = Effect.suspend(() => {
    const fiber = this.#fiber
    if (fiber === undefined) return Effect.void
    return Effect.map(Fiber.interrupt(fiber), () => this.#pulled(new TransportError({ reason: "Closed" })))
  })

  #begin(fork: Fork<never>): void {
    const fiber = fork.now(this.#run)
    this.#fiber = fiber
    fiber.addObserver(() => {
      if (this.#fiber === fiber) this.#fiber = undefined
      this.#pull = undefined
    })
  }

  get #run(): Effect.Effect<void> {
    return Stream.runForEachChunk(this.#stream, (chunk) =>
      Effect.suspend(() => {
        this.#chunks = Chunk.toArray(chunk).reverse()
        this.#pulled(Effect.void)
        return this.#demand
      })
    ).pipe(
      Effect.matchCause({
        onSuccess: () => this.#ended(undefined),
        onFailure: (cause) => {
          const error = errorOf(cause)
          // Who reads the stream meanwhile may leave it.
          if (error.reason === "Busy") this.#pulled(error)
          else this.#ended(error)
        }
      })
    )
  }

  readonly #demand: Effect.Effect<void> = Effect.async((resume) => {
    // Whoever was woken may have taken all, and wait again.
    if (this.#wake !== undefined) return resume(Effect.void)
    this.#pull = () => {
      this.#pull = undefined
      resume(Effect.void)
    }
  })

  #ended(error: TransportError | undefined): void {
    this.#end = { error }
    this.#pulled(Effect.void)
  }

  #pulled(effect: Effect.Effect<void, TransportError>): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.(effect)
  }
}

const errorOf = (cause: Cause.Cause<TransportError>): TransportError => {
  if (Cause.isInterruptedOnly(cause)) return new TransportError({ reason: "Closed" })
  const error = Cause.squash(cause)
  return error instanceof TransportError ? error : new TransportError({ reason: "Read", cause: error })
}
