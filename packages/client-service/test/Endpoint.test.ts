import { createServer, type Socket as NetSocket } from "node:net"
import { Socket } from "@effect/platform"
import { NodeSocket } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Chunk, Deferred, Effect, Exit, Fiber, Logger, LogLevel, Option, Scope, Stream, TestClock } from "effect"
import { ClientService, Endpoint, InvalidOption, RetryPolicy, TestEndpoint, Transport } from "effect-client-service"
import * as fc from "fast-check"
import { awaitState, settle } from "./support/fixture.js"
import { makeSocket } from "./support/memorySocket.js"

const everySecond = RetryPolicy.fromFunction(() => "1 second")

const ignoring: Endpoint.ConnectionSignal<unknown> = { lost: () => {} }

/** An endpoint whose connection is lost as soon as it is made, and what comes of connecting to it. */
const endpointOf = (outcome: Effect.Effect<number, string>, loss?: string) =>
  Endpoint.make({
    name: "test",
    connect: (signal: Endpoint.ConnectionSignal<string>) => {
      signal.lost(loss)
      return outcome
    }
  })

const observe = <A, E>(endpoint: Endpoint.Endpoint<A, E>) => {
  const losses: Array<E | undefined> = []
  const exit = Effect.runSyncExit(Effect.scoped(endpoint.connect({ lost: (error) => losses.push(error) })))
  return { name: endpoint.name, exit, losses }
}

const arbitraryEndpoint = fc
  .record({
    outcome: fc.oneof(fc.integer().map(Effect.succeed), fc.string().map(Effect.fail)),
    loss: fc.option(fc.string(), { nil: undefined })
  })
  .map(({ loss, outcome }) => endpointOf(outcome, loss))

describe("make", () => {
  for (const name of ["", " ", "\n\t"]) {
    it(`refuses the name ${JSON.stringify(name)}`, () => {
      const refusal = () => Endpoint.make({ name, connect: () => Effect.void })
      expect(refusal).toThrow(InvalidOption.InvalidOption)
      expect(refusal).toThrow(`Endpoint.make: name must be a text that is not empty, got ${JSON.stringify(name)}`)
    })
  }

  it.scoped("runs connect afresh at every attempt", () =>
    Effect.gen(function* () {
      const addresses = ["first", "second", "third"]
      const tried: Array<string> = []
      const resolve = Effect.sync(() => addresses.shift() ?? "none")
      const service = yield* ClientService.make({
        endpoint: Endpoint.make({
          name: "moving",
          connect: () =>
            Effect.flatMap(resolve, (address) => {
              tried.push(address)
              return address === "third" ? Effect.succeed(address) : Effect.fail(address)
            })
        }),
        retryPolicy: everySecond
      })
      yield* service.start
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      expect(yield* service.whenConnected()).toBe("third")
      expect(tried).toEqual(["first", "second", "third"])
    })
  )

  it.scoped("takes a connect that throws for an attempt that dies", () =>
    Effect.gen(function* () {
      const service = yield* ClientService.make({
        endpoint: Endpoint.make({
          name: "broken",
          connect: (): Effect.Effect<string> => {
            throw new Error("broken")
          }
        }).pipe(Endpoint.map((text) => text.length))
      })
      const waiter = yield* Effect.fork(service.whenConnected({ failAfterFailures: 1 }))
      yield* settle
      yield* service.start
      const exit = yield* Fiber.await(waiter)
      expect(Exit.isFailure(exit) && Chunk.toReadonlyArray(Cause.defects(exit.cause)).map(String)).toEqual([
        "Error: broken"
      ])
    })
  )

  for (const [loss, expected] of [
    ["cut", "cut"],
    [undefined, { _tag: "ConnectionLost", service: "test" }]
  ] as const) {
    it.scoped(`a lost of ${loss} loses the connection with ${JSON.stringify(expected)}`, () =>
      Effect.gen(function* () {
        const signals: Array<Endpoint.ConnectionSignal<string>> = []
        const service = yield* ClientService.make({
          endpoint: Endpoint.make({
            name: "test",
            connect: (signal: Endpoint.ConnectionSignal<string>) => Effect.sync(() => signals.push(signal))
          })
        })
        yield* service.start
        yield* service.whenConnected()
        signals[0]?.lost(loss)
        yield* awaitState(service, "Waiting")
        const state = yield* service.state.get
        expect(state._tag === "Waiting" && Option.getOrNull(Cause.failureOption(state.cause))).toEqual(
          typeof expected === "string" ? expected : expect.objectContaining(expected)
        )
      })
    )
  }

  it("keeps its name through every combinator, and pipes", () => {
    const endpoint = endpointOf(Effect.succeed(1)).pipe(
      Endpoint.map((n) => n + 1),
      Endpoint.mapEffect((n) => Effect.succeed(n * 10)),
      Endpoint.tap(() => Effect.void),
      Endpoint.mapError((error) => error.length)
    )
    expect(observe(endpoint)).toEqual({ name: "test", exit: Exit.succeed(20), losses: [undefined] })
  })
})

