/**
 * A netcat that reconnects: standard input to the connection, and the connection to standard output.
 */
import { NodeStream } from "@effect/platform-node"
import { Chunk, Duration, Effect, Fiber, Option, Schedule, type Scope, Stream } from "effect"
import { ClientService, type Endpoint, RetryPolicy, type Transport } from "effect-client-service"
import type { ConnectError } from "effect-client-service-node"
import type { Output } from "./output.js"
import type { Screen } from "./screen.js"
import { watch } from "./watch.js"
import { wholeLines } from "./wholeLines.js"

export interface NetcatOptions {
  readonly endpoint: Endpoint.Endpoint<Transport.Transport, ConnectError.ConnectError>
  /** The longest delay between two attempts. */
  readonly retryMax: Duration.Duration
  /** How many failures in a row end it all. */
  readonly failAfter: number
  readonly output: Output
  readonly screen: Screen
}

/**
 * Ends when the input has ended and the peer has closed the connection, or when nobody reads the output any more. To
 * interrupt it closes the connection first.
 */
export const netcat = ({
  endpoint,
  failAfter,
  output,
  retryMax,
  screen
}: NetcatOptions): Effect.Effect<void, ClientService.RetriesExhausted<ConnectError.ConnectError>, Scope.Scope> =>
  Effect.gen(function* () {
    const service = yield* ClientService.make({
      endpoint,
      retryPolicy: RetryPolicy.fullJitter({
        initialDelay: Duration.min(retryMax, "500 millis"),
        maxDelay: retryMax
      }).pipe(Schedule.whileInput(({ failures }: RetryPolicy.ConnectionFailure<unknown>) => failures < failAfter))
    })
    yield* screen.print(screen.colours.dim(`${service.name}, until Ctrl-C`))
    const { caughtUp } = yield* watch(service, screen)
    yield* Effect.addFinalizer(() => Effect.zipRight(service.stop, caughtUp))
    yield* service.start

    const receiving = yield* Effect.forkScoped(
      Stream.runForEach(service.connections, (transport) => receive(transport, output))
    )
    const sending = Stream.runForEach(wholeLines(input), (block) => send(service, block)).pipe(
      Effect.zipRight(end(service)),
      Effect.zipRight(service.stop),
      // What was received may not be written yet.
      Effect.zipRight(Fiber.join(receiving))
    )
    yield* Effect.raceFirst(sending, Fiber.join(receiving)).pipe(Effect.raceFirst(output.closed))
  }).pipe(Effect.catchTag("ServiceStopped", () => Effect.void))

export type Service = ClientService.ClientService<Transport.Transport, ConnectError.ConnectError>

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
const input: Stream.Stream<Uint8Array> = NodeStream.fromReadable<void, Uint8Array>(
  () => process.stdin,
  () => undefined
).pipe(Stream.orElse(() => Stream.empty))

const receive = (transport: Transport.Transport, output: Output) =>
  transport.incoming.pipe(
    Stream.runForEachChunk((chunk) => output.write(Buffer.concat(Chunk.toReadonlyArray(chunk)))),
    Effect.ignore
  )

// Says that nothing more comes, and waits until the peer is done as well.
const end = (service: Service) =>
  service
    .use((transport) => Effect.zipRight(Effect.ignore(transport.end), Effect.never))
    .pipe(Effect.catchTag("ConnectionLost", () => Effect.void))
