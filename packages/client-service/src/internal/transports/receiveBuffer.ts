import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as MutableQueue from "effect/MutableQueue"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { TransportError } from "../../Transport.js"

/**
 * Bytes that arrived and wait to be read, up to a limit, for sources that can't be pushed back.
 */
export interface ReceiveBuffer {
  /** Adds a chunk, or ends the stream with an `Overflow` and returns that. */
  readonly offer: (chunk: Uint8Array) => TransportError | undefined
  /** Ends the stream, once what is buffered has been read. The first end counts. */
  readonly end: (error?: TransportError) => void
  readonly stream: Stream.Stream<Uint8Array, TransportError>
}

/** What a chunk takes besides its bytes: a million empty messages are no less than many bytes. */
const overhead = 512

export const make = (capacity: number): ReceiveBuffer => {
  const chunks = MutableQueue.unbounded<Uint8Array>()
  let bytes = 0
  let ending: Effect.Effect<never, Option.Option<TransportError>> | undefined
  let wake = () => {}

  const end = (error?: TransportError) => {
    ending ??= Effect.fail(Option.fromNullable(error))
    wake()
  }

  const pull: Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<TransportError>> = Effect.suspend(() => {
    const chunk = MutableQueue.poll(chunks, undefined)
    if (chunk !== undefined) {
      bytes -= chunk.length
      return Effect.succeed(Chunk.of(chunk))
    }
    if (ending !== undefined) return ending
    return Effect.async<void>((resume) => {
      wake = () => resume(Effect.void)
    }).pipe(Effect.zipRight(pull))
  })

  return {
    offer: (chunk) => {
      if (ending !== undefined) return
      if (bytes + MutableQueue.length(chunks) * overhead + chunk.length > capacity) {
        MutableQueue.pollUpTo(chunks, MutableQueue.length(chunks))
        const overflow = new TransportError({ reason: "Overflow", limit: capacity })
        end(overflow)
        return overflow
      }
      MutableQueue.offer(chunks, chunk)
      bytes += chunk.length
      wake()
      return undefined
    },
    end,
    stream: Stream.repeatEffectChunkOption(pull)
  }
}