describe("map", () => {
  it("of the identity changes nothing", () => {
    fc.assert(
      fc.property(arbitraryEndpoint, (endpoint) => {
        expect(observe(Endpoint.map(endpoint, (a) => a))).toEqual(observe(endpoint))
      })
    )
  })

  it("of two functions in turn is that of their composition", () => {
    fc.assert(
      fc.property(arbitraryEndpoint, fc.func(fc.integer()), fc.func(fc.string()), (endpoint, f, g) => {
        expect(observe(endpoint.pipe(Endpoint.map(f), Endpoint.map(g)))).toEqual(
          observe(Endpoint.map(endpoint, (a) => g(f(a))))
        )
      })
    )
  })

  it("of a function that throws is an attempt that dies", () => {
    const endpoint = Endpoint.map(endpointOf(Effect.succeed(1)), () => {
      throw new Error("mine")
    })
    expect(observe(endpoint).exit).toEqual(Exit.die(new Error("mine")))
  })
})

describe("mapEffect", () => {
  it("of a pure function is map", () => {
    fc.assert(
      fc.property(arbitraryEndpoint, fc.func(fc.string()), (endpoint, f) => {
        expect(observe(Endpoint.mapEffect(endpoint, (a) => Effect.sync(() => f(a))))).toEqual(
          observe(Endpoint.map(endpoint, f))
        )
      })
    )
  })

  it("is associative", () => {
    fc.assert(
      fc.property(
        arbitraryEndpoint,
        fc.func(fc.oneof(fc.integer().map(Effect.succeed), fc.string().map(Effect.fail))),
        fc.func(fc.oneof(fc.integer().map(Effect.succeed), fc.string().map(Effect.fail))),
        (endpoint, f, g) => {
          expect(observe(endpoint.pipe(Endpoint.mapEffect(f), Endpoint.mapEffect(g)))).toEqual(
            observe(Endpoint.mapEffect(endpoint, (a) => Effect.flatMap(f(a), g)))
          )
        }
      )
    )
  })

  it("fails the attempt if the Effect fails", () => {
    const endpoint = Endpoint.mapEffect(endpointOf(Effect.succeed(1)), (n) => Effect.fail(`no ${n}`))
    expect(observe(endpoint).exit).toEqual(Exit.fail("no 1"))
  })

  it("does not run the Effect if connecting fails", () => {
    let runs = 0
    const endpoint = Endpoint.mapEffect(endpointOf(Effect.fail("refused")), () => Effect.sync(() => runs++))
    expect(observe(endpoint).exit).toEqual(Exit.fail("refused"))
    expect(runs).toBe(0)
  })
})

