import { describe, expect, it } from "@effect/vitest"
import { Effect, Inspectable } from "effect"
import { InvalidOption } from "effect-client-service"
import { ChildProcessEndpoint, NodeEndpoint } from "effect-client-service-node"
import { makeAuthority } from "./support/certificates.js"

const host = "127.0.0.1"
const port = 6379

const refusal = (make: () => unknown): InvalidOption.InvalidOption => {
  try {
    make()
  } catch (error) {
    if (error instanceof InvalidOption.InvalidOption) return error
    throw error
  }
  throw new Error("it was not refused")
}

// What a program without types may pass.
const untyped = (value: unknown): never => value as never

const webSocket = (options: Record<string, unknown> | null) => NodeEndpoint.webSocket("wss://h", untyped(options))

describe("options", () => {
  it.each([
    ["host", () => NodeEndpoint.tcp({ host: "", port })],
    ["host", () => NodeEndpoint.tls({ host: "  ", port })],
    ["port", () => NodeEndpoint.tcp({ host, port: 0 })],
    ["port", () => NodeEndpoint.tcp({ host, port: 65536 })],
    ["port", () => NodeEndpoint.tcp({ host, port: 1.5 })],
    ["port", () => NodeEndpoint.tls({ host, port: Number.NaN })],
    // @ts-expect-error: what a program without types may pass.
    ["port", () => NodeEndpoint.tcp({ host, port: null })],
    // @ts-expect-error
    ["port", () => NodeEndpoint.tcp({ host, port: undefined })],
    // @ts-expect-error
    ["port", () => NodeEndpoint.tcp({ host, port: "80" })],
    ["localAddress", () => NodeEndpoint.tcp({ host, port, localAddress: "localhost" })],
    ["localAddress", () => NodeEndpoint.tls({ host, port, localAddress: "" })],
    // @ts-expect-error: there is no such version of IP
    ["family", () => NodeEndpoint.tcp({ host, port, family: 5 })],
    ["attemptDelay", () => NodeEndpoint.tcp({ host, port, attemptDelay: -1 })],
    ["attemptDelay", () => NodeEndpoint.tls({ host, port, attemptDelay: Number.NaN })],
    ["keepAliveInitialDelay", () => NodeEndpoint.tcp({ host, port, keepAliveInitialDelay: -1 })],
    ["linger", () => NodeEndpoint.tcp({ host, port, linger: Number.NaN })],
    ["linger", () => NodeEndpoint.unix({ path: "/run/x", linger: Number.POSITIVE_INFINITY })],
    ["name", () => NodeEndpoint.tcp({ host, port, name: "" })],
    ["path", () => NodeEndpoint.unix({ path: "" })],
    ["servername", () => NodeEndpoint.tls({ host, port, servername: "10.0.0.1" })],
    ["lookupTimeout", () => NodeEndpoint.tcp({ host, port, lookupTimeout: 0 })],
    // @ts-expect-error: it is no function
    ["checkServerIdentity", () => NodeEndpoint.tls({ host, port, checkServerIdentity: "fingerprint" })],
    ["ALPNProtocols", () => NodeEndpoint.tls({ host, port, ALPNProtocols: ["h2", ""] })],
    ["ALPNProtocols", () => NodeEndpoint.tls({ host, port, ALPNProtocols: ["x".repeat(256)] })],
    ["command", () => ChildProcessEndpoint.make("")],
    ["command", () => ChildProcessEndpoint.make("node\0.exe")],
    // @ts-expect-error: one text is no array of them
    ["args", () => ChildProcessEndpoint.make("node", "--stdio")],
    ["args", () => ChildProcessEndpoint.make("node", ["a\0b"])],
    ["cwd", () => ChildProcessEndpoint.make("node", [], { cwd: "" })],
    ["env", () => ChildProcessEndpoint.make("node", [], { env: { "A=B": "c" } })],
    ["env", () => ChildProcessEndpoint.make("node", [], { env: { A: "b\0c" } })],
    // @ts-expect-error: there is no such signal
    ["killSignal", () => ChildProcessEndpoint.make("node", [], { killSignal: "SIGNO" })],
    ["killTimeout", () => ChildProcessEndpoint.make("node", [], { killTimeout: -1 })],
    ["linger", () => ChildProcessEndpoint.make("node", [], { linger: Number.POSITIVE_INFINITY })],
    ["receiveBuffer", () => ChildProcessEndpoint.make("node", [], { receiveBuffer: 0 })],
    ["stderrTail", () => ChildProcessEndpoint.make("node", [], { stderrTail: -1 })],
    // @ts-expect-error: it is no function
    ["onStderr", () => ChildProcessEndpoint.make("node", [], { onStderr: "inherit" })],
    ["name", () => ChildProcessEndpoint.make("node", [], { name: " " })],
    ["options", () => NodeEndpoint.tcp(untyped(null))],
    ["options", () => NodeEndpoint.tls(untyped(null))],
    ["options", () => NodeEndpoint.unix(untyped(null))],
    ["options", () => webSocket(null)],
    ["options", () => ChildProcessEndpoint.make("node", [], untyped(null))],
    ["keepAlive", () => NodeEndpoint.tcp({ host, port, keepAlive: untyped("false") })],
    ["noDelay", () => NodeEndpoint.tcp({ host, port, noDelay: untyped(0) })],
    ["allowHalfOpen", () => NodeEndpoint.tcp({ host, port, allowHalfOpen: untyped("no") })],
    ["allowHalfOpen", () => NodeEndpoint.unix({ path: "/x", allowHalfOpen: untyped(1) })],
    ["allowHalfOpen", () => ChildProcessEndpoint.make("node", [], { allowHalfOpen: untyped("false") })],
    ["extendEnv", () => ChildProcessEndpoint.make("node", [], { extendEnv: untyped("false") })],
    ["rejectUnauthorized", () => NodeEndpoint.tls({ host, port, rejectUnauthorized: untyped("false") })],
    ["credentials", () => NodeEndpoint.tls({ host, port, credentials: untyped({ ca: "x" }) })],
    ["tls", () => webSocket({ tls: true })],
    ["headers", () => webSocket({ headers: "a: b" })],
    ["headers", () => webSocket({ headers: { a: null } })],
    ["closeCodes", () => webSocket({ closeCodes: 3000 })],
    ["protocols", () => webSocket({ protocols: 5 })],
    ["ping", () => webSocket({ ping: true })],
    ["ping", () => webSocket({ ping: 0 })],
    ["perMessageDeflate", () => webSocket({ perMessageDeflate: "yes" })]
  ])("refuses a bad %s", (option, make) => {
    expect(refusal(make).option).toBe(option)
  })

  it("take null for what is not given", () => {
    const none = { closeCodes: null, headers: null, keepAlive: null, maxPayload: null, noDelay: null, ping: null }
    webSocket({ ...none, perMessageDeflate: null, protocols: null, receiveBuffer: null, tls: null })
    NodeEndpoint.tls(untyped({ host, port, allowHalfOpen: null, credentials: null, rejectUnauthorized: null }))
    ChildProcessEndpoint.make("node", [], untyped({ allowHalfOpen: null, extendEnv: null, onStderr: null }))
  })

  it("does not show the arguments and the environment of a process that it refuses", () => {
    const errors = [
      refusal(() => ChildProcessEndpoint.make("node", ["hunter2", "\0"])),
      refusal(() => ChildProcessEndpoint.make("node", [], { env: { TOKEN: "hunter2\0" } }))
    ]
    for (const error of errors) expect(Inspectable.toStringUnknown(error) + error.message).not.toContain("hunter2")
  })

  it.effect("refuses a key that is none or not that of the certificate, and does not show it", () =>
    Effect.gen(function* () {
      const authority = yield* makeAuthority()
      const [a, b] = yield* Effect.all([authority.issue("a"), authority.issue("b")])
      for (const key of ["secret", b.key]) {
        const error = refusal(() => NodeEndpoint.tls({ host, port, cert: a.cert, key }))
        expect(error.option).toContain("key")
        expect(Inspectable.toStringUnknown(error) + error.message).not.toContain(key.split("\n")[1] ?? key)
      }
    })
  )

  // Kind 13
  it.effect("refuses a certificate and a key that are empty, at every attempt too, and no ciphers", () =>
    Effect.gen(function* () {
      const { cert, key } = yield* Effect.flatMap(makeAuthority(), (authority) => authority.issue("a"))
      for (const pair of [
        { cert, key: "" },
        { cert, key: "\n" },
        { cert: "", key },
        { cert: "", key: "" },
        { cert: "\n", key: Buffer.of() }
      ]) {
        expect(refusal(() => NodeEndpoint.tls({ host, port, ...pair })).message).toContain("it is empty")
        const fresh = { cert: Effect.succeed(pair.cert), key: Effect.succeed(pair.key) }
        const { connect } = NodeEndpoint.tls({ host, port: 1, ...fresh })
        const error = yield* Effect.flip(Effect.scoped(connect({ lost: () => {} })))
        expect(error).toMatchObject({ _tag: "ConnectError", reason: "Tls" })
        expect(error.message).toContain("it is empty")
      }
      expect(refusal(() => NodeEndpoint.tls({ host, port, ciphers: "" })).option).toContain("ciphers")
    })
  )

  it("names an endpoint after its address", () => {
    expect(NodeEndpoint.tcp({ host, port }).name).toBe("tcp://127.0.0.1:6379")
    expect(NodeEndpoint.tcp({ host: "::1", port }).name).toBe("tcp://[::1]:6379")
    expect(NodeEndpoint.tls({ host: "db.example.com", port }).name).toBe("tls://db.example.com:6379")
    expect(NodeEndpoint.unix({ path: "/run/docker.sock" }).name).toBe("unix:///run/docker.sock")
    expect(NodeEndpoint.unix({ path: "run/docker.sock" }).name).toBe("unix:run/docker.sock")
    expect(NodeEndpoint.unix({ path: "/run/docker.sock", name: "docker" }).name).toBe("docker")
  })
})
