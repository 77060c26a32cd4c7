import { inspect } from "node:util"
import { Socket } from "@effect/platform"
import { describe, expect, it, vi } from "@effect/vitest"
import { Cause, Chunk, Effect, Exit, Fiber, Scope, Stream, TestClock } from "effect"
import {
  ClientService,
  Endpoint,
  InvalidOption,
  RetryPolicy,
  type Transport,
  WebSocketError
} from "effect-client-service"
import { awaitState, settle } from "./support/fixture.js"
import { withLogs } from "./support/logs.js"
import { makePlatform } from "./support/memoryWebSocket.js"
import { withTimers } from "./support/timers.js"

const url = "wss://alice:sesame@example.com:8443/feed/hidden?token=secret"

const secrets = ["alice", "sesame", "hidden", "secret"]

/** The transport of a WebSocket that is open, the WebSocket, and the losses of the connection. */
const makeTransport = (options?: Endpoint.WebSocketOptions) =>
  Effect.gen(function* () {
    const platform = yield* makePlatform
    const losses: Array<unknown> = []
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
    const connecting = yield* Endpoint.webSocket(url, options)
      .connect({ lost: (error) => losses.push(error) })
      .pipe(platform.provide, Scope.extend(scope), Effect.fork)
    const webSocket = yield* platform.made
    yield* Effect.addFinalizer(() => Effect.sync(() => webSocket.closed(1000)))
    webSocket.open()
    return { webSocket, transport: yield* Fiber.join(connecting), losses, scope }
  })

const makeService = (endpoint: ReturnType<typeof Endpoint.webSocket<string>>, refusedCode = 4003) =>
  Effect.gen(function* () {
    const platform = yield* makePlatform
    const service = yield* ClientService.make({
      endpoint,
      retryPolicy: RetryPolicy.fromFunction(() => "1 second").pipe(
        RetryPolicy.whileError(
          (error: unknown) => !(error instanceof WebSocketError.WebSocketClosed && error.code === refusedCode)
        )
      )
    }).pipe(platform.provide)
    yield* service.start
    return { service, made: platform.made }
  })

const collect = (transport: Transport.Transport) =>
  Effect.map(Stream.runCollect(transport.incoming), Chunk.toReadonlyArray)

const bytes = (...values: ReadonlyArray<number>) => Uint8Array.from(values)

const utf8 = (text: string) => new TextEncoder().encode(text)