describe("mapError", () => {
  it("of the identity changes nothing", () => {
    fc.assert(
      fc.property(arbitraryEndpoint, (endpoint) => {
        expect(observe(Endpoint.mapError(endpoint, (error) => error))).toEqual(observe(endpoint))
      })
    )
  })

  it("of two functions in turn is that of their composition", () => {
    fc.assert(
      fc.property(arbitraryEndpoint, fc.func(fc.integer()), fc.func(fc.string()), (endpoint, f, g) => {
        expect(observe(endpoint.pipe(Endpoint.mapError(f), Endpoint.mapError(g)))).toEqual(
          observe(Endpoint.mapError(endpoint, (error) => g(f(error))))
        )
      })
    )
  })

  it("changes the errors of attempts and of losses", () => {
    const endpoint = Endpoint.mapError(endpointOf(Effect.fail("refused"), "cut"), (error) => error.toUpperCase())
    expect(observe(endpoint)).toEqual({ name: "test", exit: Exit.fail("REFUSED"), losses: ["CUT"] })
  })

  it("has no error to change in a loss without one", () => {
    const endpoint = Endpoint.mapError(endpointOf(Effect.succeed(1)), () => "changed")
    expect(observe(endpoint).losses).toEqual([undefined])
  })

  it.scoped("of a function that throws still loses the connection, and does not throw into the caller", () =>
    Effect.gen(function* () {
      const signals: Array<Endpoint.ConnectionSignal<string>> = []
      const service = yield* ClientService.make({
        endpoint: Endpoint.make({
          name: "test",
          connect: (signal: Endpoint.ConnectionSignal<string>) => Effect.sync(() => signals.push(signal))
        }).pipe(
          Endpoint.mapError((): string => {
            throw new Error("mine")
          })
        )
      })
      yield* service.start
      yield* service.whenConnected()
      expect(() => signals[0]?.lost("cut")).not.toThrow()
      yield* awaitState(service, "Waiting")
    })
  )
})

describe("tap", () => {
  it("runs its Effect and changes nothing", () => {
    fc.assert(
      fc.property(arbitraryEndpoint, (endpoint) => {
        const seen: Array<number> = []
        const tapped = observe(Endpoint.tap(endpoint, (a) => Effect.sync(() => seen.push(a))))
        expect(tapped).toEqual(observe(endpoint))
        expect(seen).toEqual(Exit.isSuccess(tapped.exit) ? [tapped.exit.value] : [])
      })
    )
  })

  it("fails the attempt if the Effect fails", () => {
    expect(observe(Endpoint.tap(endpointOf(Effect.succeed(1)), () => Effect.fail("unhealthy"))).exit).toEqual(
      Exit.fail("unhealthy")
    )
  })
})

const combinators: Record<
  string,
  <E>(
    self: Endpoint.Endpoint<string, E>,
    f: (protocol: string) => Effect.Effect<unknown, E, Scope.Scope>
  ) => Endpoint.Endpoint<unknown, E>
> = {
  mapEffect: (self, f) => Endpoint.mapEffect(self, f),
  tap: (self, f) => Endpoint.tap(self, f)
}

for (const [name, combinator] of Object.entries(combinators)) {
  describe(`what ${name} acquires`, () => {
    const resource = (events: Array<string>, name: string) =>
      Effect.acquireRelease(
        Effect.sync(() => events.push(`open ${name}`)),
        () => Effect.sync(() => events.push(`close ${name}`))
      )

    it.scoped("is released once, before what it stands on, when the connection is lost", () =>
      Effect.gen(function* () {
        const events: Array<string> = []
        const server = yield* TestEndpoint.make<string, string>()
        const close = Effect.sync(() => events.push("close connection"))
        const service = yield* ClientService.make({
          endpoint: combinator(server.endpoint, (protocol) => resource(events, protocol)),
          retryPolicy: everySecond
        })
        yield* service.start
        const first = yield* server.accept("first", { close })
        yield* service.whenConnected()
        expect(events).toEqual(["open first"])
        yield* first.drop()
        yield* awaitState(service, "Waiting")
        expect(events).toEqual(["open first", "close first", "close connection"])
        yield* TestClock.adjust("1 second")
        yield* server.accept("second", { close })
        yield* service.whenConnected()
        yield* service.stop
        expect(events.slice(3)).toEqual(["open second", "close second", "close connection"])
      })
    )

    it.scoped("is released when a later step of the attempt fails", () =>
      Effect.gen(function* () {
        const events: Array<string> = []
        const server = yield* TestEndpoint.make<string, string>()
        const service = yield* ClientService.make({
          endpoint: combinator(server.endpoint, (protocol) =>
            Effect.zipRight(resource(events, protocol), Effect.fail("later"))
          ),
          retryPolicy: everySecond
        })
        yield* service.start
        yield* server.accept("first")
        yield* awaitState(service, "Waiting")
        expect(events).toEqual(["open first", "close first"])
        expect(yield* server.closes).toBe(1)
      })
    )
  })
}

