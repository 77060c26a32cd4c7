import { Cause, Effect, Option, Stream } from "effect"
import { ClientService, type Endpoint, RetryPolicy, type Transport } from "effect-client-service"
import { blockSize, blocks, checkFlood } from "./flood.js"
import { check, peerOf, say, tell, until, type World } from "./world.js"

/** What a kind of connections is to do. */
export interface Expected {
  /** The tags, or the reasons where there are such, of the loss of a connection that the peer breaks off. */
  readonly broken: ReadonlyArray<string>
  /** The same of an attempt where nobody listens. */
  readonly refused: ReadonlyArray<string>
  /** Whether the peer is pushed back, and pushes back. */
  readonly isPushedBack: boolean
}

/**
 * Connects to the peer, talks, reads slowly what comes before an end, is broken off, is flooded, floods, is killed, is
 * refused, connects again, and stops. Fails if any of it is not as it should be.
 */
export const exercise = <E, R>(
  world: World,
  endpoint: Endpoint.Endpoint<Transport.Transport, E, R>,
  expected: Expected
): Effect.Effect<void, unknown, R> =>
  Effect.scoped(
    Effect.gen(function* () {
      const service = yield* ClientService.make({
        endpoint,
        retryPolicy: RetryPolicy.fromFunction(() => "50 millis"),
        // So that a program ends on which a reconnect hangs.
        connectTimeout: "5 seconds"
      })
      const losses: Array<string> = []
      yield* service.state.changes.pipe(
        Stream.runForEach((state) =>
          Effect.sync(() => {
            if (state._tag === "Waiting") losses.push(kindOf(Cause.squash(state.cause)))
          })
        ),
        Effect.fork
      )
      const lost = (what: string, kinds: ReadonlyArray<string>) =>
        until(
          `${what} is ${kinds.join(" or ")}, not ${losses}`,
          Effect.sync(() => losses.some((kind) => kinds.includes(kind)))
        ).pipe(Effect.zipRight(Effect.suspend(() => say(`${what}: ${losses.splice(0).at(-1)}`))))
      const echo = (word: string) =>
        service
          .use((transport) => Effect.zipRight(transport.write(`ECHO ${word}\n`), readLine(transport)))
          .pipe(
            Effect.flatMap((answer) => check(answer === `${word}\n`, () => `${JSON.stringify(answer)} for ${word}`))
          )

      yield* service.start
      yield* echo("connected")
      yield* say("connected, and answered")

      let read = ""
      yield* service
        .use((transport) =>
          Effect.zipRight(
            transport.write("BYE 200\n"),
            Stream.runForEach(Stream.decodeText(transport.incoming), (text) =>
              Effect.zipRight(
                Effect.sync(() => (read += text)),
                Effect.sleep("1 millis")
              )
            )
          )
        )
        .pipe(Effect.ignore)
      const all = Array.from({ length: 200 }, (_, n) => `${n}\n`).join("")
      yield* check(read === all, () => `${read.split("\n").length - 1} of 200 lines before the end`)
      yield* lost("closed after 200 lines, which all came", ["ConnectionLost", "WebSocketClosed"])

      const error = yield* Effect.flip(
        service.use((transport) => Effect.zipRight(transport.write("RESET\n"), Effect.never))
      )
      yield* check(kindOf(error) === "ConnectionLost", () => `a call failed with ${kindOf(error)}`)
      yield* lost("broken off", expected.broken)

      if (expected.isPushedBack) {
        const flood = checkFlood()
        yield* service.use((transport) =>
          Effect.gen(function* () {
            yield* transport.write("FLOOD\n")
            const taken = yield* settled(Effect.map(peerOf(world), ({ taken }) => taken))
            yield* check(taken > 0 && taken < blocks, () => `${taken} of ${blocks} blocks were sent to nobody`)
            yield* transport.incoming.pipe(
              Stream.tap((bytes) => Effect.sync(() => flood.take(bytes))),
              Stream.takeUntil(() => flood.received() >= blocks * blockSize),
              Stream.runDrain
            )
            yield* check(flood.received() === blocks * blockSize, () => `${flood.received()} bytes of the flood`)
            yield* say(`pushed the peer back after ${taken} of ${blocks} blocks, and read them all`)
          })
        )
        let written = 0
        yield* service.use((transport) =>
          Effect.gen(function* () {
            yield* transport.write("DEAF\n")
            const bytes = new Uint8Array(blockSize)
            const write = Effect.zipRight(
              transport.write(bytes),
              Effect.sync(() => (written += 1))
            )
            yield* Effect.repeatN(write, blocks).pipe(Effect.timeout("700 millis"), Effect.ignore)
          })
        )
        yield* check(written < blocks, () => "a peer that does not read was sent all")
        yield* say(`was pushed back after ${written} of ${blocks} blocks`)
        yield* service.reconnect
      }

      yield* echo("again")
      losses.length = 0
      const call = service.use((transport) => Effect.zipRight(transport.write("NOTHING\n"), Effect.never))
      const [killed] = yield* Effect.zip(Effect.flip(call), Effect.delay(tell(world, "peer", "kill"), "50 millis"), {
        concurrent: true
      })
      yield* check(kindOf(killed) === "ConnectionLost", () => `a call failed with ${kindOf(killed)}`)
      yield* lost("killed, and then refused", expected.refused)
      yield* tell(world, "peer", "start")
      yield* echo("back")
      yield* say("connected again")

      yield* service.stop
      yield* until(
        "the peer has no connection",
        Effect.map(peerOf(world), ({ open }) => open === 0)
      )
      yield* say("stopped")
    })
  )

/** What a number is once it has stayed the same for half a second. */
const settled = (number: Effect.Effect<number>, before = -1): Effect.Effect<number> =>
  Effect.flatMap(Effect.delay(number, "500 millis"), (now) =>
    now === before ? Effect.succeed(now) : settled(number, now)
  )

const readLine = (transport: Transport.Transport) =>
  transport.incoming.pipe(
    Stream.decodeText(),
    Stream.mapAccum("", (line, text) => [line + text, line + text]),
    Stream.takeUntil((line) => line.endsWith("\n")),
    Stream.runLast,
    Effect.map(Option.getOrElse(() => ""))
  )

const kindOf = (error: unknown): string => {
  if (typeof error !== "object" || error === null) return String(error)
  if ("_tag" in error && error._tag !== "WebSocketClosed" && "reason" in error) return String(error.reason)
  return "_tag" in error ? String(error._tag) : String(error)
}
