import { describe, expect, it } from "@effect/vitest"
import { Chunk, Effect, Fiber, Queue, Stream, TestClock } from "effect"
import { ClientService, TestEndpoint, Transport } from "effect-client-service"
import { send } from "../src/internal/mode/netcat.js"
import type { LinkError } from "../src/internal/upstream.js"

describe("send", () => {
  it.scoped("sends again on the next connection what was under way when one was lost, and then no more", () =>
    Effect.gen(function* () {
      const sent = yield* Queue.unbounded<string>()
      const server = yield* TestEndpoint.make<Transport.Transport, LinkError>()
      const service = yield* ClientService.make({ endpoint: server.endpoint })
      yield* service.start

      const stuck = yield* server.accept(transport("stuck", sent, Effect.never))
      const sending = yield* Effect.fork(send(service, Buffer.from("a line\n")))
      expect(yield* Queue.take(sent)).toBe("stuck: a line\n")
      yield* stuck.drop()
      yield* TestClock.adjust("1 second")
      const broken = yield* server.accept(transport("broken", sent, new Transport.TransportError({ reason: "Closed" })))
      expect(yield* Queue.take(sent)).toBe("broken: a line\n")
      yield* broken.drop()
      yield* TestClock.adjust("2 seconds")
      yield* server.accept(transport("whole", sent, Effect.void))
      yield* Fiber.join(sending)
      expect(Chunk.toReadonlyArray(yield* Queue.takeAll(sent))).toEqual(["whole: a line\n"])
    })
  )
})

const transport = (
  name: string,
  sent: Queue.Queue<string>,
  result: Effect.Effect<void, Transport.TransportError>
): Transport.Transport => ({
  remote: name,
  incoming: Stream.never,
  end: Effect.void,
  write: (chunk) => Effect.zipRight(Queue.offer(sent, `${name}: ${Buffer.from(chunk).toString()}`), result)
})