const bytes = (...values: ReadonlyArray<number>) => Uint8Array.from(values)

const text = (chunks: Iterable<Uint8Array>) => new TextDecoder().decode(Buffer.concat([...chunks]))

const broken = new Socket.SocketGenericError({ reason: "Read", cause: new Error("reset by peer") })

/** A transport over a socket in memory that is open, in the Scope of the test. */
const makeTransport = (options?: {
  readonly receiveBuffer?: number
  readonly write?: Parameters<typeof makeSocket>[0]
}) =>
  Effect.gen(function* () {
    const peer = yield* makeSocket(options?.write)
    const losses: Array<unknown> = []
    const endpoint = Endpoint.fromSocket("peer", Effect.succeed(peer.socket), {
      receiveBuffer: options?.receiveBuffer
    })
    const scope = yield* Effect.scope
    const connecting = yield* Effect.fork(
      Scope.extend(endpoint.connect({ lost: (error) => losses.push(error) }), scope)
    )
    yield* peer.open
    const transport = yield* Fiber.join(connecting)
    return { peer, transport, losses }
  })

const collect = (transport: Transport.Transport) =>
  Effect.map(Stream.runCollect(transport.incoming), Chunk.toReadonlyArray)

// What a program without types may pass.
const untyped = (value: unknown): never => value as never

describe("what is no option", () => {
  it.each<[string, () => unknown]>([
    ["make: options", () => Endpoint.make(untyped(null))],
    ["make: connect", () => Endpoint.make({ name: "a", connect: untyped(Effect.never) })],
    ["fromConnection: connect", () => Endpoint.fromConnection("a", untyped(null))],
    ["fromSocket: socket", () => Endpoint.fromSocket("a", untyped({}))],
    ["failover: endpoints", () => Endpoint.failover(untyped(null))],
    ["failover: endpoints[0].connect", () => Endpoint.failover([untyped(null)])],
    ["happyEyeballs: endpoints", () => Endpoint.happyEyeballs(untyped("tcp://a"))],
    ["happyEyeballs: endpoints[0].connect", () => Endpoint.happyEyeballs([untyped({ name: "a" })])]
  ])("is refused by %s", (message, make) => {
    expect(make).toThrow(InvalidOption.InvalidOption)
    expect(make).toThrow(`Endpoint.${message} must be `)
  })
})

