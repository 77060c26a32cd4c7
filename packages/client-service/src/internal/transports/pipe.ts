import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { TransportError } from "../../Transport.js"
import { type ByteSource, setSource } from "./byteSource.js"
import { ReceiveBuffer } from "./receiveBuffer.js"

/** Who waits for room, and what they are told. */
type Waiting = (error?: TransportError) => void

/** One direction of a transport in memory. A write waits while as much as its capacity is unread. */
export class Pipe implements ByteSource {
  readonly #capacity: number
  readonly #buffer: ReceiveBuffer<never>
  /** In the order in which they began. */
  readonly #waiting = new Set<Waiting>()
  #unread = 0
  #closed: TransportError | undefined

  constructor(capacity: number, clock: Clock.Clock) {
    this.#capacity = capacity
    this.#buffer = new ReceiveBuffer({ capacity: Number.POSITIVE_INFINITY, linger: 0, lost: () => {} }, clock, {
      isEstablished: true,
      received: undefined
    })
  }

  get stream(): Stream.Stream<Uint8Array, TransportError> {
    return setSource(
      Stream.map(this.#buffer.stream, (chunk) => this.#read(chunk)),
      this
    )
  }

  get isRead(): boolean {
    return this.#buffer.isRead
  }

  take(): Uint8Array | undefined {
    const chunk = this.#buffer.take()
    return chunk && this.#read(chunk)
  }

  get arrival(): ByteSource["arrival"] {
    return this.#buffer.arrival
  }

  get ended(): ByteSource["ended"] {
    return this.#buffer.ended
  }

  readonly follow = (): void => {}
  readonly touch = (): void => {}
  readonly readOut = (): void => {}
  readonly halt = Effect.void

  #read(chunk: Uint8Array): Uint8Array {
    this.#unread -= chunk.length
    this.#admit()
    return chunk
  }

  get lastReceived(): number | undefined {
    return this.#buffer.lastReceived
  }

  write(chunk: Uint8Array): Effect.Effect<void, TransportError> {
    return this.#inTurn(() => {
      this.#unread += chunk.length
      this.#buffer.offer(chunk)
    })
  }

  /** Ends the stream, after what was written. */
  get end(): Effect.Effect<void, TransportError> {
    return this.#inTurn(() => this.close(new TransportError({ reason: "Closed" }), true))
  }

  /** Refuses all that is yet to be written, and ends the stream once it is read: cleanly, or with the error. */
  close(error: TransportError, isClean = false): void {
    if (this.#closed !== undefined) return
    this.#closed = error
    this.#buffer.end(isClean ? undefined : error)
    this.#admit()
  }

  #inTurn(act: () => void): Effect.Effect<void, TransportError> {
    return Effect.async((resume) => {
      const waiting: Waiting = (error) => {
        if (error !== undefined) return resume(error)
        act()
        resume(Effect.void)
      }
      this.#waiting.add(waiting)
      this.#admit()
      return Effect.sync(() => {
        this.#waiting.delete(waiting)
      })
    })
  }

  #admit(): void {
    for (const waiting of this.#waiting) {
      if (this.#closed === undefined && this.#unread >= this.#capacity) return
      this.#waiting.delete(waiting)
      waiting(this.#closed)
    }
  }
}
