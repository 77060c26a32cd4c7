/**
 * What the pages "Coming from" say of the clients of Redis.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Either, Fiber, Logger, LogLevel, Schedule, type Scope } from "effect"
import { FaultProxy } from "effect-client-service-node"
import { Redis, RedisEndpoint } from "effect-client-service-redis"
import * as servers from "test-servers/redis"
import { after } from "../coming-from/ioredis/after.js"
import * as ioredis from "../coming-from/ioredis/before.js"
import * as nodeRedis from "../coming-from/node-redis/before.js"

const installed = await servers.install()
if (!installed.isInstalled) console.warn(`skipped: ${installed.reason}`)

const startServer = installed.isInstalled ? servers.make(installed.paths) : Effect.dieMessage(installed.reason)

interface Program {
  readonly visit: Effect.Effect<number, unknown>
}

type Open = (url: string, onNews: (news: string) => void) => Effect.Effect<Program, never, Scope.Scope>

const beforeOf =
  (before: typeof ioredis.before): Open =>
  (url, onNews) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.promise(() => before(url, onNews)),
        ({ close }) => Effect.promise(close)
      ),
      ({ visit }) => ({ visit: Effect.tryPromise(visit) })
    )

const until = <A>(effect: Effect.Effect<A>, done: (value: A) => boolean) =>
  Effect.repeat(effect, { until: done, schedule: Schedule.spaced("5 millis") })

describe.skipIf(!installed.isInstalled)("Redis", () => {
  it.scopedLive("whether a command whose answer was lost is sent again, and whether a gap is told", () =>
    Effect.gen(function* () {
      const { host, port } = yield* startServer
      const direct = yield* Redis.make({ endpoint: RedisEndpoint.make({ host, port }) })

      // The answer to the second visit is cut off, and later all connections are lost.
      const story = (open: Open) =>
        Effect.gen(function* () {
          yield* direct.use((client) => client.del("visits"))
          const proxy = yield* FaultProxy.make({ upstream: { host, port } })
          const heard: Array<string> = []
          const { visit } = yield* open(`redis://${proxy.host}:${proxy.port}`, (text) => heard.push(text))
          const publish = (text: string) => Effect.orDie(direct.use((client) => client.publish("news", text)))
          // Until it is subscribed, and nothing is on its way any more.
          let early = 0
          const publishEarly = Effect.suspend(() => publish(`early ${++early}`))
          yield* until(publishEarly, () => heard.length > 0 && heard.at(-1) !== "subscribed")
          yield* until(Effect.void, () => heard.includes(`early ${early}`))
          expect(yield* visit).toBe(1)

          const accepted = yield* proxy.accepted
          yield* proxy.set(FaultProxy.close({ after: 1, direction: "ToClient" }))
          const second = yield* Effect.fork(Effect.either(visit))
          // It has connected again, or tried to.
          yield* until(proxy.accepted, (now) => now > accepted)
          yield* proxy.heal
          const outcome = yield* Fiber.join(second)
          const counted = yield* direct.use((client) => client.get("visits"))

          yield* proxy.dropAll
          yield* until(publish("late"), () => heard.includes("late"))
          const news = new Set(heard.map((text) => text.replace(/ \d+$/, "")).filter((text) => text !== "subscribed"))
          return { counted, outcome: Either.isRight(outcome) ? outcome.right : "failed", news: [...news] }
        }).pipe(Effect.scoped)

      expect(yield* story(beforeOf(ioredis.before))).toEqual({ counted: "3", outcome: 3, news: ["early", "late"] })
      expect(yield* story(beforeOf(nodeRedis.before))).toEqual({
        counted: "2",
        outcome: "failed",
        news: ["early", "late"]
      })
      expect(yield* story((url, onNews) => after(url, onNews))).toEqual({
        counted: "2",
        outcome: "failed",
        news: ["early", "may have missed some", "late"]
      })
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )
})
