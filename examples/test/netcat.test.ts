import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import * as net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as LineServer from "../support/lineServer.js"
import { run } from "./program.js"

describe("the reconnecting netcat", () => {
  it.scopedLive("carries lines both ways, and on after the server was restarted, until Ctrl-C", () =>
    Effect.gen(function* () {
      const server = yield* echoingLines
      const program = yield* run("demo.ts", [`tcp://127.0.0.1:${server.port}`, "--retry-max", "100ms"])
      program.stdin.write("ECHO one\n")
      yield* program.stdout.until("+one\n")

      yield* server.shut
      yield* program.stderr.until("Waiting")
      program.stdin.write("ECHO two\nECHO three\n")
      yield* program.stderr.until("attempt 3")
      yield* server.listen
      yield* program.stdout.until("+three\n")

      yield* program.signal("SIGINT")
      expect(yield* program.ended).toBe(130)
      expect(program.stdout.text()).toBe("+one\n+two\n+three\n")
      expect(program.stderr.text()).toMatch(/Disconnecting\n.*Stopped\n$/)
    })
  )

  it.scopedLive("closes the connection at SIGTERM", () =>
    Effect.gen(function* () {
      const server = yield* echoingLines
      const program = yield* run("demo.ts", [`tcp://127.0.0.1:${server.port}`])
      yield* program.stderr.until("Connected")
      yield* program.signal("SIGTERM")
      expect(yield* program.ended).toBe(143)
    })
  )

  it.scopedLive("exits at once at a second Ctrl-C, though the peer does not close", () =>
    Effect.gen(function* () {
      const server = yield* listening({ port: 0, host: "127.0.0.1" }, { allowHalfOpen: true }, (socket) =>
        socket.resume()
      )
      const program = yield* run("demo.ts", [`tcp://127.0.0.1:${server.port}`])
      yield* program.stderr.until("Connected")
      yield* program.signal("SIGINT")
      yield* program.stderr.until("Disconnecting")
      yield* program.signal("SIGINT")
      expect(yield* program.ended).toBe("SIGINT")
    })
  )

  it.scopedLive("ends when its input has ended and the peer has answered", () =>
    Effect.gen(function* () {
      const server = yield* echoingLines
      const program = yield* run("demo.ts", [`tcp://127.0.0.1:${server.port}`])
      program.stdin.end("PING\nECHO no newline\nECHO x")
      expect(yield* program.ended).toBe(0)
      expect(program.stdout.text()).toBe("+PONG\n+no newline\n")
    })
  )

  it.scopedLive("carries all bytes as they are, over a Unix socket", () =>
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "netcat-"))),
        (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
      )
      const path = join(folder, "a socket")
      yield* listening({ path }, { allowHalfOpen: true }, (socket) => socket.pipe(socket))
      const bytes = randomBytes(2_000_000)
      const program = yield* run("demo.ts", [`unix://${encodeURI(path)}`])
      program.stdin.end(bytes)
      expect(yield* program.ended).toBe(0)
      expect(program.stdout.bytes().equals(bytes)).toBe(true)
    })
  )

  it.scopedLive("reads no input without bound while there is no connection", () =>
    Effect.gen(function* () {
      const port = yield* closedPort
      const program = yield* run("demo.ts", [`tcp://127.0.0.1:${port}`, "--retry-max", "50ms"])
      const bytes = 8_000_000
      program.stdin.write("x\n".repeat(bytes / 2))
      yield* program.stderr.until("attempt 5")
      expect(program.stdin.writableLength).toBeGreaterThan(0)
    })
  )

  it.scopedLive("gives up after so many failures in a row", () =>
    Effect.gen(function* () {
      const address = `tcp://127.0.0.1:${yield* closedPort}`
      const program = yield* run("demo.ts", [address, "--fail-after", "2", "--retry-max", "10ms"])
      expect(yield* program.ended).toBe(1)
      expect(program.stderr.text().match(/attempt \d/g)).toEqual(["attempt 1", "attempt 2"])
      expect(program.stderr.text()).toContain(
        `demo: ${address}: gave up after 2 failures in a row, the last: refused\n`
      )
    })
  )

  it.scopedLive("tells a server that speaks no TLS", () =>
    Effect.gen(function* () {
      const server = yield* echoingLines
      const program = yield* run("demo.ts", [`tls://127.0.0.1:${server.port}`, "--fail-after", "1"])
      expect(yield* program.ended).toBe(1)
      expect(program.stderr.text()).toMatch(/^demo: tls:.* the last: TLS failed \(ERR_SSL_\w+\)$/m)
    })
  )

  it.scopedLive("ends quietly when nobody reads its output any more", () =>
    Effect.gen(function* () {
      const server = yield* echoingLines
      const program = yield* run("demo.ts", [`tcp://127.0.0.1:${server.port}`])
      program.stdout.stream.destroy()
      yield* program.stderr.until("Connected")
      program.stdin.write("PING\n")
      expect(yield* program.ended).toBe(0)
      expect(program.stderr.text()).not.toContain("EPIPE")
    })
  )
})

describe("the command line", () => {
  const refused: ReadonlyArray<readonly [args: ReadonlyArray<string>, says: string]> = [
    [["tcp://user:secret@127.0.0.1:1"], "a URL with a user or a password is refused"],
    [["tcp://a:1", "tcp://user:secret@b:1"], "Received unknown argument: (a URL with credentials)"],
    [["tcp://a:1", "--retry-max", "soon"], "--retry-max takes a duration, such as 500ms, 5s or 2m"]
  ]
  for (const [args, says] of refused) {
    it.scopedLive(`refuses ${args.join(" ")} with one line`, () =>
      Effect.gen(function* () {
        const program = yield* run("demo.ts", args)
        expect(yield* program.ended).toBe(2)
        expect(program.stderr.text()).toBe(`demo: ${says}\n`)
        expect(program.stdout.text()).toBe("")
      })
    )
  }

  it.scopedLive("has a help that names every option", () =>
    Effect.gen(function* () {
      const program = yield* run("demo.ts", ["--help"])
      expect(yield* program.ended).toBe(0)
      expect(program.stderr.text()).toBe("")
      for (const word of ["tcp://host:port", "--retry-max", "--fail-after", "--speed", "Ctrl-C"]) {
        expect(program.stdout.text()).toContain(word)
      }
    })
  )
})

const echoingLines = LineServer.make((line, peer) => peer.send(LineServer.reply(line)))

const listening = (where: net.ListenOptions, options: net.ServerOpts, onSocket: (socket: net.Socket) => void) =>
  Effect.acquireRelease(
    Effect.async<{ readonly port: number; readonly close: () => void }>((resume) => {
      const sockets = new Set<net.Socket>()
      const server = net.createServer(options, (socket) => {
        sockets.add(socket.on("error", () => {}))
        onSocket(socket)
      })
      server.listen(where, () => {
        const address = server.address()
        resume(
          Effect.succeed({
            port: typeof address === "object" && address !== null ? address.port : 0,
            close: () => {
              server.close()
              for (const socket of sockets) socket.destroy()
            }
          })
        )
      })
    }),
    ({ close }) => Effect.sync(close)
  )

const closedPort = Effect.map(
  Effect.tap(
    LineServer.make(() => {}),
    (server) => server.shut
  ),
  ({ port }) => port
)
