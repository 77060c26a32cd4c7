import { getEventListeners } from "node:events"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Fiber, Logger, Option, Queue } from "effect"
import { Redis, type RedisConnection, RedisEndpoint } from "effect-client-service-redis"
import { turns } from "test-servers/turns"
import { blocked, connectTo, isMissing, retryPolicy, startServer } from "./support/servers.js"

type Client = RedisConnection.Client

const clientsOf = (control: Redis.Service, name: string) =>
  Effect.map(
    control.command("CLIENT", ["LIST"]),
    (list) =>
      String(list)
        .split("\n")
        .filter((line) => line.includes(` name=${name} `)).length
  )

const isBlocked = (control: Redis.Service, count: number) =>
  Effect.repeat(control.command("INFO", ["clients"]), {
    until: (info) => String(info).includes(`blocked_clients:${count}\r`)
  })

describe.skipIf(isMissing)("a connection that callers share", () => {
  it.scopedLive("refuses what changes it for all of them, or ends it", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      for (const [name, ...args] of [
        "SELECT 1",
        "select 1",
        "WATCH key",
        "Watch key",
        "UNWATCH",
        "MULTI",
        "EXEC",
        "DISCARD",
        "AUTH default secret",
        "HELLO 2",
        "RESET",
        "QUIT",
        "MONITOR",
        "SUBSCRIBE news",
        "PSUBSCRIBE news",
        "SSUBSCRIBE news",
        "UNSUBSCRIBE",
        "PUNSUBSCRIBE",
        "SUNSUBSCRIBE",
        "CLIENT REPLY OFF",
        "client reply skip",
        "CLIENT TRACKING ON",
        "CLIENT SETNAME x",
        "CLIENT NO-EVICT ON",
        "CLIENT NO-TOUCH ON",
        "SCRIPT DEBUG YES",
        "READONLY",
        "REPLCONF ACK 1",
        "DEBUG PROTOCOL PUSH",
        "CLIENT CAPA redirect",
        "HIMPORT PREPARE fieldset field",
        "HIMPORT DISCARDALL",
        "WAIT 1 0",
        "PSYNC ? -1",
        "post /",
        "Host: redis.example.com"
      ].map((text) => text.split(" "))) {
        const refused = yield* Effect.flip(redis.command(name ?? "", args))
        expect([name, refused]).toMatchObject([name, { _tag: "RedisError", reason: "Session" }])
      }
      const calls: ReadonlyArray<(client: Client) => Promise<unknown>> = [
        (client) => client.select(1),
        (client) => client.watch("key"),
        (client) => client.subscribe("news", () => {}),
        (client) => client.PSUBSCRIBE("news", () => {}),
        (client) => client.unsubscribe(),
        (client) => client.monitor(() => {}),
        (client) => client.reset(),
        (client) => client.quit(),
        (client) => client.close(),
        (client) => client.disconnect(),
        async (client) => client.destroy(),
        async (client) => client.withTypeMapping({}).destroy(),
        (client) => client.multi().select(1).exec(),
        (client) => client.multi().get("key").select(1).execAsPipeline(),
        (client) => client.sendCommand([Buffer.from("select"), "1"])
      ]
      for (const call of calls) {
        expect(yield* Effect.flip(redis.use(call))).toMatchObject({ _tag: "RedisError", reason: "Session" })
      }
      const refused = yield* Effect.flip(redis.command("CLIENT", ["REPLY", "OFF"]))
      expect(refused.message).toContain("CLIENT REPLY is for a connection of its own")
      // What a script does to its connection is undone by the server, or refused.
      for (const command of ["'SELECT', 1", "'WATCH', 'key'", "'CLIENT', 'REPLY', 'OFF'", "'SUBSCRIBE', 'news'"]) {
        yield* Effect.ignore(redis.use((client) => client.eval(`redis.call(${command})`)))
        yield* Effect.ignore(redis.transaction((client) => client.multi().eval(`redis.call(${command})`)))
      }
      expect(yield* redis.command("CLIENT", ["INFO"])).toMatch(/ db=0 sub=0 psub=0 .* multi=-1 .* resp=3\b/)
      expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
    })
  )

  const ways: Record<string, (client: Client) => Promise<unknown>> = {
    BLPOP: (client) => client.blPop("list", 0),
    BRPOP: (client) => client.brPop("list", 0),
    BLMOVE: (client) => client.blMove("list", "other", "LEFT", "LEFT", 0),
    BLMPOP: (client) => client.blmPop(0, "list", "LEFT"),
    BRPOPLPUSH: (client) => client.brPopLPush("list", "other", 0),
    BZPOPMIN: (client) => client.bzPopMin("sorted", 0),
    BZPOPMAX: (client) => client.bzPopMax("sorted", 0),
    BZMPOP: (client) => client.bzmPop(0, "sorted", "MIN"),
    XREAD: (client) => client.xRead({ key: "stream", id: "0" }, { BLOCK: 0 }),
    "a command by its name": (client) => client.sendCommand(["bLpop", "list", "0"]),
    "a pipeline with one": (client) => client.multi().get("key").blPop("list", 0).execAsPipeline()
  }
  const fill = (client: Client) =>
    client.multi().rPush("list", "a").zAdd("sorted", { value: "a", score: 1 }).xAdd("stream", "*", { a: "a" }).exec()

  for (const [name, call] of Object.entries(ways)) {
    it.scopedLive(`goes on while ${name} waits, which leaves the server with its caller`, () =>
      Effect.gen(function* () {
        const server = yield* startServer()
        const control = yield* connectTo(server.port)
        const redis = yield* connectTo(server.port)
        const waiting = yield* Effect.fork(redis.use(call))
        yield* isBlocked(control, 1)
        expect(yield* redis.use((client) => client.get("key"))).toBe(null)
        yield* redis.use(fill)
        expect(JSON.stringify(yield* Fiber.join(waiting))).toContain('"a"')
        yield* redis.command("FLUSHALL")

        for (let i = 0; i < 10; i++) {
          const leaving = yield* Effect.fork(redis.use(call))
          yield* isBlocked(control, 1)
          yield* Fiber.interrupt(leaving)
          // Of a pipeline that is not known to be at its end, the connection is closed.
          if (name.startsWith("a pipeline")) yield* isBlocked(control, 0)
          yield* redis.use(fill)
          const left = yield* redis.use((client) =>
            Promise.all([client.lLen("list"), client.zCard("sorted"), client.xLen("stream")])
          )
          expect(left).toEqual([1, 1, 1])
          yield* redis.command("FLUSHALL")
        }
        yield* isBlocked(control, 0)
      })
    )
  }

  it.scopedLive("goes on while a consumer of a group waits", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      const redis = yield* connectTo(server.port)
      yield* redis.use((client) => client.xGroupCreate("stream", "group", "$", { MKSTREAM: true }))
      const read = redis.use((client) =>
        client.xReadGroup("group", "consumer", { key: "stream", id: ">" }, { BLOCK: 0, COUNT: 1 })
      )
      const leaving = yield* Effect.fork(read)
      yield* isBlocked(control, 1)
      yield* Fiber.interrupt(leaving)
      yield* redis.use((client) => client.xAdd("stream", "*", { a: "a" }))
      expect(yield* redis.use((client) => client.xPending("stream", "group"))).toMatchObject({ pending: 0 })
      expect(JSON.stringify(yield* read)).toContain('"a"')
    })
  )

  it.scopedLive("takes few connections more for what waits, and keeps one for the next", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      const redis = yield* connectTo(server.port, { clientName: "worker" })
      for (let i = 0; i < 20; i++) {
        const waiting = yield* Effect.fork(redis.use((client) => client.blPop("list", 0)))
        yield* isBlocked(control, 1)
        if (i % 2 === 0) yield* Fiber.interrupt(waiting)
        else {
          yield* redis.use((client) => client.rPush("list", "a"))
          yield* Fiber.join(waiting)
        }
      }
      expect(yield* clientsOf(control, "worker")).toBe(2)
      // One that the server has closed meanwhile is not taken.
      const list = String(yield* control.command("CLIENT", ["LIST"])).split("\n")
      const shared = String(yield* redis.command("CLIENT", ["ID"]))
      const idle = list.map((line) => /^id=(\d+) .* name=worker /.exec(line)?.[1]).filter((id) => id !== shared)
      for (const id of idle) if (id !== undefined) yield* control.command("CLIENT", ["KILL", "ID", id])
      yield* turns(20)
      const again = yield* blocked(redis, control, "list")
      yield* redis.use((client) => client.rPush("list", "b"))
      expect(yield* Fiber.join(again)).toEqual({ key: "list", element: "b" })
    })
  )

  it.scopedLive("that is stopped has the server wait for nothing", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      const redis = yield* connectTo(server.port, { clientName: "worker" })
      const waiting = yield* blocked(redis, control, "list")
      yield* redis.service.stop
      yield* control.use((client) => client.rPush("list", "a"))
      yield* Fiber.await(waiting)
      expect(yield* control.use((client) => client.lLen("list"))).toBe(1)
      yield* Effect.repeat(clientsOf(control, "worker"), { until: (count) => count === 0 })
    })
  )

  it.scopedLive(
    "of a server whose socket is full sends no pipeline and no transaction later whose caller has left",
    () =>
      Effect.gen(function* () {
        const server = yield* startServer()
        const redis = yield* connectTo(server.port, { heartbeat: false })
        yield* redis.service.whenConnected()
        yield* server.pause
        const large = "x".repeat(1_000_000)
        const filling = yield* Effect.fork(
          Effect.forEach(Array(20), (_, i) => redis.use((client) => client.set(`large ${i}`, large)), {
            concurrency: "unbounded"
          })
        )
        yield* turns(20)
        const calls = Array.from({ length: 20 }, (_, i) =>
          i % 2 === 0
            ? redis.pipeline((client) => client.multi().incr("count").incr("count"))
            : redis.transaction((client) => client.multi().incr("count").incr("count"))
        )
        // Each in a turn of its own, in which the client looks for what to send.
        const own = new AbortController().signal
        const counting = redis.use((client) => client.withAbortSignal(own).incr("count"))
        const callers = yield* Effect.forEach([...calls, counting], (call) =>
          Effect.zipLeft(Effect.fork<unknown, unknown, never>(call), turns(3))
        )
        yield* turns(20)
        yield* Fiber.interruptAll(callers)
        yield* server.resume
        yield* Fiber.join(filling)
        expect(yield* redis.use((client) => client.get("count"))).toBe(null)
      })
  )

  it.scopedLive("sends the rest of a transaction whose caller leaves in the middle of it", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port, { heartbeat: false })
      yield* redis.service.whenConnected()
      yield* server.pause
      const large = "x".repeat(1_000_000)
      const caller = yield* Effect.fork(
        redis.transaction((client) => {
          const multi = client.multi()
          for (let i = 0; i < 30; i++) multi.set("large", large).incr("count")
          return multi
        })
      )
      yield* turns(20)
      yield* Fiber.interrupt(caller)
      yield* server.resume
      expect(yield* redis.use((client) => client.get("count"))).toBe("30")
      expect(yield* redis.command("CLIENT", ["INFO"])).toMatch(/ multi=-1 /)
    })
  )
})

