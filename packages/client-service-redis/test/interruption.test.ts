import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Random, Stream } from "effect"
import type { Redis } from "effect-client-service-redis"
import { connectTo, isMissing, startServer } from "./support/servers.js"

interface Call {
  /** What is done of it is told by a counter of its number. */
  readonly call: (redis: Redis.Service, n: number) => Effect.Effect<unknown, unknown>
  /** Whether it takes what is pushed to a list. */
  readonly takes?: boolean
}

const done = (n: number) => `done:${n}`

const taking = (f: (redis: Redis.Service) => Effect.Effect<unknown, unknown>): Call => ({ call: f, takes: true })

const calls: Record<string, Call> = {
  use: { call: (redis, n) => redis.use((client) => client.incr(done(n))) },
  "use of several": {
    call: (redis, n) =>
      redis.use(async (client) => {
        await client.get("key")
        await client.incr(done(n))
        return client.get("key")
      })
  },
  pipeline: { call: (redis, n) => redis.pipeline((client) => client.multi().get("key").incr(done(n)).get("key")) },
  transaction: { call: (redis, n) => redis.transaction((client) => client.multi().get("key").incr(done(n))) },
  watch: {
    call: (redis, n) =>
      redis.watch(
        "watched",
        (client) => client.get("watched"),
        (client) => client.multi().set("watched", "1").incr(done(n))
      )
  },
  session: {
    call: (redis, n) =>
      redis.session(({ run }) =>
        Effect.zipRight(
          run((client) => client.select(1)),
          Effect.zipRight(
            run((client) => client.select(0)),
            Effect.zipRight(
              run((client) => client.incr(done(n))),
              run((client) => client.wait(1, 5))
            )
          )
        )
      )
  },
  scan: {
    call: (redis) =>
      redis.use(async (client) => {
        for await (const keys of client.scanIterator({ COUNT: 1 })) void keys
      })
  },
  BLPOP: taking((redis) => redis.use((client) => client.blPop("jobs", 0))),
  BLMOVE: taking((redis) => redis.use((client) => client.blMove("jobs", "taken", "LEFT", "LEFT", 0))),
  "BLPOP in a pipeline": taking((redis) => redis.pipeline((client) => client.multi().get("key").blPop("jobs", 0))),
  "BLPOP in a session": taking((redis) => redis.session(({ run }) => run((client) => client.blPop("jobs", 0)))),
  "XREAD BLOCK": {
    call: (redis) => redis.use((client) => client.xRead({ key: "stream", id: "$" }, { BLOCK: 0 }))
  },
  readGroup: {
    call: (redis) => Stream.runDrain(redis.readGroup({ stream: "stream", group: "group", consumer: "c", startId: "0" }))
  },
  subscribe: { call: (redis) => Stream.runDrain(redis.subscribe(["a", "b"])) },
  psubscribe: { call: (redis) => Stream.runDrain(redis.psubscribe("a*")) },
  ssubscribe: { call: (redis) => Stream.runDrain(redis.ssubscribe("a")) }
}

describe.skipIf(isMissing)("whoever is interrupted at any moment", () => {
  it.scopedLive(
    "leaves nothing behind: nothing is run twice or popped for nobody, and the next has its own answer",
    () =>
      Effect.gen(function* () {
        const server = yield* startServer({ settings: { appendonly: "no" } })
        const control = yield* connectTo(server.port, { heartbeat: false })
        for (const [name, { call, takes }] of Object.entries(calls)) {
          const redis = yield* connectTo(server.port, { heartbeat: false, clientName: "worker" })
          yield* redis.service.whenConnected()
          const succeeded: Array<number> = []
          for (let n = 0; n < 30; n++) {
            const caller = yield* Effect.fork(
              Effect.tap(call(redis, n), () => {
                succeeded.push(n)
              })
            )
            const turns = yield* Random.nextIntBetween(0, 12)
            yield* n % 2 === 0 ? Effect.repeatN(Effect.yieldNow(), turns) : Effect.sleep(Duration.millis(turns / 4))
            const next = yield* Effect.fork(redis.use((client) => client.echo(`${name} ${n}`)))
            yield* Fiber.interrupt(caller)
            expect(yield* Fiber.join(next)).toBe(`${name} ${n}`)
            if (takes !== true) continue
            yield* redis.use((client) => client.rPush("jobs", "a job"))
            expect([name, n, yield* redis.use((client) => client.lLen("jobs"))]).toEqual([name, n, 1])
            yield* redis.use((client) => client.del("jobs"))
          }
          for (let n = 0; n < 30; n++) {
            const count = Number(yield* control.use((client) => client.get(done(n))))
            expect([name, n, count]).toEqual([name, n, count > 0 ? 1 : 0])
            const leavesOne = takes !== true && !["scan", "XREAD BLOCK"].includes(name)
            if (succeeded.includes(n) && leavesOne) expect([name, n, count]).toEqual([name, n, 1])
          }
          // One for all, and no more than one that is kept for what blocks, and one for subscriptions.
          yield* Effect.repeat(
            Effect.all([control.command("CLIENT", ["LIST"]), control.command("INFO", ["clients"])]),
            {
              until: ([list, info]) =>
                String(list).split(" name=worker ").length - 1 <= 3 && String(info).includes("blocked_clients:0")
            }
          )
          expect(yield* redis.command("CLIENT", ["INFO"])).toMatch(/ db=0 sub=0 psub=0 .*multi=-1 /)
          expect([name, yield* redis.service.state.get]).toMatchObject([name, { _tag: "Connected", generation: 1 }])
          yield* redis.service.stop
          yield* control.command("FLUSHALL")
        }
      }).pipe(Effect.withRandom(Random.make("interrupted")))
  )
})