describe("fromSocket", () => {
  it("refuses a blank name", () => {
    expect(() => Endpoint.fromSocket(" ", Effect.never)).toThrow(
      'Endpoint.fromSocket: name must be a text that is not empty, got " "'
    )
  })

  for (const receiveBuffer of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    it(`refuses receiveBuffer: ${receiveBuffer}`, () => {
      const refusal = () => Endpoint.fromSocket("peer", Effect.never, { receiveBuffer })
      expect(refusal).toThrow(InvalidOption.InvalidOption)
      expect(refusal).toThrow(
        `Endpoint.fromSocket: receiveBuffer must be an integer of at least 1, got ${receiveBuffer}`
      )
    })
  }

  it.scoped("connects only once the socket is open", () =>
    Effect.gen(function* () {
      const peer = yield* makeSocket()
      const endpoint = Endpoint.fromSocket("peer", Effect.succeed(peer.socket))
      const connecting = yield* Effect.fork(Effect.scoped(endpoint.connect(ignoring)))
      yield* peer.awaitRun
      yield* settle
      expect(connecting.unsafePoll()).toBeNull()
      yield* peer.open
      expect((yield* Fiber.join(connecting)).remote).toBe("peer")
    })
  )

  it.scoped("asks for the socket afresh at every attempt", () =>
    Effect.gen(function* () {
      const peers = [yield* makeSocket(), yield* makeSocket()]
      let asked = 0
      const service = yield* ClientService.make({
        endpoint: Endpoint.fromSocket(
          "peer",
          Effect.suspend(() => {
            const peer = peers[asked]
            asked += 1
            return peer === undefined ? Effect.never : Effect.succeed(peer.socket)
          })
        ),
        retryPolicy: everySecond
      })
      yield* service.start
      for (const peer of peers) {
        yield* peer.open
        yield* service.whenConnected()
        yield* peer.end
        yield* awaitState(service, "Waiting")
        expect([peer.runs(), peer.closes()]).toEqual([1, 1])
        yield* TestClock.adjust("1 second")
      }
      expect(asked).toBe(3)
    })
  )

  it.scoped("fails the attempt if the socket fails to open", () =>
    Effect.gen(function* () {
      const peer = yield* makeSocket()
      const endpoint = Endpoint.fromSocket("peer", Effect.succeed(peer.socket))
      const connecting = yield* Effect.fork(Effect.scoped(endpoint.connect(ignoring)))
      yield* peer.awaitRun
      const refused = new Socket.SocketGenericError({ reason: "Open", cause: new Error("refused") })
      yield* peer.refuse(refused)
      expect(yield* Effect.flip(Fiber.join(connecting))).toBe(refused)
      expect(peer.closes()).toBe(1)
    })
  )

  it.scoped("fails the attempt if the Effect that gives the socket fails", () =>
    Effect.gen(function* () {
      const endpoint = Endpoint.fromSocket("peer", Effect.fail("no credentials" as const))
      expect(yield* Effect.flip(Effect.scoped(endpoint.connect(ignoring)))).toBe("no credentials")
    })
  )

  it.scoped("closes the socket if the attempt is interrupted while it opens", () =>
    Effect.gen(function* () {
      const peer = yield* makeSocket()
      const service = yield* ClientService.make({
        endpoint: Endpoint.fromSocket("peer", Effect.succeed(peer.socket))
      })
      yield* service.start
      yield* peer.awaitRun
      yield* service.stop
      expect([peer.runs(), peer.closes()]).toEqual([1, 1])
    })
  )

  it.scoped("closes the socket when the connection is closed, even one made in an uninterruptible region", () =>
    Effect.gen(function* () {
      const peer = yield* makeSocket()
      const endpoint = Endpoint.fromSocket("peer", Effect.succeed(peer.socket))
      yield* Effect.fork(peer.open)
      yield* Effect.uninterruptible(Effect.scoped(endpoint.connect(ignoring)))
      expect([peer.runs(), peer.closes()]).toEqual([1, 1])
    })
  )

  it.scoped("gives what arrives, binary and text, in order and as it was", () =>
    Effect.gen(function* () {
      const { peer, transport } = yield* makeTransport()
      const reading = yield* Effect.fork(collect(transport))
      yield* peer.receive(bytes(0, 255, 128))
      yield* settle
      yield* peer.receive("naïve 👋", bytes(1))
      yield* peer.end
      const received = Buffer.concat(yield* Fiber.join(reading))
      expect([...received]).toEqual([0, 255, 128, ...Buffer.from("naïve 👋"), 1])
    })
  )

  it.scoped("gives all that arrived before anyone reads, and before the end", () =>
    Effect.gen(function* () {
      const { peer, transport } = yield* makeTransport()
      for (let i = 0; i < 100; i++) yield* peer.receive(`${i},`)
      yield* peer.end
      yield* settle
      expect(text(yield* collect(transport))).toBe(Array.from({ length: 100 }, (_, i) => `${i},`).join(""))
      expect(yield* collect(transport)).toEqual([])
    })
  )

  it.scoped("gives a consumer what arrives while it waits, and the next consumer what comes after", () =>
    Effect.gen(function* () {
      const { peer, transport } = yield* makeTransport()
      const first: Array<Uint8Array> = []
      const reading = yield* Effect.fork(
        Stream.runForEach(transport.incoming, (chunk) => Effect.sync(() => first.push(chunk)))
      )
      yield* settle
      yield* peer.receive("one ")
      yield* settle
      yield* Fiber.interrupt(reading)
      yield* peer.receive("two ", "three ")
      const next = yield* Effect.fork(collect(transport))
      yield* settle
      yield* peer.receive("four")
      yield* peer.end
      expect(text(first)).toBe("one ")
      expect(text(yield* Fiber.join(next))).toBe("two three four")
    })
  )

  it.scoped("takes a clean end for a loss without an error, and ends incoming", () =>
    Effect.gen(function* () {
      const { losses, peer, transport } = yield* makeTransport()
      yield* peer.end
      yield* settle
      expect(losses).toEqual([undefined])
      expect(yield* collect(transport)).toEqual([])
      expect(peer.closes()).toBe(1)
    })
  )

  it.scoped("takes a failure for a loss with that error, and fails incoming once what came before is read", () =>
    Effect.gen(function* () {
      const { losses, peer, transport } = yield* makeTransport()
      yield* peer.receive("last words")
      yield* peer.fail(broken)
      yield* settle
      expect(losses).toEqual([broken])
      const received: Array<Uint8Array> = []
      const error = yield* Effect.flip(
        Stream.runForEach(transport.incoming, (chunk) => Effect.sync(() => received.push(chunk)))
      )
      expect(text(received)).toBe("last words")
      expect(error).toMatchObject({ _tag: "TransportError", reason: "Read", cause: broken })
    })
  )

  it.scoped("takes a socket that dies for a loss, and fails incoming", () =>
    Effect.gen(function* () {
      const { losses, peer, transport } = yield* makeTransport()
      yield* peer.die(new Error("bug"))
      yield* settle
      expect(losses).toHaveLength(1)
      expect(yield* Effect.flip(collect(transport))).toMatchObject({
        _tag: "TransportError",
        reason: "Read",
        cause: new Error("bug")
      })
    })
  )

  it.scoped("writes in order, what it is given", () =>
    Effect.gen(function* () {
      const { peer, transport } = yield* makeTransport()
      yield* transport.write("one")
      yield* transport.write(bytes(2))
      yield* transport.write("")
      yield* transport.write("four")
      expect(peer.sent).toEqual(["one", bytes(2), "", "four"])
    })
  )

  it.scoped("end closes the socket as a peer expects", () =>
    Effect.gen(function* () {
      const { peer, transport } = yield* makeTransport()
      yield* transport.write("bye")
      yield* transport.end
      expect(peer.sent).toEqual(["bye", new Socket.CloseEvent(1000)])
    })
  )

  it.scoped("a write after the connection has ended fails with Closed, and is not handed to the socket", () =>
    Effect.gen(function* () {
      for (const end of ["end", "fail"] as const) {
        const { peer, transport } = yield* makeTransport({ write: () => Effect.never })
        yield* end === "end" ? peer.end : peer.fail(broken)
        yield* settle
        for (const write of [transport.write("late"), transport.end]) {
          expect(yield* Effect.flip(write)).toMatchObject({ _tag: "TransportError", reason: "Closed" })
        }
        expect(peer.sent).toEqual([])
      }
    })
  )

  it.scoped("a write that the socket fails fails with Write and the socket's error", () =>
    Effect.gen(function* () {
      const { transport } = yield* makeTransport({ write: () => Effect.fail(broken) })
      const error = yield* Effect.flip(transport.write("hello"))
      expect(error).toBeInstanceOf(Transport.TransportError)
      expect(error).toMatchObject({ reason: "Write", cause: broken })
    })
  )

  it.scoped("a write that throws fails with Write, and is no defect", () =>
    Effect.gen(function* () {
      const thrown = new Error("socket is CONNECTING")
      for (const write of [
        () => Effect.die(thrown),
        () =>
          Effect.sync(() => {
            throw thrown
          }),
        (): Effect.Effect<void> => {
          throw thrown
        }
      ]) {
        const { losses, peer, transport } = yield* makeTransport({ write })
        const error = yield* Effect.flip(transport.write("hello"))
        expect(error).toMatchObject({ _tag: "TransportError", reason: "Write", cause: thrown })
        expect(error.message).toBe("writing to the connection failed: socket is CONNECTING")
        expect(losses).toEqual([])
        expect(peer.closes()).toBe(0)
      }
    })
  )

  it.scoped("a write that hangs can be interrupted, and leaves the connection as it was", () =>
    Effect.gen(function* () {
      const interrupted = yield* Deferred.make<void>()
      const { losses, peer, transport } = yield* makeTransport({
        write: (chunk) =>
          chunk === "stuck"
            ? Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
            : Effect.void
      })
      const writing = yield* Effect.fork(transport.write("stuck"))
      yield* settle
      expect(writing.unsafePoll()).toBeNull()
      expect(Exit.isInterrupted(yield* Fiber.interrupt(writing))).toBe(true)
      yield* Deferred.await(interrupted)
      yield* transport.write("free")
      expect(peer.sent).toEqual(["free"])
      expect(losses).toEqual([])
    })
  )

  it.scoped("keeps as much as receiveBuffer, and again as much once that is read", () =>
    Effect.gen(function* () {
      const { losses, peer, transport } = yield* makeTransport({ receiveBuffer: 8 })
      yield* peer.receive("12345678")
      const received: Array<Uint8Array> = []
      yield* Effect.fork(Stream.runForEach(transport.incoming, (chunk) => Effect.sync(() => received.push(chunk))))
      yield* settle
      yield* peer.receive("abcdefgh")
      yield* settle
      expect(text(received)).toBe("12345678abcdefgh")
      expect(losses).toEqual([])
    })
  )

  it.scoped("loses the connection with Overflow beyond receiveBuffer, and incoming fails with that", () =>
    Effect.gen(function* () {
      const { losses, peer, transport } = yield* makeTransport({ receiveBuffer: 8 })
      yield* peer.receive("12345678", "9", "more")
      expect(losses[0]).toMatchObject({ _tag: "TransportError", reason: "Overflow" })
      expect(yield* Effect.flip(collect(transport))).toMatchObject({ _tag: "TransportError", reason: "Overflow" })
      yield* peer.end
      yield* settle
      expect(yield* Effect.flip(collect(transport))).toMatchObject({ _tag: "TransportError", reason: "Overflow" })
    })
  )

  it.scoped("a service replaces a connection that overflowed, and says why", () =>
    Effect.gen(function* () {
      const peer = yield* makeSocket()
      const service = yield* ClientService.make({
        endpoint: Endpoint.fromSocket("peer", Effect.succeed(peer.socket), { receiveBuffer: 1 })
      })
      yield* service.start
      yield* peer.open
      yield* service.whenConnected()
      yield* peer.receive("too much")
      yield* awaitState(service, "Waiting")
      const state = yield* service.state.get
      expect(state._tag === "Waiting" && Option.getOrNull(Cause.failureOption(state.cause))).toMatchObject({
        _tag: "TransportError",
        reason: "Overflow"
      })
      expect(peer.closes()).toBe(1)
    })
  )
})

