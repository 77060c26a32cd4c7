import type * as Tls from "node:tls"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Fiber, Queue, Stream, TestClock } from "effect"
import { NodeEndpoint } from "effect-client-service-node"
import { makeAuthority } from "../support/certificates.js"
import { closedPort, echo, listen } from "../support/server.js"
import { connectOnce, failureOf, startService, stateOf } from "../support/service.js"
import { turns } from "../support/turns.js"
import * as WebSocketServer from "../support/webSocketServer.js"

const host = "127.0.0.1"

const refusal = (option: string) => expect.objectContaining({ _tag: "InvalidOption", option })

const failureAt = (url: string, options?: NodeEndpoint.WebSocketOptions) =>
  Effect.flip(Effect.scoped(connectOnce(NodeEndpoint.webSocket(url, options))))

/** Connects, and gives what both ends have. */
const connected = (server: WebSocketServer.Server, options?: NodeEndpoint.WebSocketOptions, scheme = "ws") =>
  Effect.gen(function* () {
    const losses = yield* Queue.unbounded<unknown>()
    const transport = yield* NodeEndpoint.webSocket(`${scheme}://${host}:${server.port}`, options).connect({
      lost: (error) => losses.unsafeOffer(error)
    })
    return { transport, losses, ...(yield* Queue.take(server.accepted)) }
  })

