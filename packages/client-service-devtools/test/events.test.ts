import { describe, expect, it } from "@effect/vitest"
import { type Clock, Effect, Exit, Scope, Stream, Subscribable, TestClock } from "effect"
import { ClientServices } from "effect-client-service"
import { events } from "../src/internal/events.js"
import { type MomentOf, Readings } from "../src/internal/readings.js"
import { makeService, Refused } from "./support/served.js"

const momentOf: MomentOf = (all, now) =>
  Effect.map(
    Effect.forEach(all, (listed) =>
      Effect.map(listed.counts, (counts) => ({ id: listed.name, listed, counts, canCheck: false }))
    ),
    (shown) => ({ now, begin: { title: "", actions: false }, total: all.length, found: all.length, shown })
  )

/** The list in the context, for pages, and how many times it has been read. */
const watched = Effect.map(ClientServices.ClientServices, ({ all }) => {
  let looks = 0
  const get = Effect.tap(all.get, () => {
    looks += 1
  })
  const services: ClientServices.ClientServices = { all: Subscribable.make({ get, changes: all.changes }) }
  return { readings: new Readings(services, momentOf), looks: () => looks }
})

/** The events of a page, one at a time. */
const open = Effect.fnUntraced(function* (readings: Readings) {
  let isOver = false
  const settings = { search: "", isOver: () => isOver }
  const pull = yield* Stream.toPull(events(readings, settings))
  return {
    next: Effect.repeat(
      Effect.map(pull, (chunk) => Buffer.concat([...chunk]).toString()),
      { until: (text) => text !== "" }
    ),
    end: Effect.sync(() => {
      isOver = true
    })
  }
})

const follow = Effect.flatMap(watched, ({ looks, readings }) =>
  Effect.map(open(readings), (page) => ({ ...page, looks }))
)

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

  it.scoped("are made once for all pages that have been told the same", () =>
    Effect.gen(function* () {
      const { server, service } = yield* makeService("orders", 3_600_000)
      const { readings } = yield* watched
      const told: Array<Uint8Array> = []
      const page = Stream.runForEach(events(readings, { search: "", isOver: () => false }), (event) =>
        Effect.sync(() => told.push(event))
      )
      yield* Effect.all(Array.from({ length: 10 }, () => Effect.forkScoped(page)))
      yield* settle
      yield* service.start
      yield* server.down(new Refused())
      for (let i = 0; i < 4; i++) yield* Effect.zipRight(TestClock.adjust(100), settle)
      const updates = told.filter((event) => Buffer.from(event).includes('"services"'))
      expect(updates.length).toBeGreaterThanOrEqual(20)
      expect(new Set(updates).size).toBe(updates.length / 10)
    }).pipe(Effect.provide(ClientServices.layer))
  )

  // Kind 6
  it.scoped("go on though somebody sets the clock back", () =>
    Effect.gen(function* () {
      const { server, service } = yield* makeService("orders", 3_600_000)
      let back = 0
      const clock = yield* Effect.clock
      const settable: Clock.Clock = Object.assign(Object.create(clock), {
        currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now - back)
      })
      const told: Array<string> = []
      const { next } = yield* follow
      yield* Effect.forever(Effect.tap(next, (event) => Effect.sync(() => told.push(event)))).pipe(
        Effect.withClock(settable),
        Effect.forkScoped
      )
      yield* Effect.zipRight(settle, TestClock.adjust("1 second"))
      back = 8 * 3_600_000
      yield* service.start
      yield* server.refuse(new Refused())
      for (let i = 0; i < 2; i++) yield* Effect.zipRight(settle, TestClock.adjust("1 second"))
      yield* settle
      expect(told.join()).toContain('"state":"Waiting"')
    }).pipe(Effect.provide(ClientServices.layer))
  )

  it.scoped("of many pages are of one reading, and of none while no page is open", () =>
    Effect.gen(function* () {
      const { server, service } = yield* makeService("orders", (failures) => (failures % 20 === 0 ? 50 : 0))
      const { looks, readings } = yield* watched
      const pages = yield* Scope.make()
      const told: Array<string> = []
      const page = Effect.flatMap(open(readings), ({ next }) =>
        Effect.forkScoped(Effect.forever(Effect.tap(next, (event) => Effect.sync(() => told.push(event)))))
      )
      yield* Effect.provideService(Effect.all(Array.from({ length: 10 }, () => page)), Scope.Scope, pages)
      yield* settle
      expect(looks()).toBe(1)
      yield* service.start
      yield* server.down(new Refused())
      yield* TestClock.adjust("100 millis")
      yield* settle
      expect(looks()).toBe(2)
      expect(told.filter((event) => event.includes('"Connecting"')).length).toBe(10)
      for (let i = 0; i < 20; i++) yield* Effect.zipRight(TestClock.adjust(50), settle)
      expect(looks()).toBeLessThanOrEqual(13)

      // One that comes later is told at once.
      const before = looks()
      const { next } = yield* Effect.provideService(open(readings), Scope.Scope, pages)
      yield* next
      expect(yield* next).toContain('"isWhole":true')
      expect(looks() - before).toBeLessThanOrEqual(1)

      yield* Scope.close(pages, Exit.void)
      const after = looks()
      yield* TestClock.adjust("1 second")
      yield* settle
      expect(looks()).toBe(after)

      // And the next page is told what is now.
      const again = yield* open(readings)
      yield* again.next
      expect(yield* again.next).toContain('"isWhole":true')
      expect(looks()).toBe(after + 1)
    }).pipe(Effect.provide(ClientServices.layer))
  )
})
