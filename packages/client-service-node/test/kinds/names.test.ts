import { describe, expect, it } from "@effect/vitest"
import { Effect, Queue } from "effect"
import { FaultProxy, NodeEndpoint } from "effect-client-service-node"
import { resolvingTo } from "../support/addresses.js"
import { makeAuthority } from "../support/certificates.js"
import { echo, listen } from "../support/server.js"
import { connectOnce, failureOf } from "../support/service.js"

const port = 6379
const ascii = "xn--bcher-kva.example"

describe("names are checked, and normalised", () => {
  for (const host of ["bücher.example", "BÜCHER.Example", " bücher.example\n", "bücher.example.", ascii]) {
    it(`${JSON.stringify(host)} is ${ascii}`, () => {
      expect(NodeEndpoint.tcp({ host, port }).name).toBe(`tcp://${ascii}:${port}`)
      expect(NodeEndpoint.tls({ host, port }).name).toBe(`tls://${ascii}:${port}`)
    })

    it.scopedLive(`${JSON.stringify(host)} is asked for and checked as ${ascii}, by tls and wss:`, () =>
      Effect.gen(function* () {
        const authority = yield* makeAuthority()
        const { accepted, port } = yield* listen(echo, { tls: yield* authority.issue(ascii) })
        yield* resolvingTo("127.0.0.1")
        yield* connectOnce(NodeEndpoint.tls({ host, port, ca: authority.ca }))
        expect(yield* Queue.take(accepted)).toMatchObject({ servername: ascii })
        yield* connectOnce(NodeEndpoint.tls({ host: "127.0.0.1", port, ca: authority.ca, servername: host }))
        expect(yield* Queue.take(accepted)).toMatchObject({ servername: ascii })
        const url = `wss://${host.trim()}:${port}`
        const connecting = connectOnce(NodeEndpoint.webSocket(url, { tls: { ca: authority.ca } }))
        yield* Effect.forkScoped(connecting)
        expect(yield* Queue.take(accepted)).toMatchObject({ servername: ascii })
      })
    )
  }

  // Kind 12: The name of a host goes out as it was written, and the system or the peer takes it for another.
  it.scopedLive("a dot at the end has the name looked up as a whole, if it is one of the DNS", () =>
    Effect.gen(function* () {
      const { port } = yield* listen(echo)
      const names: Array<string> = []
      const lookups = yield* resolvingTo("127.0.0.1")
      yield* connectOnce(NodeEndpoint.tcp({ host: "DB.example.com.", port }))
      yield* connectOnce(NodeEndpoint.tcp({ host: "localhost.", port }))
      yield* connectOnce(NodeEndpoint.tcp({ host: "db.example.com", port }))
      names.push(...lookups.names())
      expect(names).toEqual(["db.example.com.", "localhost", "db.example.com"])
    })
  )

  // Kind 12
  it.scopedLive("an address may have the brackets of a URL", () =>
    Effect.gen(function* () {
      const { port } = yield* listen(echo, { host: "::1" })
      for (const host of ["[::1]", "0:0::1", " ::1 "]) {
        const transport = yield* connectOnce(NodeEndpoint.tcp({ host, port }))
        expect(transport.remote).toBe(`[::1]:${port}`)
      }
      yield* Effect.forkScoped(connectOnce(NodeEndpoint.webSocket(`ws://[::1]:${port}`)))
    })
  )

  const wrong = ["localhost\0.evil.example", "a b", "a..b", "user@localhost", "localhost:6379", "[localhost]", "a%2eb"]
  for (const host of wrong) {
    it(`${JSON.stringify(host)} is refused at once`, () => {
      const refusal = (option: string) => expect.objectContaining({ _tag: "InvalidOption", option })
      expect(() => NodeEndpoint.tcp({ host, port })).toThrow(refusal("host"))
      expect(() => NodeEndpoint.tls({ host, port })).toThrow(refusal("host"))
      expect(() => NodeEndpoint.tls({ host: "a", port, servername: host })).toThrow(refusal("servername"))
      expect(() => NodeEndpoint.tcp({ host: "a", port, localAddress: host })).toThrow(refusal("localAddress"))
      expect(() => NodeEndpoint.webSocket("wss://a", { tls: { servername: host } })).toThrow(refusal("servername"))
      expect(() => FaultProxy.make({ upstream: { host, port } })).toThrow(refusal("upstream.host"))
      expect(() => FaultProxy.make({ upstream: { host: "a", port }, host })).toThrow(refusal("host"))
    })
  }

  for (const host of ["a..b", "a".repeat(64), "localhost%00.evil.example", "localhost:0"]) {
    it.effect(`${host} in the URL of a WebSocket is refused, at once or at the attempt`, () =>
      Effect.gen(function* () {
        expect(() => NodeEndpoint.webSocket(`ws://${host}`)).toThrow(
          expect.objectContaining({ _tag: "InvalidOption", option: "url" })
        )
        const connecting = connectOnce(NodeEndpoint.webSocket(Effect.succeed(`ws://${host}`)))
        expect(yield* Effect.flip(Effect.scoped(connecting))).toMatchObject({ reason: "InvalidUrl" })
      })
    )
  }

  // Kind 12
  it("an address is refused that is not of the version of IP that is asked for", () => {
    const refusal = (option: string) => expect.objectContaining({ _tag: "InvalidOption", option })
    const make = (options: Partial<NodeEndpoint.TcpOptions>) => () => NodeEndpoint.tcp({ host: "a", port, ...options })
    expect(make({ host: "::1", family: 4 })).toThrow(refusal("host"))
    expect(make({ host: "127.0.0.1", localAddress: "::1" })).toThrow(refusal("host"))
    expect(make({ family: 4, localAddress: "::1" })).toThrow(refusal("family"))
    expect(() => NodeEndpoint.webSocket("ws://a", { family: 6, localAddress: "127.0.0.1" })).toThrow(refusal("family"))
    expect(make({ host: "127.0.0.1", family: 4, localAddress: "127.0.0.1" })).not.toThrow()
  })

  // Kind 12
  it.scopedLive("and so is that of the URL of a WebSocket, at the attempt if an Effect gives it", () =>
    Effect.gen(function* () {
      for (const [host, family] of [
        ["127.0.0.1", 6],
        ["[::1]", 4]
      ] as const) {
        const url = `ws://${host}:${port}`
        expect(() => NodeEndpoint.webSocket(url, { family })).toThrow(`an address of IPv${family}`)
        const error = yield* Effect.flip(connectOnce(NodeEndpoint.webSocket(Effect.succeed(url), { family })))
        expect(error.reason).toBe("InvalidUrl")
        expect(error.message).toContain(`an address of IPv${family}`)
      }
    })
  )

  // Kind 12
  it("the zone of an address in brackets may be escaped, as in a URL", () => {
    expect(NodeEndpoint.tcp({ host: "[fe80::1%25eth0]", port }).name).toBe(`tcp://[fe80::1%eth0]:${port}`)
    expect(NodeEndpoint.tcp({ host: "fe80::1%eth0", port }).name).toBe(`tcp://[fe80::1%eth0]:${port}`)
  })

  if (process.platform === "linux") {
    // Kind 12
    it.scopedLive("the zone of an address is not looked for in the certificate", () =>
      Effect.gen(function* () {
        const authority = yield* makeAuthority()
        const { port } = yield* listen(echo, { host: "::1", tls: yield* authority.issue("::1") })
        yield* connectOnce(NodeEndpoint.tls({ host: "::1", port, ca: authority.ca }))
        yield* connectOnce(NodeEndpoint.tls({ host: "::1%lo", port, ca: authority.ca }))
        const checked: Array<string> = []
        const checkServerIdentity = (host: string) => {
          checked.push(host)
          return undefined
        }
        yield* connectOnce(NodeEndpoint.tls({ host: "::1%lo", port, ca: authority.ca, checkServerIdentity }))
        expect(checked).toEqual(["::1"])
        const other = yield* listen(echo, { host: "::1", tls: yield* authority.issue("::2") })
        const error = yield* failureOf(NodeEndpoint.tls({ host: "::1%lo", port: other.port, ca: authority.ca }))
        expect(error.code).toBe("ERR_TLS_CERT_ALTNAME_INVALID")
      })
    )
  }

  // Kind 12
  it("a path is refused that would end at a NUL", () => {
    const refusal = expect.objectContaining({ _tag: "InvalidOption" })
    expect(() => NodeEndpoint.unix({ path: "/run/x\0y" })).toThrow(refusal)
    expect(() => FaultProxy.make({ upstream: { path: "/run/x\0y" } })).toThrow(refusal)
  })

  if (process.platform === "linux") {
    it.scopedLive("the path of an abstract socket begins with one", () =>
      Effect.gen(function* () {
        const endpoint = NodeEndpoint.unix({ path: "\0nobody listens here" })
        expect(endpoint).toMatchObject({
          name: "unix:@nobody listens here",
          server: { address: "@nobody listens here" }
        })
        expect(yield* failureOf(endpoint)).toMatchObject({ reason: "Refused", address: "@nobody listens here" })
      })
    )
  }
})
