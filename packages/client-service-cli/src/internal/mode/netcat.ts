/**
 * Standard input to the connection, and the connection to standard output.
 */
import type { Readable } from "node:stream"
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ClientService } from "effect-client-service/ClientService"
import type { RetriesExhausted, ServiceStopped } from "effect-client-service/ConnectionError"
import * as Race from "effect-client-service/Race"
import type { Transport } from "effect-client-service/Transport"
import type { Output } from "../terminal/output.js"
import type { LinkError } from "../upstream.js"
import { wholeLines } from "../wholeLines.js"

export type Service = ClientService<Transport, LinkError>

/**
 * Ends when the input has ended and the peer has closed the connection. Without an input it goes on until it is interrupted.
 */
export const netcat = (
  service: Service,
  { input, output }: { readonly input: (() => Readable) | undefined; readonly output: Output }
): Effect.Effect<void, ServiceStopped | RetriesExhausted<LinkError>, Scope.Scope> =>
  Effect.gen(function* () {
    const receiving = yield* Effect.forkScoped(
      Stream.runForEach(service.connections, (transport) => receive(transport, output))
    )
    if (input === undefined) return yield* Fiber.join(receiving)
    const sending = Stream.runForEach(wholeLines(bytesOf(input)), (block) => send(service, block)).pipe(
      Effect.zipRight(end(service)),
      Effect.zipRight(service.stop),
      // What was received may not be written yet.
      Effect.zipRight(Fiber.join(receiving))
    )
    yield* Race.firstOf(sending, Fiber.join(receiving))
  })

/**
 * Sends a block, and sends it again on the next connection if it was under way when one was lost. A write that fails
 * waits for the loss, which follows it and which alone leads to another connection.
 */
export const send = (service: Service, block: Uint8Array) =>
  service
    .use((transport) => Effect.catchAll(transport.write(block), () => Effect.never))
    .pipe(
      Effect.asSome,
      Effect.catchTag("ConnectionLost", () => Effect.succeedNone),
      Effect.repeat({ until: Option.isSome })
    )

// An input that breaks is one that ends. It is read when there is a connection to send it to, and not before.
const bytesOf = (input: () => Readable): Stream.Stream<Uint8Array> =>
  NodeStream.fromReadable<void, Uint8Array>(input, () => undefined).pipe(Stream.orElse(() => Stream.empty))

const receive = (transport: Transport, output: Output) =>
  transport.incoming.pipe(
    Stream.runForEachChunk((chunk) => output.write(Buffer.concat(Chunk.toReadonlyArray(chunk)))),
    Effect.ignore
  )

// Says that nothing more comes, and waits until the peer is done as well.
const end = (service: Service) =>
  service
    .use((transport) => Effect.zipRight(Effect.ignore(transport.end), Effect.never))
    .pipe(Effect.catchTag("ConnectionLost", () => Effect.void))
