import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import type { IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Tls from "node:tls"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Queue } from "effect"
import { type WebSocket, WebSocketServer } from "ws"
import { makeAuthority } from "../../client-service-node/test/support/certificates.js"
import { runHere, runToEnd } from "./support/keepalive.js"
import { echo, faulty } from "./support/server.js"

describe("tls:", () => {
  it.scopedLive("trusts --ca, shows --cert and --key, and asks for --servername", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const authority = yield* makeAuthority()
      const file = (name: string, content: string) => {
        writeFileSync(join(folder, name), content)
        return join(folder, name)
      }
      const server = yield* authority.issue("inner.example")
      const own = yield* authority.issue("client.example")
      const ca = file("ca", authority.ca)
      const port = yield* tlsServer({ ...server, ca: authority.ca, requestCert: true, rejectUnauthorized: true })
      const address = `tls://127.0.0.1:${port}`
      const trusting = [
        ...["--ca", ca, "--servername", "inner.example"],
        ...["--cert", file("cert", own.cert), "--key", file("key", own.key)]
      ]

      const program = yield* runHere([address, ...trusting])
      program.stdin.end("hello\n")
      expect(yield* program.ended).toBe(0)
      expect(program.stdout.text()).toBe("client.example hello\n")

      const once = ["--give-up-after", "1", "--no-input"]
      const untrusted = yield* runToEnd([address, ...once])
      expect(untrusted.code).toBe(1)
      expect(untrusted.stderr).toMatch(/the last: TLS failed \(\w*(CERT|ISSUER|SIGNATURE)\w*\)\n$/)
      const otherName = yield* runToEnd([address, "--ca", ca, ...once])
      expect(otherName.stderr).toMatch(/the last: TLS failed \(ERR_TLS_CERT_ALTNAME_INVALID\)\n$/)

      const plain = yield* faulty(echo)
      const noTls = yield* runToEnd([`tls://127.0.0.1:${plain.port}`, "--insecure", ...once])
      expect(noTls.stderr).toMatch(/the last: TLS failed \(ERR_SSL_\w+\)\n$/)

      const noPem = file("no-pem", "hello\n")
      const refused = yield* runToEnd([address, "--ca", noPem])
      expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("of ca, it has no certificate in PEM") })
      const noPair = yield* runToEnd([address, "--cert", file("cert", server.cert), "--key", file("key", own.key)])
      expect(noPair).toMatchObject({
        code: 2,
        stderr: expect.stringContaining("--ca, --cert and --key must be usable")
      })

      // It is read at every attempt, and may be no certificate any more.
      const renewed = yield* runHere([address, "--ca", file("renewed", authority.ca), "--max-delay", "10ms", "--json"])
      yield* renewed.stderr.until("ERR_TLS_CERT_ALTNAME_INVALID")
      file("renewed", "hello\n")
      yield* renewed.stderr.until("TLS failed (ca, cert, key, passphrase, ciphers or minVersion can't be used: of ca")

      const open = yield* tlsServer(server)
      const insecure = yield* runHere([`tls://127.0.0.1:${open}`, "--insecure"])
      insecure.stdin.end("x")
      expect(yield* insecure.ended).toBe(0)
      expect(insecure.stdout.text()).toBe("x")
    })
  )
})

describe("ws:", () => {
  it.scopedLive("sends lines as messages of text, with headers and credentials that nothing tells of", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      writeFileSync(join(folder, "headers"), "x-file: from-the-file\n")
      const server = yield* webSocketServer
      const program = yield* runHere([
        `ws://alice:s3cret@127.0.0.1:${server.port}/feed?token=s3cret`,
        ...["--header", "x-one: s3cret-1", "--header", `@${folder}/headers`],
        ...["--json", "--max-delay", "10ms", "--ping-interval", "5s"]
      ])
      const first = yield* Queue.take(server.accepted)
      expect(first.url).toBe("/feed?token=s3cret")
      expect(first.headers).toMatchObject({
        authorization: `Basic ${Buffer.from("alice:s3cret").toString("base64")}`,
        "x-one": "s3cret-1",
        "x-file": "from-the-file"
      })
      program.stdin.write("one\ntwo\n")
      expect([yield* Queue.take(server.received), yield* Queue.take(server.received)]).toEqual(["one", "two"])
      first.webSocket.send("three")
      yield* program.stdout.until("three\n")

      first.webSocket.close(4000, "go away")
      const second = yield* Queue.take(server.accepted)
      program.stdin.end("four")
      expect(yield* Queue.take(server.received)).toBe("four")
      second.webSocket.close()
      expect(yield* program.ended).toBe(0)
      expect(program.stdout.text()).toBe("three\n")
      expect(program.stderr.text()).toContain('closed with code 4000: \\"go away\\"')
      expect(program.stderr.text()).not.toContain("s3cret")
      expect(program.stderr.text()).not.toContain("from-the-file")
    })
  )

  it.scopedLive("carries bytes as they are with --binary, and tells a status of HTTP", () =>
    Effect.gen(function* () {
      const server = yield* webSocketServer
      const address = `ws://127.0.0.1:${server.port}/`
      const program = yield* runHere([address, "--binary"])
      const { webSocket } = yield* Queue.take(server.accepted)
      program.stdin.end("a\nb\n")
      expect(yield* Queue.take(server.received)).toEqual(Buffer.from("a\nb\n"))
      webSocket.close()
      expect(yield* program.ended).toBe(0)

      const { code, stderr } = yield* runToEnd([`${address}missing`, "--give-up-after", "1", "--json"])
      expect(code).toBe(1)
      expect(JSON.parse(stderr.split("\n").find((line) => line.includes("exhausted")) ?? "")).toMatchObject({
        error: { tag: "WebSocketOpenError", reason: "Status" }
      })
    })
  )
})

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "keepalive-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

/** Sends back what it is sent, behind the name of the client if that has a certificate. */
const tlsServer = (options: Tls.TlsOptions) =>
  Effect.acquireRelease(
    Effect.async<Tls.Server>((resume) => {
      const server = Tls.createServer({ ...options, allowHalfOpen: true }, (socket) => {
        const name = socket.getPeerCertificate().subject?.CN
        if (name !== undefined) socket.write(`${name} `)
        socket.on("error", () => {}).pipe(socket)
      })
      server.on("tlsClientError", () => {})
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  ).pipe(Effect.map((server) => (server.address() as AddressInfo).port))

interface Accepted {
  readonly webSocket: WebSocket
  readonly url: string | undefined
  readonly headers: IncomingHttpHeaders
}

const webSocketServer = Effect.gen(function* () {
  const accepted = yield* Queue.unbounded<Accepted>()
  const received = yield* Queue.unbounded<string | Buffer>()
  const server = yield* Effect.acquireRelease(
    Effect.async<WebSocketServer>((resume) => {
      const server = new WebSocketServer({
        port: 0,
        host: "127.0.0.1",
        verifyClient: ({ req }, answer: (accepts: boolean, status?: number) => void) =>
          answer(req.url !== "/missing", 404)
      })
      server.on("connection", (webSocket, { headers, url }) => {
        webSocket.on("message", (data: Buffer, isBinary) => received.unsafeOffer(isBinary ? data : data.toString()))
        accepted.unsafeOffer({ webSocket, url, headers })
      })
      server.on("listening", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.sync(() => {
        server.close()
        for (const webSocket of server.clients) webSocket.terminate()
      })
  )
  return { port: (server.address() as AddressInfo).port, accepted, received }
})
