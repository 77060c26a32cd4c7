/**
 * Bytes in blocks that end where a line does, so that a connection that breaks in between breaks no line.
 */
import type * as Chunk from "effect/Chunk"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

/** A line longer than this goes in parts, since what is kept of an input must have a bound. */
export const longest = 64 * 1024

export const wholeLines = <E>(bytes: Stream.Stream<Uint8Array, E>): Stream.Stream<Uint8Array, E> =>
  bytes.pipe(
    Stream.chunks,
    Stream.map((chunk: Chunk.Chunk<Uint8Array>) => Option.some(Buffer.concat([...chunk]))),
    Stream.concat(Stream.succeed(Option.none<Buffer>())),
    Stream.mapAccum(Buffer.alloc(0), (rest: Buffer, next): readonly [Buffer, Buffer] => {
      if (Option.isNone(next)) return [Buffer.alloc(0), rest]
      const all = Buffer.concat([rest, next.value])
      const end = all.length > longest ? all.length : all.lastIndexOf("\n") + 1
      return [all.subarray(end), all.subarray(0, end)]
    }),
    Stream.filter((block) => block.length > 0)
  )