describe("the handles of a WebSocket", () => {
  // Kind 13: What the socket can do can not be asked for.
  it.scopedLive("tls: an authority, a certificate of its own, or no check", () =>
    Effect.gen(function* () {
      const [servers, clients] = yield* Effect.all([makeAuthority(), makeAuthority("Clients")])
      const own = yield* clients.issue("client")
      const tls = { ...(yield* servers.issue(host)), ca: clients.ca, requestCert: true, rejectUnauthorized: true }
      const server = yield* WebSocketServer.listen({ tls })
      const url = `wss://${host}:${server.port}`
      yield* connected(server, { tls: { ca: servers.ca, ...own } }, "wss")
      yield* connected(server, { tls: { rejectUnauthorized: false, ...own } }, "wss")
      expect(yield* failureAt(url, { tls: own })).toMatchObject({ cause: { reason: "Tls" } })
      expect(yield* failureAt(url, { tls: { ca: servers.ca } })).toMatchObject({ reason: "Connection" })
    })
  )

  it("tls, maxPayload and ping are refused at once if they make no sense", () => {
    const make = (options: NodeEndpoint.WebSocketOptions) => () => NodeEndpoint.webSocket("wss://a", options)
    expect(make({ tls: { key: "secret" } })).toThrow(expect.objectContaining({ _tag: "InvalidOption" }))
    expect(make({ tls: { key: "secret" } })).not.toThrow(/"secret"/)
    expect(make({ maxPayload: 0 })).toThrow(refusal("maxPayload"))
    for (const threshold of [-1, Number.NaN])
      expect(make({ perMessageDeflate: { threshold } })).toThrow(refusal("perMessageDeflate.threshold"))
    for (const threshold of [0, Number.POSITIVE_INFINITY])
      expect(make({ perMessageDeflate: { threshold } })).not.toThrow()
    expect(make({ ping: { interval: 0 } })).toThrow(refusal("ping.interval"))
    expect(make({ ping: { timeout: -1 } })).toThrow(refusal("ping.timeout"))
    expect(make({ keepAliveInitialDelay: -1 })).toThrow(refusal("keepAliveInitialDelay"))
    expect(make({ lookupTimeout: 0 })).toThrow(refusal("lookupTimeout"))
  })

  for (const [what, options, limit] of [
    ["maxPayload", { maxPayload: 1000 }, 1000],
    ["receiveBuffer, if that is not given", { receiveBuffer: 5000 }, 5000]
  ] as const) {
    it.scopedLive(`a message may have as many bytes as ${what}, once it is inflated`, () =>
      Effect.gen(function* () {
        const server = yield* WebSocketServer.listen({ options: { perMessageDeflate: true } })
        const { losses, transport, webSocket } = yield* connected(server, options)
        webSocket.send(Buffer.alloc(limit - 600))
        expect((yield* Effect.flatten(Stream.runHead(transport.incoming))).length).toBe(limit - 600)
        webSocket.send(Buffer.alloc(50_000_000))
        expect(yield* Queue.take(losses)).toMatchObject({ detail: "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH" })
      })
    )
  }

  // Kind 13
  it.scopedLive("maxPayload may be more than 32 bits", () =>
    Effect.gen(function* () {
      const server = yield* WebSocketServer.listen()
      const { transport, webSocket } = yield* connected(server, { maxPayload: 2 ** 32 + 100 })
      webSocket.send(Buffer.alloc(1000))
      expect((yield* Effect.flatten(Stream.runHead(transport.incoming))).length).toBe(1000)
    })
  )

  // Kind 13
  it.scopedLive("protocols: what an Effect gives that makes no sense fails the attempt by its name", () =>
    Effect.gen(function* () {
      const server = yield* WebSocketServer.listen()
      const failure = yield* failureAt(`ws://${host}:${server.port}`, { protocols: Effect.succeed("two words") })
      expect(failure).toMatchObject({ reason: "InvalidOption", detail: "protocols" })
    })
  )

  // Kind 13
  it.scopedLive("perMessageDeflate: whether compression is offered, and how", () =>
    Effect.gen(function* () {
      const server = yield* WebSocketServer.listen()
      const offered = (options: NodeEndpoint.WebSocketOptions) =>
        Effect.map(connected(server, options), ({ request }) => request.headers["sec-websocket-extensions"])
      expect(yield* offered({})).toContain("permessage-deflate")
      expect(yield* offered({ perMessageDeflate: { serverNoContextTakeover: true } })).toContain(
        "server_no_context_takeover"
      )
      expect(yield* offered({ perMessageDeflate: false })).toBeUndefined()
    })
  )

  // Kind 13
  it.scopedLive("ping: a server without a pong is lost, and closed with the code for a dead heartbeat", () =>
    Effect.gen(function* () {
      const server = yield* WebSocketServer.listen({ options: { autoPong: false } })
      const endpoint = NodeEndpoint.webSocket(`ws://${host}:${server.port}`, {
        ping: { interval: 20, timeout: 20 },
        closeCodes: { heartbeat: 4000 }
      })
      const service = yield* startService(endpoint)
      const { closed } = yield* Queue.take(server.accepted)
      const { cause } = yield* stateOf(service, "Waiting")
      expect(Cause.squash(cause)).toMatchObject({ _tag: "WebSocketClosed", code: 1006, detail: "no pong within 20ms" })
      expect(yield* closed).toBe(4000)
    })
  )

  // Kind 13
  it.scopedLive("ping: a server that answers is kept", () =>
    Effect.gen(function* () {
      const server = yield* WebSocketServer.listen()
      const { losses, webSocket } = yield* connected(server, { ping: { interval: 5, timeout: "10 seconds" } })
      for (let pings = 0; pings < 5; pings++) {
        yield* Effect.async<void>((resume) => void webSocket.once("ping", () => resume(Effect.void)))
      }
      expect(yield* Queue.size(losses)).toBe(0)
    })
  )

  // The pong is behind what the server has sent.
  // Kind 7
  it.scoped("ping: a server is kept while its messages come, or wait for the reader, and lost once nothing does", () =>
    Effect.gen(function* () {
      const server = yield* WebSocketServer.listen()
      const { losses, transport, webSocket } = yield* connected(server, {
        ping: {},
        receiveBuffer: 1024,
        maxPayload: 2 ** 20
      })
      const rounds = (times: number) =>
        Effect.repeatN(Effect.zipRight(turns(20), TestClock.adjust("10 seconds")), times)
      const messages = 40
      for (let i = 0; i < messages; i++) webSocket.send(Buffer.alloc(256 * 1024))
      yield* turns(100)
      yield* rounds(9)
      expect(yield* Queue.size(losses)).toBe(0)
      yield* Stream.runDrain(Stream.take(transport.incoming, messages).pipe(Stream.tap(() => rounds(0))))
      yield* rounds(9)
      expect(yield* Queue.size(losses)).toBe(0)
      webSocket.pause()
      yield* Effect.forkScoped(Stream.runDrain(transport.incoming))
      yield* rounds(9)
      expect(yield* Queue.take(losses)).toMatchObject({ code: 1006, detail: "no pong within 10s" })
      // For the close, which waits for its answer.
      webSocket.resume()
    })
  )

  // Kind 1
  it.scoped("ping: what came before a server fell silent is the slow reader's, and the loss is known after it", () =>
    Effect.gen(function* () {
      const server = yield* WebSocketServer.listen({ options: { autoPong: false } })
      const { losses, transport, webSocket } = yield* connected(server, { ping: {} })
      const [begun, slow] = yield* Effect.all([Deferred.make<void>(), Deferred.make<void>()])
      const read: Array<string> = []
      const reader = yield* transport.messages.pipe(
        Stream.runForEach((message) => {
          read.push(String(message))
          return Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(slow))
        }),
        Effect.flip,
        Effect.fork
      )
      webSocket.send("a")
      webSocket.send("b")
      yield* Deferred.await(begun)
      yield* turns(20)
      yield* TestClock.adjust("30 seconds")
      yield* turns(20)
      yield* TestClock.adjust("10 seconds")
      yield* turns(20)
      expect(yield* Queue.size(losses)).toBe(0)
      yield* Deferred.succeed(slow, undefined)
      expect(yield* Fiber.join(reader)).toMatchObject({ _tag: "TransportError", reason: "Read" })
      expect(read).toEqual(["a", "b"])
      expect(yield* Queue.take(losses)).toMatchObject({ code: 1006, detail: "no pong within 10s" })
    })
  )

  it.scopedLive("the subprotocol that was agreed on is on the transport, and text can be told from bytes", () =>
    Effect.gen(function* () {
      const server = yield* WebSocketServer.listen({ onMessage: WebSocketServer.echo })
      const { transport } = yield* connected(server, { protocols: ["v2", "v1"] })
      expect(transport.subprotocol).toBe("v2")
      yield* transport.write("ü")
      yield* transport.write(Buffer.from("ü"))
      yield* transport.write("")
      const messages = yield* Stream.runCollect(Stream.take(transport.messages, 3))
      expect([...messages]).toEqual(["ü", Buffer.from("ü"), ""])
      expect((yield* connected(server)).transport.subprotocol).toBe("")
    })
  )
})

