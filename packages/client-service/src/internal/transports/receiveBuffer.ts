import * as Channel from "effect/Channel"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { TransportError } from "../../Transport.js"

/** What a chunk takes besides its bytes: a million empty messages are no less than many bytes. */
const overhead = 512

type Incoming = Channel.Channel<Chunk.Chunk<Uint8Array>, unknown, TransportError, unknown, void>

/**
 * Bytes that arrived and wait to be read, up to a limit, for sources that can't be pushed back.
 *
 * There is one for each connection, most of the time empty: it holds no more than it needs to.
 */
export class ReceiveBuffer {
  readonly #capacity: number
  /** What has arrived since the reader came to its end of what had, in order. */
  #arrived: Array<Uint8Array> | undefined
  /** What the reader takes from, the first at the end. */
  #taken: Array<Uint8Array> | undefined
  #bytes = 0
  #end: { readonly error: TransportError | undefined } | undefined
  #wake: (() => void) | undefined

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** Adds a chunk, or ends the stream with an `Overflow` and returns that. */
  offer(chunk: Uint8Array): TransportError | undefined {
    if (this.#end !== undefined) return undefined
    if (this.#bytes + this.#length * overhead + chunk.length > this.#capacity) {
      this.#arrived = undefined
      this.#taken = undefined
      const overflow = new TransportError({ reason: "Overflow", limit: this.#capacity })
      this.end(overflow)
      return overflow
    }
    this.#arrived ??= []
    this.#arrived.push(chunk)
    this.#bytes += chunk.length
    this.#wake?.()
    return undefined
  }

  /** Ends the stream, once what is buffered has been read. The first end counts. */
  end(error?: TransportError): void {
    this.#end ??= { error }
    this.#wake?.()
  }

  get stream(): Stream.Stream<Uint8Array, TransportError> {
    const arrival = Effect.async<void>((resume) => {
      if (this.#length > 0 || this.#end !== undefined) return resume(Effect.void)
      this.#wake = () => {
        this.#wake = undefined
        resume(Effect.void)
      }
      return Effect.sync(() => {
        this.#wake = undefined
      })
    })
    const read = (): Incoming => {
      const chunk = this.#take()
      // One at a time, since a consumer that stops within several would lose the rest.
      if (chunk !== undefined) return Channel.flatMap(Channel.write(Chunk.of(chunk)), read)
      if (this.#end === undefined) return Channel.flatMap(Channel.fromEffect(arrival), read)
      return this.#end.error === undefined ? Channel.void : Channel.fail(this.#end.error)
    }
    return Stream.fromChannel(Channel.suspend(read))
  }

  #take(): Uint8Array | undefined {
    if (this.#taken === undefined || this.#taken.length === 0) {
      // What comes first is at the end, where it is taken from an array without moving the others.
      this.#taken = this.#arrived?.reverse()
      this.#arrived = undefined
    }
    const chunk = this.#taken?.pop()
    if (chunk !== undefined) this.#bytes -= chunk.length
    return chunk
  }

  get #length(): number {
    return (this.#arrived?.length ?? 0) + (this.#taken?.length ?? 0)
  }
}