describe.skipIf(isMissing)("a caller that leaves what blocks before the server has read it", () => {
  for (const [name, call] of [
    ["as a command", (client: Client) => client.blPop("jobs", 0)],
    ["in a pipeline", (client: Client) => client.multi().get("key").blPop("jobs", 0).execAsPipeline()],
    [
      "with a signal of its own",
      (client: Client) => client.withAbortSignal(new AbortController().signal).blPop("jobs", 0)
    ]
  ] as const) {
    it.scopedLive(`${name} has nothing popped that is pushed later`, () =>
      Effect.gen(function* () {
        const server = yield* startServer({ settings: { appendonly: "no" } })
        const redis = yield* connectTo(server.port, { heartbeat: false })
        for (let i = 0; i < 5; i++) {
          // It has a connection already, and the shared one is the first that the server reads.
          yield* redis.use((client) => client.blPop("none", 0.01))
          yield* server.pause
          const earlier = yield* Effect.fork(redis.use((client) => client.get("key")))
          yield* turns(3)
          const waiting = yield* Effect.fork(redis.use<unknown>(call))
          yield* turns(3)
          yield* Fiber.interrupt(waiting)
          const pushed = yield* Effect.fork(redis.use((client) => client.rPush("jobs", "a job")))
          yield* turns(3)
          yield* server.resume
          yield* Fiber.join(earlier)
          yield* Fiber.join(pushed)
          // Whatever else the server has to read, it has read by then.
          for (let n = 0; n < 10; n++) expect(yield* redis.use((client) => client.lLen("jobs"))).toBe(1)
          yield* redis.use((client) => client.del("jobs"))
        }
      })
    )
  }
})

