import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { TransportError } from "../Transport.js"

/**
 * Bytes that arrived and wait to be read, up to a limit, for sources that can't be pushed back.
 */
export interface ReceiveBuffer {
  /** Adds a chunk and returns true, or ends the stream with an `Overflow` and returns false. */
  readonly offer: (chunk: Uint8Array) => boolean
  /** Ends the stream, once what is buffered has been read. The first end counts. */
  readonly end: (error?: TransportError) => void
  readonly stream: Stream.Stream<Uint8Array, TransportError>
}

export const make = (capacity: number): ReceiveBuffer => {
  let chunks: Array<Uint8Array> = []
  let bytes = 0
  let ending: Effect.Effect<never, Option.Option<TransportError>> | undefined
  let wake = () => {}

  const end = (error?: TransportError) => {
    ending ??= Effect.fail(Option.fromNullable(error))
    wake()
  }

  const pull: Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<TransportError>> = Effect.suspend(() => {
    if (chunks.length > 0) {
      const read = chunks
      chunks = []
      bytes = 0
      return Effect.succeed(Chunk.unsafeFromArray(read))
    }
    if (ending !== undefined) return ending
    return Effect.async<void>((resume) => {
      wake = () => resume(Effect.void)
    }).pipe(Effect.zipRight(pull))
  })

  return {
    offer: (chunk) => {
      if (ending !== undefined) return true
      if (bytes + chunk.length > capacity) {
        chunks = []
        end(new TransportError({ reason: "Overflow" }))
        return false
      }
      chunks.push(chunk)
      bytes += chunk.length
      wake()
      return true
    },
    end,
    stream: Stream.repeatEffectChunkOption(pull)
  }
}
