/**
 * A transport in memory whose other end is the test's, for tests of a `protocol` and of `prepare`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Validate from "./internal/options.js"
import { Pipe } from "./internal/transports/pipe.js"
import { type Transport, TransportError } from "./Transport.js"

/**
 * Two transports that are connected to each other: what one writes is what the other has incoming.
 *
 * @since 0.1.0
 * @category models
 */
export interface TestTransport {
  /** What the protocol under test is given. */
  readonly transport: Transport
  /** The end of the test. */
  readonly peer: TestPeer
}

/**
 * The test's end of a transport. It is a transport as well, so a server of your own can speak over it.
 *
 * @since 0.1.0
 * @category models
 */
export interface TestPeer extends Transport {
  /**
   * Takes the next chunk that was written, whole, and waits for one; none, once the other end has ended. It takes from what
   * is `incoming`.
   */
  readonly read: Effect.Effect<Option.Option<Uint8Array>, TransportError>
  /** Like `read`, as text. */
  readonly readText: Effect.Effect<Option.Option<string>, TransportError>
  /**
   * Breaks the connection off. What was written before can still be read; then reading fails, and so does writing at
   * once, at both ends, with a `TransportError` of reason `Closed`. It does not lose the connection of a service, for which
   * there is `TestConnection.drop`.
   */
  readonly close: Effect.Effect<void>
}

/**
 * @since 0.1.0
 * @category options
 */
export interface TestTransportOptions {
  /** How many bytes may wait to be read, in either direction, before a write waits. Default 64 KiB. */
  readonly capacity?: number | undefined
}

/**
 * Makes a transport for a test. Chunks stay as they were written, and text comes as UTF-8.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { ClientService, TestEndpoint, TestTransport, type Transport } from "effect-client-service"
 *
 * const test = Effect.gen(function* () {
 *   const server = yield* TestEndpoint.make<Transport.Transport>()
 *   const { peer, transport } = yield* TestTransport.make()
 *   const service = yield* ClientService.make({
 *     endpoint: server.endpoint,
 *     prepare: ({ incoming, write }) => Effect.zipRight(write("AUTH sesame"), Stream.runHead(incoming))
 *   })
 *   yield* service.start
 *   yield* server.accept(transport)
 *   const greeting = yield* peer.readText
 *   yield* peer.write("OK")
 *   yield* service.whenConnected()
 *   return greeting
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 * @throws InvalidOption if `capacity` is not a positive integer
 */
export const make = (options?: TestTransportOptions): Effect.Effect<TestTransport> => {
  const capacity = Validate.integer("TestTransport.make", "capacity", options?.capacity ?? 64 * 1024, 1)
  return Effect.map(Effect.clock, (clock) => {
    const toPeer = new Pipe(capacity, clock)
    const toTransport = new Pipe(capacity, clock)
    const read = Stream.runHead(toPeer.stream)
    return {
      transport: endOf(toTransport, toPeer, "peer"),
      peer: {
        ...endOf(toPeer, toTransport, "transport"),
        get lastReceived() {
          return toPeer.lastReceived
        },
        read,
        readText: Effect.map(
          read,
          Option.map((chunk) => new TextDecoder().decode(chunk))
        ),
        close: Effect.sync(() => {
          for (const pipe of [toPeer, toTransport]) pipe.close(new TransportError({ reason: "Closed" }))
        })
      }
    }
  })
}

const endOf = (incoming: Pipe, outgoing: Pipe, remote: string): Transport => ({
  incoming: incoming.stream,
  get lastReceived() {
    return incoming.lastReceived
  },
  write: (chunk) => outgoing.write(typeof chunk === "string" ? new TextEncoder().encode(chunk) : new Uint8Array(chunk)),
  end: outgoing.end,
  remote
})
