/**
 * What a connection has received and nobody has read yet, for endpoints of your own that give a `Transport`; and who reads it,
 * and is answered by it, for protocols of your own.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Stream from "effect/Stream"
import { AttemptStatus } from "./internal/connection/attemptStatus.js"
import { Answers as Recent } from "./internal/framing/answers.js"
import * as ByteSource from "./internal/transports/byteSource.js"
import { ReceiveBuffer } from "./internal/transports/receiveBuffer.js"
import type { TransportError } from "./Transport.js"

/**
 * The receiving side of one connection. What has arrived before its end is the reader's: it gets that, in order, and then
 * the end; and the connection is lost when the reader has come to the end, or does not come back within `linger`. Where
 * nobody reads, nor is `protocol` or `prepare` still to begin with that, it is lost at the end.
 *
 * @since 0.1.0
 * @category models
 */
export interface Incoming<in E = never> {
  /**
   * The `incoming` of the `Transport`. It has one consumer at a time, and fails for another with a `TransportError` of
   * reason `Busy`; a later one goes on where an earlier one stopped.
   */
  readonly stream: Stream.Stream<Uint8Array, TransportError>
  /** The `lastReceived` of the `Transport`. */
  readonly lastReceived: number | undefined
  /**
   * From now on what has arrived comes from something that can be held back, which is done when there is as much as
   * `capacity`, until a reader waits.
   */
  readonly from: (source: Source) => void
  /**
   * Takes what has arrived. If that is more than there is room for, the stream ends with an `Overflow`, after what came before,
   * and the connection is lost by that.
   */
  readonly offer: (chunk: Uint8Array) => void
  /**
   * Nothing more arrives. The reader comes to the error, or to a clean end; and the service is told of the loss, with that
   * of its own, or with the `detail` of how it ended: of a clean end, that the peer ended it, unless there is more to tell.
   * The first end counts.
   */
  readonly end: (error?: TransportError, loss?: E, detail?: string) => void
  /**
   * What the reader comes to, if that is an error: one of the end, an `Overflow`, or the service has given the connection up,
   * since its heartbeat got no answer. Nothing is to be written then.
   */
  readonly failure: TransportError | undefined
  /** The service closes the connection: the stream ends with `Closed`, and nothing is told any more. */
  readonly close: () => void
}

/**
 * What can be held back, as a socket of Node.js can.
 *
 * @since 0.1.0
 * @category models
 */
export interface Source {
  readonly pause: () => unknown
  readonly resume: () => unknown
}

/**
 * @since 0.1.0
 * @category options
 */
export interface Options<in E> {
  /** Tells the service of the loss: that of the `ConnectionSignal`. */
  readonly lost: (error?: E | TransportError, detail?: string) => void
  /** How many milliseconds a reader has to come back. */
  readonly linger: number
  /**
   * How many bytes are kept. A chunk that waits behind another counts for 512 more. What is beyond ends the stream, unless
   * somebody waits for it, or it comes of a `Source`.
   */
  readonly capacity: number
}

/**
 * Makes the receiving side of a connection.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Endpoint, Incoming, type Transport } from "effect-client-service"
 *
 * interface Pipe {
 *   readonly onData: (listener: (chunk: Uint8Array) => void) => void
 *   readonly onEnd: (listener: () => void) => void
 *   readonly send: (chunk: Uint8Array | string) => Effect.Effect<void, Transport.TransportError>
 *   readonly close: Effect.Effect<void>
 * }
 * declare const openPipe: Effect.Effect<Pipe, Error>
 *
 * const pipe = Endpoint.make({
 *   name: "pipe",
 *   connect: (signal: Endpoint.ConnectionSignal<Transport.TransportError>) =>
 *     Effect.gen(function* () {
 *       const opened = yield* Effect.acquireRelease(openPipe, ({ close }) => close)
 *       const incoming = yield* Incoming.make({ lost: signal.lost, linger: 1000, capacity: 1024 * 1024 })
 *       opened.onData((chunk) => incoming.offer(chunk))
 *       opened.onEnd(() => incoming.end())
 *       yield* Effect.addFinalizer(() => Effect.sync(() => incoming.close()))
 *       const transport: Transport.Transport = {
 *         incoming: incoming.stream,
 *         get lastReceived() {
 *           return incoming.lastReceived
 *         },
 *         write: (chunk) => Effect.suspend(() => incoming.failure ?? opened.send(chunk)),
 *         end: opened.close,
 *         remote: "pipe"
 *       }
 *       return transport
 *     })
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E = never>(options: Options<E>): Effect.Effect<Incoming<E>> =>
  Effect.zipWith(Effect.clock, AttemptStatus, (clock, attempt) => new ReceiveBuffer(options, clock, attempt))

/**
 * Calls a function with each chunk that a transport receives, in order, until the end: as it arrives, if nothing is left to be
 * done, which is in no fiber. The function may give an Effect, which is done before the next chunk is taken.
 *
 * It is a consumer as that of `Stream.runForEach`, and takes less where `incoming` is that of an `Incoming`, as of the endpoints
 * of these packages. A chunk whose function has been called is taken: one who is interrupted before the Effect that this gave
 * has begun does not do it any more, nor does the next reader.
 *
 * @example
 * ```ts
 * import { Incoming, type Transport } from "effect-client-service"
 *
 * const count = (transport: Transport.Transport, onBytes: (bytes: number) => void) =>
 *   Incoming.receive(transport.incoming, (chunk) => {
 *     onBytes(chunk.length)
 *     return undefined
 *   })
 * ```
 *
 * @since 0.1.0
 * @category consuming
 */