describe("the handles of TLS", () => {
  const serve = (options: Tls.TlsOptions = {}) =>
    Effect.gen(function* () {
      const authority = yield* makeAuthority()
      const server = yield* listen(echo, { tls: { ...(yield* authority.issue(host)), ...options } })
      return { ...server, ca: authority.ca }
    })

  it.scopedLive("ciphers: those that are offered", () =>
    Effect.gen(function* () {
      const { ca, port } = yield* serve({ ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256", maxVersion: "TLSv1.2" })
      yield* connectOnce(NodeEndpoint.tls({ host, port, ca, ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" }))
      const error = yield* failureOf(NodeEndpoint.tls({ host, port, ca, ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384" }))
      expect(error.reason).toBe("Tls")
      expect(() => NodeEndpoint.tls({ host, port, ciphers: "none such" })).toThrow(/ciphers/)
    })
  )

  it.scopedLive(
    "checkServerIdentity: what it refuses or throws is why the attempt fails, and what it takes is connected to",
    () =>
      Effect.gen(function* () {
        const { ca, port } = yield* serve()
        const seen: Array<string> = []
        const options = { host: "localhost", port, ca }
        yield* connectOnce(
          NodeEndpoint.tls({
            ...options,
            checkServerIdentity: (name, { fingerprint256 }) => {
              seen.push(name, typeof fingerprint256)
              return undefined
            }
          })
        )
        expect(seen).toEqual(["localhost", "string"])
        const checks = [
          () => new Error("not the one I know"),
          () => {
            throw new Error("not the one I know")
          }
        ]
        for (const checkServerIdentity of checks) {
          const error = yield* failureOf(NodeEndpoint.tls({ ...options, checkServerIdentity }))
          expect(error).toMatchObject({ reason: "Tls" })
          expect(error.message).toContain("not the one I know")
        }
        // As a program without types may have it. Nobody waits for the promise, which would end the process.
        const checkServerIdentity = () => Promise.reject(new Error("unheard")) as never
        expect(yield* failureOf(NodeEndpoint.tls({ ...options, checkServerIdentity }))).toMatchObject({ reason: "Tls" })
      })
  )

  // Kind 13
  it.scopedLive("ca, cert, key and passphrase: made at every attempt, so that what is renewed needs no restart", () =>
    Effect.gen(function* () {
      const [servers, old, renewed] = yield* Effect.all([makeAuthority(), makeAuthority("Old"), makeAuthority("New")])
      const tls = { ...(yield* servers.issue(host)), ca: [renewed.ca], requestCert: true, rejectUnauthorized: true }
      const { accepted, port } = yield* listen(echo, { tls })
      const files = { ca: old.ca, ...(yield* old.issue("client")) }
      let reads = 0
      const endpoint = NodeEndpoint.tls({
        host,
        port,
        ca: Effect.sync(() => {
          reads += 1
          return [files.ca]
        }),
        cert: Effect.sync(() => files.cert),
        key: Effect.sync(() => files.key),
        passphrase: Effect.succeed("")
      })
      const service = yield* startService(endpoint)
      expect(Cause.squash((yield* stateOf(service, "Waiting")).cause)).toMatchObject({ reason: "Tls" })
      Object.assign(files, { ca: servers.ca }, yield* renewed.issue("client"))
      yield* service.whenConnected()
      yield* Queue.take(accepted)
      expect(reads).toBeGreaterThan(1)
    })
  )

  it.scopedLive(
    "ca, cert and key: an attempt fails with what an Effect fails with, or with Tls if it gives what is none",
    () =>
      Effect.gen(function* () {
        const port = yield* closedPort
        const missing = NodeEndpoint.tls({ host, port, ca: Effect.fail("no such file") })
        expect(yield* Effect.flip(Effect.scoped(connectOnce(missing)))).toBe("no such file")
        const webSocket = NodeEndpoint.webSocket(`wss://${host}:${port}`, { tls: { ca: Effect.fail("no such file") } })
        expect(yield* Effect.flip(Effect.scoped(connectOnce(webSocket)))).toBe("no such file")
        const none = yield* failureOf(NodeEndpoint.tls({ host, port, key: Effect.succeed("secret") }))
        expect(none).toMatchObject({ reason: "Tls", address: `${host}:${port}` })
        expect(none.message).not.toContain("secret")
      })
  )

  // Kind 13
  it.scopedLive("the application protocol that was agreed on is on the transport", () =>
    Effect.gen(function* () {
      const { ca, port } = yield* serve({ ALPNProtocols: ["mqtt", "amqp"] })
      const agreed = (options: Partial<NodeEndpoint.TlsOptions>) =>
        Effect.map(connectOnce(NodeEndpoint.tls({ host, port, ca, ...options })), ({ alpnProtocol }) => alpnProtocol)
      expect(yield* agreed({ ALPNProtocols: ["x", "amqp"] })).toBe("amqp")
      expect(yield* agreed({})).toBeUndefined()
    })
  )
})
