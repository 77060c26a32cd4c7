import { describe, expect, it } from "@effect/vitest"
import { Chunk, Effect, Stream, TestClock } from "effect"
import { ClientServices } from "effect-client-service"
import { events } from "../src/internal/events.js"
import type { Moment } from "../src/internal/feed.js"
import { makeService, Refused } from "./support/served.js"

/** The events of the services in the context, one at a time, and how many times the services have been looked at. */
const follow = Effect.gen(function* () {
  const services = yield* ClientServices.ClientServices
  let looks = 0
  let isOver = false
  const moment = ({ all }: ClientServices.ClientServices): Effect.Effect<Moment> =>
    Effect.gen(function* () {
      looks += 1
      const listed = yield* all.get
      const shown = yield* Effect.forEach(listed, (listed) =>
        Effect.map(listed.counts, (counts) => ({ id: listed.name, listed, counts, canCheck: false }))
      )
      return { now: looks, total: listed.length, found: listed.length, shown }
    })
  const settings = { begin: { title: "", actions: false }, moment, isOver: () => isOver }
  const pull = yield* Stream.toPull(events(services, settings))
  return {
    next: Effect.repeat(Effect.map(pull, Chunk.join("")), { until: (text) => text !== "" }),
    looks: () => looks,
    end: Effect.sync(() => {
      isOver = true
    })
  }
})

const settle = Effect.repeatN(Effect.yieldNow(), 200)

describe("the events", () => {
  it.scoped("wait for a browser that is slow, and then tell all that is remembered, at once", () =>
    Effect.gen(function* () {
      const { server, service } = yield* makeService("orders", (failures) => (failures < 200 ? 0 : 3_600_000))
      yield* service.start
      const { looks, next } = yield* follow
      expect(yield* next).toBe("retry: 1000\n\n")
      expect(yield* next).toContain('"isWhole":true')
      expect(looks()).toBe(1)

      yield* server.down(new Refused())
      const last = Effect.map(ClientServices.all.get, ([listed]) => listed?.current.failures)
      yield* Effect.repeat(settle, { until: () => Effect.map(last, (failures) => failures === 200) })
      yield* TestClock.adjust("1 minute")
      expect(looks()).toBe(1)
      const { services } = JSON.parse((yield* next).slice(6))
      expect(services).toMatchObject([{ isWhole: true, transitions: { length: 100 } }])
      expect(looks()).toBe(2)
    }).pipe(Effect.provide(ClientServices.layer))
  )

  it.scoped("are not more than ten a second", () =>
    Effect.gen(function* () {
      const { server, service } = yield* makeService("orders", (failures) => (failures % 20 === 0 ? 50 : 0))
      const { looks, next } = yield* follow
      yield* Effect.forkScoped(Effect.forever(next))
      yield* settle
      yield* service.start
      yield* server.down(new Refused())
      const before = looks()
      for (let i = 0; i < 20; i++) yield* Effect.zipRight(settle, TestClock.adjust(50))
      expect(looks() - before).toBeGreaterThan(5)
      expect(looks() - before).toBeLessThanOrEqual(11)
    }).pipe(Effect.provide(ClientServices.layer))
  )

  it.scoped("are told that the program is still there when nothing changes, and end when it is to", () =>
    Effect.gen(function* () {
      yield* makeService("orders", 1)
      const { end, next } = yield* follow
      const told: Array<string> = []
      const hearing = yield* Effect.forkScoped(
        Effect.forever(Effect.tap(next, (event) => Effect.sync(() => told.push(event))))
      )
      yield* settle
      for (let i = 0; i < 40; i++) yield* Effect.zipRight(TestClock.adjust("1 second"), settle)
      expect(told.splice(0)).toEqual([
        "retry: 1000\n\n",
        expect.stringContaining('"name":"orders"'),
        expect.stringMatching(/^: still here\nevent: beat\ndata: \d+\n\n$/),
        expect.stringMatching(/^: still here/)
      ])
      yield* end
      yield* TestClock.adjust("1 second")
      yield* settle
      expect(yield* hearing.status).toMatchObject({ _tag: "Done" })
    }).pipe(Effect.provide(ClientServices.layer))
  )
})