describe("webSocket", () => {
  it("is named after the origin of its URL, without credentials; or as told", () => {
    expect(Endpoint.webSocket(url).name).toBe("wss://example.com:8443")
    expect(Endpoint.webSocket("ws://127.0.0.1/a?b=c").name).toBe("ws://127.0.0.1")
    expect(Endpoint.webSocket(Effect.succeed(url)).name).toBe("websocket")
    expect(Endpoint.webSocket(url, { name: "feed" }).name).toBe("feed")
    expect(Endpoint.webSocket(Effect.succeed(url), { name: "feed" }).name).toBe("feed")
  })

  const invalidUrls = [
    ...["", "secret", "https://alice:secret@example.com", "ws://secret:port", "ws://a/?secret#part"],
    ...["ws://secret:0", "ws://secret..example.com", "ws://*.secret", `ws://secret${"x".repeat(60)}`],
    ...[`ws://secret${".label".repeat(42)}`, "ws://sec\nret", "ws://secret:1\r\n2", "ws://secret/a\tb"]
  ]
  for (const invalid of invalidUrls) {
    // Kind 12
    it(`refuses the URL ${JSON.stringify(invalid)} at once, without showing it`, () => {
      const error = caught(() => Endpoint.webSocket(invalid))
      expect(error).toBeInstanceOf(InvalidOption.InvalidOption)
      expect(error).toMatchObject({ where: "Endpoint.webSocket", option: "url" })
      expect(inspect(error, { depth: 9 }).split("\n")[0]).toBe(
        'InvalidOption: Endpoint.webSocket: url must be a URL of ws: or wss: with the name of a host, and without a fragment, got "(not shown)"'
      )
      expect(JSON.stringify(error)).not.toContain("secret")
    })

    it.scoped(`fails the attempt if the Effect gives the URL ${JSON.stringify(invalid)}`, () =>
      Effect.gen(function* () {
        const { made, service } = yield* makeService(Endpoint.webSocket(Effect.succeed(invalid)))
        const error = yield* Effect.flip(service.whenConnected({ failAfterFailures: 1 }))
        expect(error).toEqual(new WebSocketError.WebSocketOpenError({ endpoint: "websocket", reason: "InvalidUrl" }))
        expect(error).toHaveProperty(
          "message",
          "websocket: the URL is not one of ws: or wss: with the name of a host, and without a fragment"
        )
        yield* service.stop
        expect((yield* Effect.fork(made)).unsafePoll()).toBeNull()
      })
    )
  }

  // The last are of a program without types.
  for (const protocols of ["", "two words", ["a", "a"], ["a", "b,c"], 5, {}, [5]]) {
    it(`refuses the protocols ${JSON.stringify(protocols)}`, () => {
      // @ts-expect-error
      expect(caught(() => Endpoint.webSocket(url, { protocols }))).toMatchObject({
        _tag: "InvalidOption",
        where: "Endpoint.webSocket",
        option: "protocols"
      })
    })
  }

  it.scoped("an attempt without the protocols of its Effect fails", () =>
    Effect.gen(function* () {
      // @ts-expect-error: what a program without types may give.
      const { connect } = Endpoint.webSocket(url, { protocols: Effect.succeed(null) })
      const error = yield* Effect.flip(connect({ lost: () => {} })).pipe(
        Effect.provide(Socket.layerWebSocketConstructorGlobal)
      )
      expect(error).toMatchObject({ _tag: "WebSocketOpenError", reason: "InvalidOption" })
    })
  )

  it("takes null for an option that is not given", () => {
    // @ts-expect-error: what a program without types may pass.
    Endpoint.webSocket(url, { closeCodes: null, name: null, protocols: null, receiveBuffer: null })
  })

  it.each([5, [], "x"])("refuses closeCodes: %j", (closeCodes) => {
    // @ts-expect-error
    expect(caught(() => Endpoint.webSocket(url, { closeCodes }))).toMatchObject({ option: "closeCodes" })
  })

  it.each([null, 5, {}])("refuses the URL %j", (url) => {
    // @ts-expect-error
    expect(caught(() => Endpoint.webSocket(url))).toMatchObject({ _tag: "InvalidOption", option: "url" })
  })

  it("refuses a blank name and a receiveBuffer of nothing", () => {
    expect(caught(() => Endpoint.webSocket(url, { name: " " }))).toMatchObject({ option: "name" })
    expect(caught(() => Endpoint.webSocket(url, { receiveBuffer: 0 }))).toMatchObject({ option: "receiveBuffer" })
  })

  it.scoped("asks for the URL at every attempt, and offers the protocols", () =>
    Effect.gen(function* () {
      let attempts = 0
      const fresh = Effect.suspend(() => {
        attempts += 1
        return attempts === 2 ? Effect.fail("no token") : Effect.succeed(`ws://example.com/?token=${attempts}`)
      })
      const { made, service } = yield* makeService(Endpoint.webSocket(fresh, { protocols: ["v2", "v1"] }))
      const first = yield* made
      expect([first.url, first.protocols]).toEqual(["ws://example.com/?token=1", ["v2", "v1"]])
      first.closed(1006)
      yield* awaitState(service, "Waiting")
      yield* TestClock.adjust("1 second")
      expect(yield* waitingFor(service)).toBe("no token")
      yield* TestClock.adjust("1 second")
      const third = yield* made
      expect(third.url).toBe("ws://example.com/?token=3")
      third.open()
      expect((yield* service.whenConnected()).remote).toBe("ws://example.com")
      third.closed(1000)
      yield* awaitState(service, "Waiting")
    })
  )

  it.scoped("connects only once the WebSocket is open", () =>
    Effect.gen(function* () {
      const platform = yield* makePlatform
      const endpoint = Endpoint.webSocket(url)
      const connecting = yield* Effect.fork(Effect.scoped(platform.provide(endpoint.connect({ lost: () => {} }))))
      const webSocket = yield* platform.made
      yield* settle
      expect(connecting.unsafePoll()).toBeNull()
      webSocket.open()
      yield* settle
      webSocket.closed(1000)
      expect((yield* Fiber.join(connecting)).remote).toBe("wss://example.com:8443")
    })
  )

  for (const [code, reason] of [
    [1000, "done"],
    [1001, "going away"],
    [1005, ""],
    [1006, ""],
    [4000, "no such room"]
  ] as const) {
    it.scoped(`keeps the code ${code} of a close and its reason, and connects again`, () =>
      Effect.gen(function* () {
        const { made, service } = yield* makeService(Endpoint.webSocket(url))
        const webSocket = yield* made
        webSocket.open()
        const transport = yield* service.whenConnected()
        const reading = yield* Effect.fork(Effect.exit(collect(transport)))
        yield* settle
        webSocket.closed(code, reason)
        expect(yield* waitingFor(service)).toEqual(
          new WebSocketError.WebSocketClosed({ endpoint: "wss://example.com:8443", code, reason, detail: undefined })
        )
        const read = yield* Fiber.join(reading)
        expect(read._tag).toBe(code === 1000 || code === 1005 ? "Success" : "Failure")
        if (read._tag === "Failure")
          expect(Cause.squash(read.cause)).toMatchObject({ reason: "Read", cause: { _tag: "WebSocketClosed", code } })
        yield* TestClock.adjust("1 second")
        const next = yield* made
        next.open()
        yield* service.whenConnected()
        next.closed(1000)
      })
    )
  }

  it.scoped("a policy can end on a code", () =>
    Effect.gen(function* () {
      const { made, service } = yield* makeService(Endpoint.webSocket(url), 4003)
      const webSocket = yield* made
      webSocket.open()
      yield* service.whenConnected()
      webSocket.closed(4003, "locked")
      yield* awaitState(service, "Exhausted")
      expect(yield* Effect.flip(service.whenConnected())).toMatchObject({
        _tag: "RetriesExhausted",
        message: expect.stringContaining('the WebSocket was closed with code 4003: "locked"')
      })
    })
  )

  it("tells no more of a reason than a close can have, in one line", () => {
    const closed = new WebSocketError.WebSocketClosed({ endpoint: "e", code: 4000, reason: `\n${"x".repeat(9999)}` })
    expect(closed.message).toBe(`e: the WebSocket was closed with code 4000: "\\n${"x".repeat(122)}"`)
  })

  it.scoped("gives each message as one chunk, whole, text as UTF-8 and an empty one too", () =>
    Effect.gen(function* () {
      const { transport, webSocket } = yield* makeTransport()
      expect(webSocket.binaryType).toBe("arraybuffer")
      webSocket.receive('{"a":1}', bytes(1, 2), "", "über", bytes(), '{"b":2}')
      webSocket.closed(1000)
      const messages = ['{"a":1}', bytes(1, 2), "", "über", bytes(), '{"b":2}']
      expect(yield* collect(transport)).toEqual(
        messages.map((message) => (typeof message === "string" ? utf8(message) : message))
      )
    })
  )

  it.scoped("sends a string as text and bytes as they are", () =>
    Effect.gen(function* () {
      const { transport, webSocket } = yield* makeTransport()
      yield* transport.write("text")
      yield* transport.write(bytes(1, 2))
      yield* transport.write("")
      expect(webSocket.sent).toEqual(["text", bytes(1, 2), ""])
    })
  )

  it.scoped("sends a copy of bytes whose memory is shared, which no browser takes", () =>
    Effect.gen(function* () {
      const { transport, webSocket } = yield* makeTransport()
      const shared = new Uint8Array(new SharedArrayBuffer(2))
      shared.set([1, 2])
      yield* transport.write(shared)
      expect(webSocket.sent).toEqual([bytes(1, 2)])
      expect(webSocket.sent).toHaveProperty("0.buffer", expect.any(ArrayBuffer))
    })
  )

  it.scoped("a write waits until no more than 1 MiB is to be sent, and those after it keep their order", () =>
    withTimers((timers) =>
      Effect.gen(function* () {
        const { transport, webSocket } = yield* makeTransport()
        const before = timers.pending()
        webSocket.bufferedAmount = 1024 * 1024 + 1
        const writing = yield* Effect.fork(Effect.zip(transport.write("1"), transport.write("2"), { concurrent: true }))
        yield* TestClock.adjust("1 second")
        expect(writing.unsafePoll()).toBeNull()
        expect(webSocket.sent).toEqual(["1", "2"])
        webSocket.bufferedAmount -= 1
        yield* TestClock.adjust("10 millis")
        yield* Fiber.join(writing)
        expect(timers.pending()).toBe(before)
      })
    )
  )

  it.scoped("a write that waits fails with Closed when the WebSocket closes", () =>
    Effect.gen(function* () {
      const { transport, webSocket } = yield* makeTransport()
      webSocket.bufferedAmount = Number.POSITIVE_INFINITY
      const writing = yield* Effect.fork(transport.write("stuck"))
      yield* settle
      webSocket.closed(1006)
      yield* TestClock.adjust("10 millis")
      expect(yield* Effect.flip(Fiber.join(writing))).toMatchObject({ reason: "Closed" })
    })
  )

  it.scoped("a write fails with Closed while the WebSocket closes, and once it is closed", () =>
    Effect.gen(function* () {
      const { transport, webSocket } = yield* makeTransport()
      webSocket.readyState = 2
      expect(yield* Effect.flip(transport.write("late"))).toMatchObject({ reason: "Closed" })
      webSocket.closed(1000)
      expect(yield* Effect.flip(transport.write("late"))).toMatchObject({ reason: "Closed" })
      expect(webSocket.sent).toEqual([])
    })
  )

  it.scoped("a send that throws is a write that fails", () =>
    Effect.gen(function* () {
      const { transport, webSocket } = yield* makeTransport()
      webSocket.send = () => {
        throw new Error("no memory")
      }
      const error = yield* Effect.flip(transport.write("much"))
      expect(error).toMatchObject({ reason: "Write", message: "writing to the connection failed: no memory" })
    })
  )

  it.scoped("end closes, and nothing can be written after it", () =>
    Effect.gen(function* () {
      const { losses, transport, webSocket } = yield* makeTransport()
      yield* transport.end
      expect(webSocket.closes).toEqual([1000])
      expect(yield* Effect.flip(transport.write("late"))).toMatchObject({ reason: "Closed" })
      webSocket.closed(1000)
      expect(losses).toMatchObject([{ _tag: "WebSocketClosed", code: 1000 }])
    })
  )

  it.scoped("keeps a message as large as receiveBuffer, and is lost with an error that names that beyond it", () =>
    Effect.gen(function* () {
      const { losses, transport, webSocket } = yield* makeTransport({ receiveBuffer: 1000 })
      webSocket.receive("x".repeat(1000))
      expect(losses).toEqual([])
      webSocket.receive("y")
      const overflow = { _tag: "TransportError", reason: "Overflow", limit: 1000 }
      expect(losses).toMatchObject([overflow])
      expect(losses[0]).toHaveProperty("message", "the peer sent more than the receive buffer holds: 1000 bytes")
      webSocket.receive("more")
      expect(losses).toHaveLength(1)
      expect(yield* Effect.flip(collect(transport))).toMatchObject(overflow)
    })
  )

  it.scoped("counts empty messages too, for what they take", () =>
    Effect.gen(function* () {
      const { losses, webSocket } = yield* makeTransport({ receiveBuffer: 512_000 })
      webSocket.receive(...Array.from({ length: 1001 }, () => ""))
      expect(losses).toEqual([])
      webSocket.receive("")
      expect(losses).toMatchObject([{ reason: "Overflow" }])
    })
  )

  it.scoped("closing waits for the peer, but for a second at most, and then does without it", () =>
    withTimers((timers) =>
      Effect.gen(function* () {
        const peer = yield* makeTransport()
        const reading = yield* Effect.fork(collect(peer.transport))
        const closing = yield* Effect.fork(Scope.close(peer.scope, yield* Effect.exit(Effect.void)))
        yield* settle
        expect(peer.webSocket.closes).toEqual([1000])
        expect(closing.unsafePoll()).toBeNull()
        expect(yield* Effect.flip(Fiber.join(reading))).toMatchObject({ reason: "Closed" })
        peer.webSocket.closed(1000)
        yield* Fiber.join(closing)

        const gone = yield* makeTransport()
        const givingUp = yield* Effect.fork(Scope.close(gone.scope, yield* Effect.exit(Effect.void)))
        yield* TestClock.adjust("999 millis")
        expect([givingUp.unsafePoll(), gone.webSocket.isTerminated]).toEqual([null, false])
        yield* TestClock.adjust("1 millis")
        yield* Fiber.join(givingUp)
        expect(gone.webSocket.isTerminated).toBe(true)
        expect(timers.pending()).toBe(0)
      })
    )
  )

  it.scoped("a WebSocket that is already closed takes no time to close", () =>
    Effect.gen(function* () {
      const { scope, webSocket } = yield* makeTransport()
      webSocket.closed(4000)
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))
      expect(webSocket.closes).toEqual([])
    })
  )

  it.scoped("an attempt that is interrupted closes its WebSocket", () =>
    Effect.gen(function* () {
      const { made, service } = yield* makeService(Endpoint.webSocket(url))
      const webSocket = yield* made
      const stopping = yield* Effect.fork(service.stop)
      yield* settle
      expect(webSocket.closes).toEqual([1000])
      webSocket.closed(1006)
      yield* Fiber.join(stopping)
    })
  )

  it.scoped("an attempt fails with what the platform tells", () =>
    Effect.gen(function* () {
      const { made, service } = yield* makeService(Endpoint.webSocket(url))
      const failure = yield* Effect.fork(Effect.flip(service.whenConnected({ failAfterFailures: 1 })))
      const webSocket = yield* made
      webSocket.fail({ message: "Unexpected server response: 401" })
      webSocket.closed(1006)
      const error = yield* Fiber.join(failure)
      expect(error).toMatchObject({ _tag: "WebSocketOpenError", reason: "Status", status: 401 })
      expect(error).toHaveProperty(
        "message",
        "wss://example.com:8443: the server does not agree to a WebSocket: Unexpected server response: 401"
      )
    })
  )

  for (const [reason, told] of [
    ["Failed", {}],
    ["Failed", { message: `no way to ${url}` }],
    ["Connection", { message: "connect ECONNREFUSED", error: { code: "ECONNREFUSED" } }],
    // As the WebSocket of Node.js has it.
    ["Connection", { message: "Received network error", error: { cause: { code: "ECONNREFUSED" } } }],
    ["Status", { message: "Unexpected server response: 503" }],
    ["Subprotocol", { message: "Server sent no subprotocol" }],
    ["Subprotocol", { message: "Server sent an invalid subprotocol" }],
    ["Subprotocol", { message: "Server sent a subprotocol but none was requested" }],
    ["Subprotocol", { message: "Protocol was not set in the opening handshake." }],
    ["Subprotocol", { message: "Server did not respond with sent protocols." }],
    ["Handshake", { message: "Invalid Sec-WebSocket-Accept header" }],
    ["Handshake", { message: "Incorrect hash received in Sec-WebSocket-Accept header." }],
    ["Handshake", { message: "Invalid Upgrade header" }],
    ["Handshake", { message: "Server indicated an extension that was not requested" }]
  ] as const) {
    it.scoped(`the cause is told: ${reason}, if the platform says ${JSON.stringify(told)}`, () =>
      Effect.gen(function* () {
        const { made, service } = yield* makeService(Endpoint.webSocket(url))
        const failure = yield* Effect.fork(Effect.flip(service.whenConnected({ failAfterFailures: 1 })))
        const webSocket = yield* made
        webSocket.fail(told)
        webSocket.closed(1006)
        const error = yield* Fiber.join(failure)
        expect(error).toMatchObject({ _tag: "WebSocketOpenError", reason })
        for (const secret of secrets) expect(inspect(error, { depth: 9 })).not.toContain(secret)
      })
    )
  }

  it.effect("the cause is told: the platform has no WebSocket", () =>
    Effect.gen(function* () {
      vi.stubGlobal("WebSocket", undefined)
      const connecting = Endpoint.webSocket(url)
        .connect({ lost: () => {} })
        .pipe(Effect.scoped, Effect.provide(Socket.layerWebSocketConstructorGlobal))
      expect(yield* Effect.flip(connecting)).toMatchObject({ _tag: "WebSocketOpenError", reason: "Unsupported" })
    }).pipe(Effect.ensuring(Effect.sync(() => vi.unstubAllGlobals())))
  )

  it.scoped("asks for the protocols at every attempt", () =>
    Effect.gen(function* () {
      let attempts = 0
      const protocols = Effect.sync(() => `token.${++attempts}`)
      const { made, service } = yield* makeService(Endpoint.webSocket("ws://example.com", { protocols }))
      for (const attempt of [1, 2]) {
        const webSocket = yield* made
        expect(webSocket.protocols).toEqual([`token.${attempt}`])
        webSocket.closed(1006)
        yield* awaitState(service, "Waiting")
        yield* TestClock.adjust("1 second")
      }
      yield* Effect.map(made, (webSocket) => webSocket.closed(1006))
    })
  )

  it.scoped("fails the attempt if an Effect gives protocols that can't be offered", () =>
    Effect.gen(function* () {
      const { service } = yield* makeService(Endpoint.webSocket(url, { protocols: Effect.succeed(["a", "a"]) }))
      expect(yield* Effect.flip(service.whenConnected({ failAfterFailures: 1 }))).toMatchObject({
        reason: "InvalidOption",
        detail: "protocols"
      })
    })
  )

  it.scoped("tells text from bytes in messages, and the subprotocol", () =>
    Effect.gen(function* () {
      const { transport, webSocket } = yield* makeTransport()
      webSocket.protocol = "feed.v2"
      webSocket.receive("", "\ufeffü", bytes(0xc3, 0xbc), bytes())
      webSocket.closed(1000)
      const messages = yield* Stream.runCollect(transport.messages)
      expect(Chunk.toReadonlyArray(messages)).toEqual(["", "\ufeffü", bytes(0xc3, 0xbc), bytes()])
      expect(transport.subprotocol).toBe("feed.v2")
    })
  )

  const closeCodes = { stop: 4001, reconnect: 4002, heartbeat: 3000 }

  type Feed = ReturnType<typeof Endpoint.webSocket<never, never, never, never>>
  type Act = (service: Pick<ClientService.ClientService<unknown>, "stop" | "reconnect">) => Effect.Effect<unknown>
  const heartbeat = { probe: () => Effect.never, interval: "1 second", timeout: "1 second" } as const
  const plain = (endpoint: Feed) => ClientService.make({ endpoint })
  const aging = (endpoint: Feed) => ClientService.make({ endpoint, maxAge: "1 minute" })
  const probing = (endpoint: Feed) => ClientService.make({ endpoint, heartbeat })

  for (const [code, what, make, act] of [
    [4001, "stop", plain, (service) => Effect.fork(service.stop)],
    [4002, "reconnect", plain, (service) => service.reconnect],
    [4002, "maxAge", aging, () => TestClock.adjust("1 minute")],
    [3000, "a dead heartbeat", probing, () => TestClock.adjust("2 seconds")]
  ] satisfies ReadonlyArray<readonly [number, string, typeof plain | typeof probing, Act]>) {
    it.scoped(`closes with the code that is chosen for ${what}`, () =>
      Effect.gen(function* () {
        const platform = yield* makePlatform
        const service = yield* platform.provide(make(Endpoint.webSocket("ws://example.com", { closeCodes })))
        yield* service.start
        const webSocket = yield* platform.made
        webSocket.open()
        yield* service.whenConnected()
        yield* act(service)
        yield* settle
        if (what === "maxAge") {
          const successor = yield* platform.made
          successor.open()
          yield* settle
          yield* Effect.addFinalizer(() => Effect.sync(() => successor.closed(1000)))
        }
        yield* settle
        expect(webSocket.closes).toEqual([code])
        webSocket.closed(code)
      })
    )
  }

  it.scoped("closes with the code for stop when its owner ends, and for reconnect when prepare fails", () =>
    Effect.gen(function* () {
      const { scope, webSocket } = yield* makeTransport({ closeCodes })
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settle
      expect(webSocket.closes).toEqual([4001])
      webSocket.closed(4001)
      yield* Fiber.join(closing)
      const other = yield* makeTransport({ closeCodes })
      const failing = yield* Effect.fork(Scope.close(other.scope, Exit.fail("not welcome")))
      yield* settle
      expect(other.webSocket.closes).toEqual([4002])
      other.webSocket.closed(4002)
      yield* Fiber.join(failing)
    })
  )

  it("refuses codes that a WebSocket may not be closed with", () => {
    for (const code of [0, 999, 1001, 1005, 2999, 5000, 4000.5]) {
      for (const what of ["stop", "reconnect", "heartbeat"]) {
        expect(caught(() => Endpoint.webSocket(url, { closeCodes: { [what]: code } }))).toMatchObject({
          option: "closeCodes"
        })
      }
    }
  })

  for (const [told, detail] of [
    [{}, undefined],
    [{ message: "", error: { code: "ECONNREFUSED" } }, "ECONNREFUSED"],
    [{ message: "Unexpected server response: 401" }, "Unexpected server response: 401"],
    // As the WebSocket of Node.js has it.
    [{ message: "Frame cannot be masked" }, "Frame cannot be masked"],
    [{ message: "Received invalid UTF-8 in text frame." }, "Received invalid UTF-8 in text frame."],
    ...["?", ...secrets].map((part) => [{ message: `Unexpected server response: 401 ${part}` }, undefined] as const)
  ] as const) {
    it.scoped(`of what went wrong it tells ${detail ?? "nothing"} if told ${JSON.stringify(told)}`, () =>
      Effect.gen(function* () {
        const { losses, webSocket } = yield* makeTransport()
        webSocket.fail(told)
        expect(webSocket.isTerminated).toBe(true)
        webSocket.closed(1006)
        expect(losses).toEqual([
          new WebSocketError.WebSocketClosed({ endpoint: "wss://example.com:8443", code: 1006, reason: "", detail })
        ])
      })
    )
  }

  it.scoped("a constructor that throws is an attempt that fails", () =>
    Effect.gen(function* () {
      const connect = Endpoint.webSocket(url).connect({ lost: () => {} })
      const construct = (url: string) => {
        throw new SyntaxError(url.includes("secret") ? `The URL '${url}' is invalid.` : url)
      }
      const error = yield* Effect.flip(
        Effect.scoped(Effect.provideService(connect, Socket.WebSocketConstructor, construct))
      )
      expect(error).toEqual(
        new WebSocketError.WebSocketOpenError({ endpoint: "wss://example.com:8443", reason: "Failed" })
      )
    })
  )

  it.scoped("shows the URL nowhere", () =>
    withLogs((logs) =>
      Effect.gen(function* () {
        const { made, service } = yield* makeService(Endpoint.webSocket(url))
        const seen: Array<unknown> = [service]
        for (const end of ["refused", "broken", "closed"]) {
          const webSocket = yield* made
          if (end !== "refused") {
            webSocket.open()
            seen.push(yield* service.whenConnected(), yield* service.state.get)
          }
          if (end !== "closed") webSocket.fail({ message: `${end} ${url}`, error: new Error(url) })
          webSocket.closed(end === "closed" ? 4000 : 1006)
          yield* awaitState(service, "Waiting")
          const state = yield* service.state.get
          seen.push(state, state._tag === "Waiting" ? Cause.pretty(state.cause) : undefined)
          yield* TestClock.adjust("1 second")
        }
        yield* Effect.fork(service.stop)
        const shown = [...seen, ...logs].map((value) => `${inspect(value, { depth: 12 })} ${JSON.stringify(value)}`)
        expect(shown.filter((text) => text.includes("example.com")).length).toBeGreaterThan(3)
        expect(shown.filter((text) => secrets.some((secret) => text.includes(secret)))).toEqual([])
        ;(yield* made).closed(1006)
      })
    )
  )
})

const caught = (f: () => unknown): unknown => {
  try {
    return f()
  } catch (error) {
    return error
  }
}

/** What a service that waits has failed with. */
const waitingFor = <E>(service: ClientService.ClientService<Transport.Transport, E>) =>
  Effect.gen(function* () {
    yield* awaitState(service, "Waiting")
    const state = yield* service.state.get
    return state._tag === "Waiting" ? Cause.squash(state.cause) : state
  })