describe.skipIf(isMissing)("one caller of a shared connection", () => {
  it.scopedLive(
    "that has a client of the old kind fail with nobody to tell, or takes its listeners away, harms none",
    () =>
      Effect.gen(function* () {
        const server = yield* startServer({ settings: { appendonly: "no" } })
        const redis = yield* connectTo(server.port)
        yield* redis.command("RPUSH", ["list", "a"])
        type Legacy = Record<string, (...args: ReadonlyArray<unknown>) => Record<string, () => void>>
        const legacyOf = (client: Client): Legacy => Object.assign(client.legacy())
        yield* redis.use(async (client) => {
          legacyOf(client)["get"]?.("list")
          legacyOf(client)["get"]?.(undefined)
          legacyOf(client)["sendCommand"]?.("SELECT", "1")
          legacyOf(client)["quit"]?.()
          client.legacy().multi().get("list").exec()
        })
        const answer = redis.use(
          (client) =>
            new Promise((resolve) =>
              legacyOf(client)["lRange"]?.("list", 0, -1, (...told: Array<unknown>) => resolve(told))
            )
        )
        expect(yield* answer).toEqual([null, ["a"]])
        const taking = redis.use(async (client) => client.removeAllListeners())
        expect(yield* Effect.flip(taking)).toMatchObject({ reason: "Session" })
        expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
      })
  )

  it.scopedLive("that gives a signal of its own has it heeded, for one command", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { appendonly: "no" } })
      const control = yield* connectTo(server.port)
      const redis = yield* connectTo(server.port)
      const own = new AbortController()
      const both = redis.use(async (client) => {
        const popped = client.withAbortSignal(own.signal).blPop("jobs", 0)
        return [await popped, await client.withCommandOptions({}).get("key")]
      })
      const waiting = yield* Effect.fork(both)
      yield* isBlocked(control, 1)
      // What the server has answered before may not be read yet.
      yield* turns(2)
      own.abort()
      expect(yield* Fiber.join(waiting)).toEqual([null, null])
      yield* redis.use((client) => client.rPush("jobs", "a job"))
      expect(yield* redis.use((client) => client.lLen("jobs"))).toBe(1)
      const other = new AbortController().signal
      const pipeline = redis.pipeline((client) => client.withAbortSignal(other).multi().get("key"))
      yield* Effect.zipRight(
        pipeline,
        redis.use((client) => client.withAbortSignal(other).get("key"))
      )
      yield* turns(1)
      expect(getEventListeners(other, "abort")).toEqual([])
      const late = redis.use((client) => client.withAbortSignal(own.signal).incr("count"))
      expect(yield* Effect.flip(late)).toMatchObject({ reason: "Lost" })
    })
  )

  it.scopedLive("whose listener throws, or takes away those of others, is told of, and its loss is heard of", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { appendonly: "no" } })
      const control = yield* connectTo(server.port)
      const warnings: Array<unknown> = []
      const logger = Logger.make(({ cause, message }) => warnings.push([message, Cause.squash(cause)]))
      const redis = yield* Redis.make({
        endpoint: RedisEndpoint.make({ host: "127.0.0.1", port: server.port }),
        retryPolicy,
        heartbeat: false
      }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
      const broken = new Error("a listener of a caller's")
      const heard: Array<string> = []
      const listening = async (client: Client): Promise<number> => {
        for (const listener of client.listeners("error")) client.removeListener("error", Object.assign(listener))
        client.prependListener("error", () => {
          throw broken
        })
        client.on("error", () => heard.push("error"))
        return client.sendCommand<number>(["CLIENT", "ID"])
      }
      const killed = (id: number) => control.command("CLIENT", ["KILL", "ID", String(id)])
      yield* killed(yield* redis.use(listening))
      expect(yield* redis.use((client) => client.get("key")).pipe(Effect.retry({ times: 3 }))).toBe(null)
      const session = redis.session(({ client }) =>
        Effect.zipRight(
          Effect.flatMap(
            Effect.promise(() => listening(client)),
            killed
          ),
          Effect.never
        )
      )
      const lost = yield* Effect.flip(Effect.provide(session, Logger.replace(Logger.defaultLogger, logger)))
      expect(lost).toMatchObject({ _tag: "ConnectionLost" })
      expect(heard).toEqual(["error", "error"])
      const told = [["a listener of a client has thrown"], broken]
      expect(warnings.filter((warning) => JSON.stringify(warning).includes("listener"))).toEqual([told, told])
    })
  )

  it.scopedLive("whose transaction can neither be run nor discarded loses the connection, which is in it", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { appendonly: "no", "rename-command": 'EXEC ""' } })
      const redis = yield* connectTo(server.port)
      const refused = yield* Effect.flip(redis.transaction((client) => client.multi().set("key", "value")))
      expect(["RedisError", "ConnectionLost"]).toContain(refused._tag)
      expect(yield* redis.use((client) => client.get("key")).pipe(Effect.retry({ times: 3 }))).toBe(null)
      expect(yield* redis.command("CLIENT", ["INFO"])).toMatch(/ multi=-1 /)
      const watch = redis.watch(
        "key",
        (client) => client.get("key"),
        (client) => client.multi().set("key", "value")
      )
      for (let i = 0; i < 3; i++) {
        expect(yield* Effect.flip(watch)).toMatchObject({ _tag: "RedisError", code: "ERR" })
      }
    })
  )

  it.scopedLive(
    "who may not unwatch leaves nothing watched to the next, and is told what its reading failed with",
    () =>
      Effect.gen(function* () {
        const settings = { appendonly: "no", user: "alice on nopass ~* +@all -unwatch" }
        const server = yield* startServer({ settings })
        const redis = yield* connectTo(server.port, { username: "alice", password: "any" })
        const failing = redis.watch(
          "a",
          () => Promise.reject(new Error("not today")),
          (client) => client.multi().get("a")
        )
        expect(yield* Effect.flip(failing)).toMatchObject({ _tag: "RedisError", detail: "not today" })
        yield* redis.command("SET", ["a", "1"])
        const next = redis.watch(
          "b",
          (client) => client.get("b"),
          (client) => client.multi().set("b", "1")
        )
        expect(yield* next).toEqual(["OK"])
      })
  )
})

