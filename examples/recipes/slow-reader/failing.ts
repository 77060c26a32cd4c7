import type { Socket } from "@effect/platform"
import { Effect, Queue, Schedule, Stream } from "effect"

export const failing = (socket: Socket.Socket, handle: (line: string) => Effect.Effect<void>) =>
  Effect.gen(function* () {
    const chunks = yield* Queue.unbounded<Uint8Array>()
    const reading = socket.run((chunk) => {
      chunks.unsafeOffer(chunk)
    })
    const handling = Stream.fromQueue(chunks).pipe(Stream.decodeText(), Stream.splitLines, Stream.runForEach(handle))
    // When the connection ends, so does this, with what is still in the queue.
    yield* Effect.race(reading, handling)
  }).pipe(Effect.repeat(Schedule.spaced("1 second")))
