import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Option, Queue, Stream } from "effect"
import { ClientService, ClientServiceMap, Endpoint, type Transport } from "effect-client-service"
import { NodeEndpoint } from "effect-client-service-node"
import { startServer } from "./support/child.js"
import { closedPort, closeOf, echo, forwardTo, listen } from "./support/server.js"
import { readText, type Service, startService, stateOf } from "./support/service.js"

const host = "127.0.0.1"

const tcp = ({ port }: { readonly port: number }) => NodeEndpoint.tcp({ host, port, linger: 50 })

const ask = (question: string) => (transport: Transport.Transport) =>
  Effect.zipRight(transport.write(`${question}\n`), readText(transport, question.length + 1))

const answers = <E>(service: Service<E>) =>
  Effect.gen(function* () {
    expect(yield* service.use(ask("still there?"))).toBe("still there?\n")
  })

/** The first error that a service waits after. */
const errorOf = <E>(service: Service<E>) =>
  Effect.map(stateOf(service, "Waiting"), ({ cause }) => Option.getOrThrow(Cause.failureOption(cause)))

/** A server that echoes, and writes down when its connections open, first receive something, and are ended by the client. */
const recorder = Effect.gen(function* () {
  const events: Array<string> = []
  let opened = 0
  const server = yield* listen((socket) => {
    opened += 1
    const number = opened
    events.push(`open ${number}`)
    socket.once("data", () => events.push(`data ${number}`))
    socket.on("end", () => events.push(`end ${number}`))
    echo(socket)
  })
  return { ...server, events }
})

describe("heartbeat", () => {
  const heartbeat = { probe: ask("ping"), interval: 20, timeout: 1000 }

  // Failure 41
  it.scopedLive("notices a peer that falls silent and closes nothing, and connects again", () =>
    Effect.gen(function* () {
      const pings = yield* Queue.unbounded<void>()
      const server = yield* listen((socket) => {
        socket.on("data", () => Queue.unsafeOffer(pings, undefined))
        echo(socket)
      })
      const silences = yield* Queue.unbounded<() => void>()
      const forward = forwardTo(server.port)
      const relay = yield* listen((socket) => Queue.unsafeOffer(silences, forward(socket)))
      const service = yield* startService(tcp(relay), { heartbeat })
      yield* service.whenConnected()
      yield* Queue.takeN(pings, 2)

      const noticing = yield* Effect.fork(errorOf(service))
      const silence = yield* Queue.take(silences)
      silence()
      expect(yield* Fiber.join(noticing)).toBeInstanceOf(ClientService.HeartbeatTimeout)
      expect(yield* stateOf(service, "Connected")).toMatchObject({ generation: 2 })
      yield* Queue.takeAll(pings)
      yield* Queue.take(pings)
    })
  )

  it.scopedLive("notices a server whose process is stopped, and connects again when that goes on", () =>
    Effect.gen(function* () {
      const server = yield* startServer()
      // The system accepts connections also for a process that is stopped.
      const service = yield* startService(tcp(server), { heartbeat, prepare: ask("are you there?") })
      yield* service.whenConnected()
      yield* server.line("received ping")

      const noticing = yield* Effect.fork(errorOf(service))
      yield* server.signal("SIGSTOP")
      expect(yield* Fiber.join(noticing)).toBeInstanceOf(ClientService.HeartbeatTimeout)
      expect(yield* stateOf(service, "Connecting")).toMatchObject({ failures: 1 })
      yield* server.signal("SIGCONT")
      expect(yield* stateOf(service, "Connected")).toMatchObject({ generation: 2 })
    })
  )
})

describe("maxAge", () => {
  it.scopedLive("opens and prepares the next connection before it closes the old one, and is never without", () =>
    Effect.gen(function* () {
      const server = yield* recorder
      const service = yield* startService(tcp(server), { maxAge: 100, prepare: ask("hello") })
      yield* service.whenConnected()
      const states: Array<string> = []
      yield* service.state.changes.pipe(
        Stream.runForEach((state) => Effect.sync(() => states.push(state._tag))),
        Effect.forkScoped
      )
      const first = yield* Queue.take(server.accepted)
      yield* closeOf(first)
      expect(server.events.slice(0, 5)).toEqual(["open 1", "data 1", "open 2", "data 2", "end 1"])
      yield* answers(service)
      expect(new Set(states)).toEqual(new Set(["Connected"]))
    })
  )
})