describe.skipIf(isMissing)("a session", () => {
  it.scopedLive("is a connection of its own, whose state goes with it", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      const redis = yield* connectTo(server.port, { clientName: "worker" })
      const info = yield* redis.session(({ run }) =>
        Effect.gen(function* () {
          yield* run((client) => client.select(5))
          yield* run((client) => client.watch("key"))
          expect(yield* clientsOf(control, "worker")).toBe(2)
          return yield* run((client) => client.sendCommand<string>(["CLIENT", "INFO"]))
        })
      )
      expect(info).toMatch(/ db=5 /)
      yield* Effect.repeat(clientsOf(control, "worker"), { until: (count) => count === 1 })
      expect(yield* redis.command("CLIENT", ["INFO"])).toMatch(/ db=0 /)
    })
  )

  it.scopedLive("is one of no more than maxSessions at a time; the others wait, no longer than they say", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      const endpoint = RedisEndpoint.make({ host: "127.0.0.1", port: server.port, clientName: "worker", maxWaiting: 4 })
      const redis = yield* Redis.make({ endpoint, name: "of another name", maxSessions: 2 })
      const address = `redis://127.0.0.1:${server.port}`
      const count = clientsOf(control, "worker")
      const begun = yield* Queue.unbounded<number>()
      const sessions = yield* Effect.forEach([0, 1, 2, 3, 4], (index) =>
        Effect.fork(redis.session(() => Effect.zipRight(Queue.offer(begun, index), Effect.never)))
      )
      const [first, second, third] = sessions
      expect((yield* Queue.takeN(begun, 2)).length).toBe(2)
      for (const maxWait of [0, "20 millis"] as const) {
        const late = yield* Effect.flip(redis.session(() => Effect.void, { maxWait }))
        expect(late).toMatchObject({ reason: "Overloaded", endpoint: address, detail: "maxSessions are open" })
      }
      const last = yield* Effect.fork(redis.session(() => Effect.void))
      yield* turns(3)
      const one = yield* Effect.flip(redis.session(() => Effect.void))
      expect(one).toMatchObject({ reason: "Overloaded", endpoint: address, detail: "maxWaiting wait for a session" })
      yield* Fiber.interrupt(last)
      expect(yield* count).toBe(3)
      // One that waits leaves nothing behind.
      if (third !== undefined) yield* Fiber.interrupt(third)
      for (const one of [first, second]) if (one !== undefined) yield* Fiber.interrupt(one)
      expect([...(yield* Queue.takeN(begun, 2))].sort()).toEqual([3, 4])
      yield* Fiber.interruptAll(sessions)
      expect(yield* redis.session(({ run }) => run((client) => client.ping()), { maxWait: "5 seconds" })).toBe("PONG")
    })
  )

  it.scopedLive("that waits for another to end hears of a stop when it begins, though the other one goes on", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ settings: { appendonly: "no" } })
      const redis = yield* connectTo(server.port, { maxSessions: 1, drainTimeout: "1 minute" })
      const end = yield* Deferred.make<void>()
      const isOpen = yield* Deferred.make<void>()
      const first = yield* Effect.fork(
        redis.session(() => Effect.zipRight(Deferred.succeed(isOpen, undefined), Deferred.await(end)))
      )
      yield* Deferred.await(isOpen)
      const second = yield* Effect.fork(redis.session(() => Effect.void))
      yield* turns(3)
      const stopping = yield* Effect.fork(redis.service.stop)
      expect(yield* Effect.flip(Fiber.join(second))).toMatchObject({ _tag: "ServiceStopped" })
      yield* Deferred.succeed(end, undefined)
      yield* Fiber.join(first)
      yield* Fiber.join(stopping)
    })
  )

  it.scopedLive("is told that there is no connection, where the others wait for one too", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port, { maxSessions: 1 })
      yield* server.kill
      yield* Effect.repeat(redis.service.protocol.get, { until: Option.isNone })
      yield* Effect.fork(redis.session(() => Effect.void))
      yield* turns(10)
      const late = yield* Effect.flip(redis.session(() => Effect.void, { maxWait: 0 }))
      expect(late).toMatchObject({ _tag: "NotConnected" })
    })
  )

  it.scopedLive("that is lost ends what runs in it, and none else", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      const redis = yield* connectTo(server.port)
      const id = yield* Deferred.make<string>()
      const running = yield* Effect.fork(
        redis.session(({ run }) =>
          run((client) => client.sendCommand<number>(["CLIENT", "ID"])).pipe(
            Effect.tap((own) => Deferred.succeed(id, String(own))),
            Effect.zipRight(Effect.never)
          )
        )
      )
      yield* control.command("CLIENT", ["KILL", "ID", yield* Deferred.await(id)])
      expect(yield* Effect.flip(Fiber.join(running))).toMatchObject({ _tag: "ConnectionLost" })
      yield* redis.use((client) => client.get("key"))
      expect(yield* redis.service.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
      const isOpen = yield* Deferred.make<void>()
      const other = yield* Effect.fork(
        redis.session(() => Effect.zipRight(Deferred.succeed(isOpen, undefined), Effect.never))
      )
      yield* Deferred.await(isOpen)
      yield* server.kill
      expect(yield* Effect.flip(Fiber.join(other))).toMatchObject({ _tag: "ConnectionLost" })
    })
  )
})