describe("fromSocket over TCP", () => {
  const quietly = Logger.withMinimumLogLevel(LogLevel.None)

  /** A server that echoes, and keeps its sockets for the test to end. */
  const makeServer = Effect.gen(function* () {
    const sockets: Array<NetSocket> = []
    const server = createServer((socket) => {
      sockets.push(socket)
      socket.on("error", () => {})
      socket.pipe(socket)
    })
    const port = yield* Effect.acquireRelease(
      Effect.async<number>((resume) => {
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          resume(
            address === null || typeof address === "string"
              ? Effect.dieMessage("no port")
              : Effect.succeed(address.port)
          )
        })
      }),
      () =>
        Effect.async<void>((resume) => {
          for (const socket of sockets) socket.destroy()
          server.close(() => resume(Effect.void))
        })
    )
    return { port, sockets }
  })

  const echo = (transport: Transport.Transport, message: string) =>
    Effect.gen(function* () {
      yield* transport.write(message)
      let received = ""
      yield* transport.incoming.pipe(
        Stream.takeUntil((chunk) => {
          received += new TextDecoder().decode(chunk)
          return received.length >= message.length
        }),
        Stream.runDrain
      )
      return received
    })

  it.scopedLive("echoes, and connects again however the server closes", () =>
    Effect.gen(function* () {
      const { port, sockets } = yield* makeServer
      const service = yield* ClientService.make({
        endpoint: Endpoint.fromSocket("echo", NodeSocket.makeNet({ host: "127.0.0.1", port })),
        retryPolicy: RetryPolicy.fromFunction(() => 1)
      })
      yield* service.start
      const ends: ReadonlyArray<(socket: NetSocket | undefined) => unknown> = [
        (socket) => socket?.end(),
        (socket) => socket?.destroy(),
        (socket) => socket?.resetAndDestroy()
      ]
      for (const [index, end] of ends.entries()) {
        const transport = yield* service.whenConnected()
        expect(yield* echo(transport, `hello ${index}`)).toBe(`hello ${index}`)
        const lost = yield* Effect.fork(service.use(() => Effect.never))
        yield* Effect.yieldNow()
        end(sockets[index])
        expect(yield* Effect.flip(Fiber.join(lost))).toMatchObject({ _tag: "ConnectionLost" })
        expect(yield* Effect.flip(transport.write("late"))).toMatchObject({ reason: "Closed" })
      }
      const last = yield* service.whenConnected()
      expect(yield* echo(last, "still here")).toBe("still here")
      const closed = Effect.async<void>((resume) => {
        sockets[ends.length]?.once("close", () => resume(Effect.void))
      })
      const closing = yield* Effect.fork(closed)
      yield* Effect.yieldNow()
      yield* service.stop
      yield* Fiber.join(closing)
      expect(sockets).toHaveLength(ends.length + 1)
    }).pipe(quietly)
  )

  it.scopedLive("fails the attempt if nobody listens", () =>
    Effect.gen(function* () {
      const { port } = yield* Effect.scoped(makeServer)
      const service = yield* ClientService.make({
        endpoint: Endpoint.fromSocket("nobody", NodeSocket.makeNet({ host: "127.0.0.1", port }))
      })
      const waiting = yield* Effect.fork(service.whenConnected({ failAfterFailures: 1 }))
      yield* Effect.yieldNow()
      yield* service.start
      expect(yield* Effect.flip(Fiber.join(waiting))).toMatchObject({
        _tag: "SocketError",
        reason: "Open",
        cause: { code: "ECONNREFUSED" }
      })
    }).pipe(quietly)
  )
})

describe.each([
  ["failover", Endpoint.failover],
  ["happyEyeballs", Endpoint.happyEyeballs]
] as const)("%s", (_, of) => {
  it("tells of the servers what they have in common", () => {
    const server = (port: number | undefined, address = "db.example.com") =>
      Endpoint.make({ name: "db", server: { address, port, transport: "tcp" }, connect: () => Effect.succeed("db") })
    const unknown = Endpoint.make({ name: "db", connect: () => Effect.succeed("db") })
    const common = { address: "db.example.com", transport: "tcp" }
    expect(of([server(5432)]).server).toEqual({ ...common, port: 5432 })
    expect(of([server(5432), server(5432)]).server).toEqual({ ...common, port: 5432 })
    expect(of([server(5432), server(5433)]).server).toEqual(common)
    expect(of([server(5432), server(5432, "db2.example.com")]).server).toBeUndefined()
    expect(of([server(5432), unknown]).server).toBeUndefined()
  })
})