describe("failover", () => {
  it.scopedLive("goes from a port that nothing listens on to the next, and begins anew after a loss", () =>
    Effect.gen(function* () {
      const live = yield* listen(echo)
      const last = yield* listen(echo)
      const dead = { port: yield* closedPort }
      const service = yield* startService(Endpoint.failover([dead, live, last].map(tcp)))
      expect(yield* errorOf(service)).toMatchObject({
        failures: [{ endpoint: `tcp://127.0.0.1:${dead.port}`, cause: { error: { reason: "Refused" } } }]
      })
      yield* answers(service)
      const recovered = yield* listen(echo, dead)
      const peer = yield* Queue.take(live.accepted)
      peer.destroy()
      yield* Queue.take(recovered.accepted)
      yield* answers(service)
      expect(yield* Queue.size(last.accepted)).toBe(0)
    })
  )
})

describe("happyEyeballs", () => {
  it.scopedLive("keeps one connection when both servers answer, and closes the other", () =>
    Effect.gen(function* () {
      const one = yield* listen(echo)
      const two = yield* listen(echo)
      const service = yield* startService(Endpoint.happyEyeballs([tcp(one), tcp(two)], { delay: 0 }))
      const { remote } = yield* service.whenConnected()
      const [winner, loser] = remote === `127.0.0.1:${one.port}` ? [one, two] : [two, one]
      yield* closeOf(yield* Queue.take(loser.accepted))
      yield* answers(service)
      const kept = yield* Queue.take(winner.accepted)
      expect(kept.destroyed).toBe(false)
      yield* Effect.zipRight(service.stop, closeOf(kept))
    })
  )
})

describe("ClientServiceMap", () => {
  it.scopedLive("keeps a connection to each of two servers, of which the loss of one leaves the other alone", () =>
    Effect.gen(function* () {
      const servers = { one: yield* listen(echo), two: yield* listen(echo) }
      const peers = yield* Effect.scoped(
        Effect.gen(function* () {
          const map = yield* ClientServiceMap.make({
            lookup: (name: keyof typeof servers) => startService(tcp(servers[name]))
          })
          const one = yield* map.get("one")
          const two = yield* map.get("two")
          expect(yield* map.get("one")).toBe(one)
          yield* Effect.all([answers(one), answers(two)])
          const first = yield* Queue.take(servers.one.accepted)
          first.destroy()
          const again = yield* Queue.take(servers.one.accepted)
          yield* Effect.all([answers(one), answers(two)])
          expect(yield* one.state.get).toMatchObject({ _tag: "Connected", generation: 2 })
          expect(yield* two.state.get).toMatchObject({ _tag: "Connected", generation: 1 })
          return [again, yield* Queue.take(servers.two.accepted)]
        })
      )
      yield* Effect.forEach(peers, closeOf)
      expect(yield* Effect.all([Queue.size(servers.one.accepted), Queue.size(servers.two.accepted)])).toEqual([0, 0])
    })
  )
})

describe("reconnectOn", () => {
  it.scopedLive("replaces the connection at each signal, the old one closed first", () =>
    Effect.gen(function* () {
      const server = yield* recorder
      const service = yield* startService(tcp(server))
      const signals = yield* Queue.unbounded<string>()
      yield* Effect.forkScoped(ClientService.reconnectOn(service, Stream.fromQueue(signals)))
      for (let i = 0; i < 3; i++) {
        yield* Queue.take(server.accepted)
        yield* answers(service)
        yield* Queue.offer(signals, "the network has changed")
      }
      yield* Queue.take(server.accepted)
      yield* answers(service)
      expect(server.events).toEqual([1, 2, 3, 4].flatMap((n) => [`open ${n}`, `data ${n}`, `end ${n}`]).slice(0, -1))
      expect(yield* service.state.get).toMatchObject({ _tag: "Connected", generation: 4 })
    })
  )
})
