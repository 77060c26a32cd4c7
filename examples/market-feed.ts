/**
 * A feed of a market over a WebSocket, by the `ws` client, that goes on after the last trade it has got.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Data, Effect, Ref, Schema, Stream } from "effect"
import { ClientService, Endpoint } from "effect-client-service"
import { type RawData, WebSocket } from "ws"
import { port } from "./support/marketServer.js"

class MarketError extends Data.TaggedError("MarketError")<{ readonly cause: unknown }> {}

const Trade = Schema.parseJson(Schema.Struct({ number: Schema.Number, symbol: Schema.String }))

class Market extends ClientService.Tag("app/Market")<Market, WebSocket, MarketError>() {}

const MarketLive = Market.layer({
  endpoint: Endpoint.make({
    name: "market",
    connect: (signal: Endpoint.ConnectionSignal<MarketError>) =>
      Effect.gen(function* () {
        const socket = yield* Effect.acquireRelease(
          Effect.sync(() =>
            new WebSocket(`ws://127.0.0.1:${port}`)
              // Before it is open, a loss is what fails the attempt.
              .on("error", (cause) => signal.lost(new MarketError({ cause })))
              .on("close", (code) => signal.lost(new MarketError({ cause: new Error(`closed with ${code}`) })))
          ),
          (socket) => Effect.sync(() => socket.terminate())
        )
        yield* Effect.async<void>((resume) => void socket.once("open", () => resume(Effect.void)))
        return socket
      })
  }),
  // A market that has gone silent is noticed within 2 seconds.
  heartbeat: {
    probe: (socket) =>
      Effect.async<void>((resume) => {
        socket.once("pong", () => resume(Effect.void))
        socket.ping()
      }),
    interval: "1 second",
    timeout: "1 second"
  }
})

const trades = (socket: WebSocket, symbols: ReadonlyArray<string>, after: number) =>
  Stream.asyncPush<string>((emit) =>
    Effect.gen(function* () {
      const onMessage = (message: RawData) => void emit.single(String(message))
      yield* Effect.acquireRelease(
        Effect.sync(() => socket.on("message", onMessage)),
        () => Effect.sync(() => socket.off("message", onMessage))
      )
      socket.send(JSON.stringify({ subscribe: symbols, after }))
    })
  ).pipe(Stream.mapEffect(Schema.decode(Trade)))

const program = Effect.gen(function* () {
  const last = yield* Ref.make(0)
  // Subscribes on every connection, to what came after the last trade of the one before.
  const subscribe = (socket: WebSocket) =>
    Stream.unwrap(Effect.map(Ref.get(last), (after) => trades(socket, ["EURUSD", "GBPUSD"], after))).pipe(
      Stream.tap(({ number }) => Ref.set(last, number))
    )
  const feed = ClientService.stream(yield* Market, subscribe, { gap: () => "connected again" as const })
  yield* Stream.takeUntil(feed, (trade) => trade !== "connected again" && trade.number === 7).pipe(
    Stream.runForEach((trade) => Console.log(typeof trade === "string" ? trade : `${trade.number} ${trade.symbol}`))
  )
})

NodeRuntime.runMain(Effect.provide(program, MarketLive))