describe.skipIf(isMissing)("a session whose caller leaves what blocks", () => {
  for (const [name, block] of [
    ["a command", (client: Client) => client.blPop("jobs", 0)],
    ["a pipeline", (client: Client) => client.multi().get("key").blPop("jobs", 0).execAsPipeline()],
    [
      "what has a signal of its own",
      (client: Client) => client.sendCommand(["BLPOP", "jobs", "0"], { abortSignal: new AbortController().signal })
    ]
  ] as const) {
    it.scopedLive(`as ${name} has it end on the server, and goes on`, () =>
      Effect.gen(function* () {
        const server = yield* startServer()
        const control = yield* connectTo(server.port)
        const redis = yield* connectTo(server.port)
        yield* redis.session(({ run }) =>
          Effect.gen(function* () {
            for (let i = 0; i < 3; i++) {
              const waiting = yield* Effect.fork(run<unknown>(block))
              yield* isBlocked(control, 1)
              yield* Fiber.interrupt(waiting)
              yield* control.use((client) => client.rPush("jobs", "a job"))
              expect(yield* run((client) => client.lLen("jobs"))).toBe(1)
              yield* run((client) => client.del("jobs"))
            }
          })
        )
      })
    )
  }
})

describe.skipIf(isMissing)("a session that several calls use at a time", () => {
  it.scopedLive("ends with the caller that leaves what blocks, since the server would end what another waits for", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      const redis = yield* connectTo(server.port)
      const first = yield* redis
        .session(({ run }) =>
          Effect.gen(function* () {
            const first = yield* Effect.fork(Effect.flip(run((client) => client.blPop("first", 0))))
            yield* isBlocked(control, 1)
            const second = yield* Effect.fork(run((client) => client.blPop("second", 0)))
            yield* turns(5)
            yield* Fiber.interrupt(second)
            return yield* Fiber.join(first)
          })
        )
        .pipe(Effect.either)
      expect(JSON.stringify(first)).toMatch(/Lost/)
      yield* control.use((client) => client.rPush("second", "a job"))
      expect(yield* control.use((client) => client.lLen("second"))).toBe(1)
    })
  )

  it.scopedLive("goes on when a caller leaves what waits for replicas", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const control = yield* connectTo(server.port)
      const redis = yield* connectTo(server.port)
      yield* redis.session(({ run }) =>
        Effect.gen(function* () {
          yield* run((client) => client.set("key", "value"))
          const waiting = yield* Effect.fork(run((client) => client.wait(1, 0)))
          yield* isBlocked(control, 1)
          yield* Fiber.interrupt(waiting)
          expect(yield* run((client) => client.get("key"))).toBe("value")
        })
      )
    })
  )
})

