import * as Tls from "node:tls"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Option, Queue, Stream } from "effect"
import { RetryPolicy } from "effect-client-service"
import { ConnectError, FaultProxy, NodeEndpoint } from "effect-client-service-node"
import { makeAuthority, selfSigned, type Validity } from "./support/certificates.js"
import { echo, listen } from "./support/server.js"
import { connectOnce, failureOf, readText, startService, stateOf } from "./support/service.js"
import { until } from "./support/turns.js"

const host = "127.0.0.1"

const serve = (name: string, options?: { readonly validity?: Validity } & Tls.TlsOptions) =>
  Effect.gen(function* () {
    const authority = yield* makeAuthority()
    const certificate = yield* authority.issue(name, options)
    const server = yield* listen(echo, { tls: { ...certificate, ...options } })
    return { ...server, authority }
  })

describe("TLS", () => {
  it.scopedLive("connects to a server that a given authority certifies", () =>
    Effect.gen(function* () {
      const { authority, port } = yield* serve(host)
      const service = yield* startService(NodeEndpoint.tls({ host, port, ca: authority.ca }))
      const transport = yield* service.whenConnected()
      expect(transport.remote).toBe(`127.0.0.1:${port}`)
      yield* transport.write("secret")
      expect(yield* readText(transport, 6)).toBe("secret")
    })
  )

  it.scopedLive("asks for the name of the host, or the one that is given, and checks it", () =>
    Effect.gen(function* () {
      const { accepted, authority, port } = yield* serve("db.example.com")
      const ca = [authority.ca]
      yield* Effect.scoped(connectOnce(NodeEndpoint.tls({ host, port, ca, servername: "db.example.com" })))
      expect(yield* Queue.take(accepted)).toMatchObject({ servername: "db.example.com" })
      for (const wrong of [{ host }, { host: "localhost" }, { host, servername: "www.example.com" }]) {
        expect(yield* failureOf(NodeEndpoint.tls({ ...wrong, port, ca }))).toMatchObject({
          reason: "Tls",
          code: "ERR_TLS_CERT_ALTNAME_INVALID"
        })
      }
    })
  )

  it.scopedLive("refuses a server of an unknown authority, unless told not to", () =>
    Effect.gen(function* () {
      const { authority, port } = yield* serve(host)
      const other = yield* makeAuthority("Other CA")
      const error = yield* failureOf(NodeEndpoint.tls({ host, port }))
      expect(error).toMatchObject({ reason: "Tls", code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" })
      expect(error.message).toContain("unable to verify")
      expect(yield* failureOf(NodeEndpoint.tls({ host, port, ca: other.ca }))).toMatchObject({
        reason: "Tls",
        code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
      })
      yield* connectOnce(NodeEndpoint.tls({ host, port, rejectUnauthorized: false }))
      yield* connectOnce(NodeEndpoint.tls({ host, port, ca: [other.ca, Buffer.from(authority.ca)] }))
    })
  )

  it.scopedLive("refuses a server that does not speak TLS", () =>
    Effect.gen(function* () {
      const { port } = yield* listen((socket) => socket.write("220 mail.example.com ready\r\n"))
      expect(yield* failureOf(NodeEndpoint.tls({ host, port }))).toMatchObject({ reason: "Tls" })
    })
  )

  it.scopedLive("tells Reset of a server that goes away in the handshake", () =>
    Effect.gen(function* () {
      const { port } = yield* listen((socket) => socket.end())
      expect(yield* failureOf(NodeEndpoint.tls({ host, port }))).toMatchObject({ reason: "Reset", code: "ECONNRESET" })
    })
  )

  it.scopedLive("shows its own certificate, and is told if the server does not take it", () =>
    Effect.gen(function* () {
      const clients = yield* makeAuthority("Clients")
      const { authority, port } = yield* serve(host, { requestCert: true, ca: clients.ca })
      const { cert, key } = yield* clients.issue("client")
      const transport = yield* connectOnce(NodeEndpoint.tls({ host, port, ca: authority.ca, cert, key }))
      yield* transport.write("it is me")
      expect(yield* readText(transport, 8)).toBe("it is me")

      // The server looks at the certificate after the client's handshake is done.
      const nobody = yield* startService(NodeEndpoint.tls({ host, port, ca: authority.ca }))
      const { cause } = yield* stateOf(nobody, "Waiting")
      const error = Option.getOrThrow(Cause.failureOption(cause))
      expect(error).toBeInstanceOf(ConnectError.ConnectError)
      expect(error).toMatchObject({ reason: "Tls", code: "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED" })
    })
  )

  it.scopedLive("agrees on an application protocol", () =>
    Effect.gen(function* () {
      const { accepted, authority, port } = yield* serve(host, { ALPNProtocols: ["mqtt", "amqp"] })
      const ca = authority.ca
      yield* connectOnce(NodeEndpoint.tls({ host, port, ca, ALPNProtocols: ["x", "amqp"] }))
      expect(yield* Queue.take(accepted)).toMatchObject({ alpnProtocol: "amqp" })
      expect(yield* failureOf(NodeEndpoint.tls({ host, port, ca, ALPNProtocols: ["h2"] }))).toMatchObject({
        reason: "Tls"
      })
    })
  )

  it.scopedLive("holds a server to a lowest version", () =>
    Effect.gen(function* () {
      const { authority, port } = yield* serve(host, { maxVersion: "TLSv1.2" })
      yield* connectOnce(NodeEndpoint.tls({ host, port, ca: authority.ca }))
      const error = yield* failureOf(NodeEndpoint.tls({ host, port, ca: authority.ca, minVersion: "TLSv1.3" }))
      expect(error.reason).toBe("Tls")
    })
  )

  it.scopedLive("notices a clean close, though nobody reads, and hands out the last bytes before it", () =>
    Effect.gen(function* () {
      const { accepted, authority, port } = yield* serve(host)
      const service = yield* startService(NodeEndpoint.tls({ host, port, ca: authority.ca }))
      yield* service.whenConnected()
      const first = yield* Queue.take(accepted)
      first.end()
      yield* stateOf(service, "Waiting")

      const transport = yield* service.whenConnected()
      const second = yield* Queue.take(accepted)
      // A server of Node.js that ends as soon as it has accepted leaves out the end of TLS.
      yield* transport.write("hello")
      expect(yield* readText(transport, 5)).toBe("hello")
      second.end("bye")
      expect([...(yield* Stream.runCollect(Stream.decodeText(transport.incoming)))].join("")).toBe("bye")
      yield* stateOf(service, "Waiting")
    })
  )

  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    it.scopedLive(`hands out once what came before it broke, though it was held back, by ${maxVersion}`, () =>
      Effect.gen(function* () {
        const authority = yield* makeAuthority()
        const certificate = yield* authority.issue(host)
        // A little more than it takes to hold the server back.
        const sent = Array.from({ length: 540_000 / 6 }, (_, i) => String(i).padStart(6, "0")).join("")
        const { port } = yield* listen((below) => {
          const socket = new Tls.TLSSocket(below, { isServer: true, maxVersion, ...certificate })
          socket.on("error", () => {}).once("data", () => socket.write(sent, () => below.write("what is no TLS")))
        })
        const lost = yield* Deferred.make<unknown>()
        const transport = yield* NodeEndpoint.tls({ host, port, ca: authority.ca }).connect({
          lost: (error) => Deferred.unsafeDone(lost, Effect.succeed(error))
        })
        yield* transport.write("hello")
        expect(yield* Deferred.await(lost)).toMatchObject({ _tag: "ConnectError", reason: "Tls" })
        const texts: Array<string> = []
        const read = Stream.runForEach(Stream.decodeText(transport.incoming), (text) =>
          Effect.sync(() => void texts.push(text))
        )
        expect(yield* Effect.flip(read)).toMatchObject({ _tag: "TransportError", reason: "Read" })
        const received = texts.join("")
        expect(received.length).toBe(sent.length)
        expect(received === sent).toBe(true)
      })
    )
  }
})

describe("nothing of the application is sent to a server whose certificate", () => {
  /** What a service says that it failed with, which would send a secret as soon as it is connected. */
  const refusal = (tls: Tls.TlsOptions, options: Partial<NodeEndpoint.TlsOptions> = {}) =>
    Effect.gen(function* () {
      let received = ""
      let open = 0
      const { port } = yield* listen(
        (socket) => {
          open += 1
          socket.on("data", (data) => {
            received += data.toString()
          })
          socket.on("close", () => {
            open -= 1
          })
        },
        { tls }
      )
      const service = yield* startService(NodeEndpoint.tls({ host, port, ...options }), {
        prepare: (transport) => transport.write("secret"),
        retryPolicy: RetryPolicy.fromFunction(() => "1 hour")
      })
      const { cause } = yield* stateOf(service, "Waiting")
      // With TLS 1.3, the handshake of the server may be done before the client has looked at the certificate.
      yield* until(() => open === 0)
      expect(received).toBe("")
      return Option.getOrThrow(Cause.failureOption(cause))
    })

  it.scopedLive("has expired, or is not valid yet", () =>
    Effect.gen(function* () {
      const authority = yield* makeAuthority()
      for (const [validity, code] of [
        ["expired", "CERT_HAS_EXPIRED"],
        ["not yet valid", "CERT_NOT_YET_VALID"]
      ] as const) {
        const error = yield* refusal(yield* authority.issue(host, { validity }), { ca: authority.ca })
        expect(error).toMatchObject({ _tag: "ConnectError", reason: "Tls", code })
      }
    })
  )

  it.scopedLive("is of another name", () =>
    Effect.gen(function* () {
      const authority = yield* makeAuthority()
      const error = yield* refusal(yield* authority.issue("other.example.com"), { ca: authority.ca })
      expect(error).toMatchObject({ _tag: "ConnectError", reason: "Tls", code: "ERR_TLS_CERT_ALTNAME_INVALID" })
    })
  )

  it.scopedLive("is of an unknown authority", () =>
    Effect.gen(function* () {
      const authority = yield* makeAuthority()
      const error = yield* refusal(yield* authority.issue(host))
      expect(error).toMatchObject({ _tag: "ConnectError", reason: "Tls", code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" })
    })
  )

  it.scopedLive("is signed by itself", () =>
    Effect.gen(function* () {
      const error = yield* refusal(yield* selfSigned(host))
      expect(error).toMatchObject({ _tag: "ConnectError", reason: "Tls", code: "DEPTH_ZERO_SELF_SIGNED_CERT" })
    })
  )

  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    it.scopedLive(`never comes, as the handshake does not end, by ${maxVersion}`, () =>
      Effect.gen(function* () {
        const { accepted, authority, port } = yield* serve(host, { maxVersion })
        const proxy = yield* FaultProxy.make({ upstream: { host, port } })
        // The server's part of the handshake does not come through.
        yield* proxy.set(FaultProxy.blackHole({ direction: "ToClient" }))
        const service = yield* startService(NodeEndpoint.tls({ host, port: proxy.port, ca: authority.ca }), {
          prepare: (transport) => transport.write("secret"),
          connectTimeout: 50
        })
        const { cause } = yield* stateOf(service, "Waiting")
        expect(Option.getOrThrow(Cause.failureOption(cause))).toMatchObject({ _tag: "ConnectTimeout" })
        expect(yield* Queue.size(accepted)).toBe(0)
      })
    )
  }
})