export const receive: <E = never, R = never>(
  incoming: Stream.Stream<Uint8Array, TransportError>,
  onChunk: (chunk: Uint8Array) => Effect.Effect<void, E, R> | undefined,
  options?: ReceiveOptions
) => Effect.Effect<void, E | TransportError, R> = (incoming, onChunk, options) =>
  ByteSource.receive(incoming, onChunk, options?.atEnd ?? Effect.void)

/**
 * @since 0.1.0
 * @category options
 */
export interface ReceiveOptions {
  /**
   * What is done at the end, or when the function has failed, before the reader has come to it, as the service is told of the
   * loss then: such as `acted` of `Answers`. An endpoint waits for that no longer than for a reader that does not come back.
   * Default: nothing.
   */
  readonly atEnd?: Effect.Effect<void> | undefined
}

/**
 * Who asks a peer on one connection, and who was answered, for protocols of your own that have requests and answers. It is what
 * an `Exchange` has: when the peer ends the connection, whoever was answered of late has the time to act on that.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answers {
  /** A fiber asks, and waits for its answer. */
  readonly asks: (fiber: Fiber.RuntimeFiber<unknown, unknown>) => void
  /** A fiber has its answer. */
  readonly answered: (fiber: Fiber.RuntimeFiber<unknown, unknown>) => void
  /**
   * Waits until those who were answered within the last second, in an attempt or in a `use`, have ended or ask again, or until a
   * second after the last answer. Who has asked nothing of late is not waited for.
   */
  readonly acted: Effect.Effect<void>
}

/**
 * Makes the `Answers` of a connection, in its `protocol`. The function gives the fibers that wait for an answer.
 *
 * @example
 * ```ts
 * import { Deferred, Effect, type Fiber } from "effect"
 * import { Incoming, type Transport } from "effect-client-service"
 *
 * interface Call {
 *   readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
 *   readonly answer: Deferred.Deferred<Uint8Array>
 * }
 *
 * // The `protocol` of a service, whose peer answers in order.
 * const make = (transport: Transport.Transport) =>
 *   Effect.gen(function* () {
 *     const calls: Array<Call> = []
 *     const { acted, answered, asks } = yield* Incoming.answers(() => calls.map(({ fiber }) => fiber))
 *     const received = (chunk: Uint8Array) => {
 *       const call = calls.shift()
 *       if (call === undefined) return undefined
 *       answered(call.fiber)
 *       return Deferred.succeed(call.answer, chunk)
 *     }
 *     yield* Effect.forkScoped(Effect.ignore(Incoming.receive(transport.incoming, received, { atEnd: acted })))
 *     const ask = (request: string) =>
 *       Effect.withFiberRuntime<Uint8Array, Transport.TransportError>((fiber) => {
 *         const answer = Deferred.unsafeMake<Uint8Array>(fiber.id())
 *         calls.push({ answer, fiber })
 *         asks(fiber)
 *         return Effect.zipRight(transport.write(request), Deferred.await(answer))
 *       })
 *     return { ask }
 *   })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const answers = (asking: () => Iterable<Fiber.RuntimeFiber<unknown, unknown>>): Effect.Effect<Answers> =>
  Effect.zipWith(Effect.clock, AttemptStatus, (clock, attempt) => new Recent(attempt, clock, asking))