describe.skipIf(isMissing)("watch", () => {
  it.scopedLive("of a key that is none harms no other call", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      const key: string = JSON.parse("1")
      const error = yield* Effect.flip(
        redis.watch(
          key,
          (client) => client.get("key"),
          (client) => client.multi().set("key", "value")
        )
      )
      expect(error).toMatchObject({ _tag: "RedisError" })
      yield* redis.command("SET", ["key", "other"]).pipe(Effect.timeout("2 seconds"))
      expect(yield* redis.command("GET", ["key"]).pipe(Effect.timeout("2 seconds"))).toBe("other")
    })
  )

  it.scopedLive("writes if nothing has changed, and tells of a conflict otherwise", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      const increment = (meanwhile: Effect.Effect<unknown, unknown>) =>
        redis.watch(
          "count",
          async (client) => {
            const count = Number(await client.get("count"))
            await Effect.runPromise(meanwhile)
            return count
          },
          (client, count) =>
            client
              .multi()
              .set("count", count + 1)
              .incr("writes")
        )
      expect(yield* increment(Effect.void)).toEqual(["OK", 1])
      const refused = yield* Effect.flip(increment(redis.use((client) => client.set("count", 10))))
      expect(refused).toMatchObject({ _tag: "RedisError", reason: "Conflict" })
      expect(yield* increment(Effect.void)).toEqual(["OK", 2])
      expect(yield* redis.use((client) => client.get("count"))).toBe("11")
      // One that fails to read watches nothing any longer.
      const failing = redis.watch(
        ["count", "other"],
        () => Promise.reject(new Error("not today")),
        (client) => client.multi().incr("writes")
      )
      expect(yield* Effect.flip(failing)).toMatchObject({ reason: "Other", detail: "not today" })
      yield* redis.use((client) => client.set("other", 1))
      expect(yield* increment(Effect.void)).toEqual(["OK", 3])
      expect(() =>
        redis.watch(
          [],
          () => Promise.resolve(),
          (client) => client.multi()
        )
      ).toThrow("one key at least")
    })
  )

  it.scopedLive("of many at a time loses none", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      const increment = redis
        .watch(
          "count",
          (client) => client.get("count"),
          (client, count) => client.multi().set("count", Number(count) + 1)
        )
        .pipe(Effect.retry({ while: (error) => error._tag === "RedisError" && error.reason === "Conflict" }))
      yield* Effect.all(
        Array.from({ length: 20 }, () => increment),
        { concurrency: "unbounded" }
      )
      expect(yield* redis.use((client) => client.get("count"))).toBe("20")
    })
  )

  it.scopedLive("fails with ConnectionLost when the server is killed in the middle", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      const redis = yield* connectTo(server.port)
      const isReading = yield* Deferred.make<void>()
      const caller = yield* Effect.fork(
        redis.watch(
          "count",
          async (client) => {
            Effect.runSync(Deferred.succeed(isReading, undefined))
            for (;;) await client.get("count")
          },
          (client) => client.multi().incr("count")
        )
      )
      yield* Deferred.await(isReading)
      yield* server.kill
      expect(yield* Effect.flip(Fiber.join(caller))).toMatchObject({ _tag: "ConnectionLost" })
    })
  )
})
