/**
 * What production connections need beyond reconnecting, on services in memory.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Stream } from "effect"
import { ClientService, ClientServiceMap, Endpoint, Wakeups } from "effect-client-service"

interface Feed {
  readonly ping: Effect.Effect<void>
  readonly trades: Stream.Stream<number>
}

const feedAt = (name: string) =>
  Endpoint.make({
    name,
    connect: (): Effect.Effect<Feed> => Effect.succeed({ ping: Effect.void, trades: Stream.make(1, 2, 3) })
  })

// #region readme
const makeFeed = (market: string) =>
  ClientService.make({
    name: market,
    // The next endpoint at each attempt, back to the first after a success. `happyEyeballs` races them instead.
    endpoint: Endpoint.failover([feedAt(`${market} primary`), feedAt(`${market} secondary`)]),
    // A peer that has gone silent is noticed within 40 seconds, whatever the system believes.
    heartbeat: { probe: (feed) => feed.ping, interval: "30 seconds", timeout: "10 seconds" },
    // The next connection is made before this one is closed, so nobody who uses it notices.
    maxAge: "1 hour"
  })

const program = Effect.gen(function* () {
  // One connection a market, shared by all who ask for it, closed a minute after the last has gone.
  const feeds = yield* ClientServiceMap.make({ lookup: makeFeed, idleTimeToLive: "1 minute" })
  const feed = yield* feeds.get("LSE")

  // Goes on across connections, and says so where trades were missed.
  const trades = ClientService.stream(feed, (feed) => feed.trades, { gap: () => "missed some" as const })
  yield* Stream.runForEach(Stream.take(trades, 3), (trade) => Console.log(trade))

  // The credentials were rotated, a signal came: connect anew, now.
  yield* ClientService.reconnectOn(feed, Stream.make("SIGHUP"))

  // The network is back, the page is shown again, the laptop has slept: is it still there? What answers is left alone.
  yield* Effect.fork(ClientService.checkOn(feed, Wakeups.any, { timeout: "2 seconds" }))
})
// #endregion

NodeRuntime.runMain(Effect.scoped(program))
