import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Stream, TestClock } from "effect"
import { Endpoint, Incoming } from "effect-client-service"
import type { Transport, TransportError } from "effect-client-service/Transport"
import { listen } from "../src/internal/mode/listen.js"
import { run, runHere } from "./support/keepalive.js"
import { client, closedPort, echo, faulty, flood, listening } from "./support/server.js"

/** A local port of an endpoint, and the end of its client. */
const listenFor = (endpoint: Endpoint.Endpoint<Transport, TransportError>) =>
  Effect.gen(function* () {
    const port = yield* Deferred.make<number>()
    const closed = yield* Deferred.make<void>()
    yield* Effect.forkScoped(
      listen({
        host: "127.0.0.1",
        port: 0,
        maxWait: Duration.minutes(1),
        halfOpen: Duration.minutes(1),
        upstream: { address: "server", endpoint },
        patience: {
          initialDelay: Duration.minutes(1),
          maxDelay: Duration.minutes(1),
          giveUpAfter: Number.POSITIVE_INFINITY,
          connectTimeout: Duration.minutes(1),
          resetAfter: Duration.minutes(1),
          maxAge: Duration.infinity,
          idleTimeout: undefined
        },
        report: {
          happened: (happening) => {
            if (happening.event === "listening") return Deferred.succeed(port, happening.port)
            return happening.event === "closed" ? Deferred.succeed(closed, undefined) : Effect.void
          },
          state: () => Effect.void,
          stderr: () => ({ take: () => {}, end: () => {} })
        }
      })
    )
    return { port: yield* Deferred.await(port), closed: Deferred.await(closed) }
  })

describe("a local port", () => {
  it.scopedLive("stays up while what is behind it comes and goes, as a process, until SIGTERM", () =>
    Effect.gen(function* () {
      const server = yield* faulty(echo)
      const program = yield* run([server.address, "--listen", "0", "--json", "--max-delay", "20ms"])
      yield* program.stderr.until("listening")
      const port = Number(/"event":"listening".*"port":(\d+)/.exec(program.stderr.text())?.[1])
      expect(yield* server.accepted).toBe(0)

      // Each client has a connection of its own.
      const one = yield* client(port)
      const two = yield* client(port)
      one.socket.write("from one")
      two.socket.write("from two")
      yield* one.until("from one")
      yield* two.until("from two")
      expect([one.text(), two.text(), yield* server.accepted]).toEqual(["from one", "from two", 2])

      // Both are closed when theirs is lost, and told that it was no clean end.
      yield* server.shut
      expect([yield* one.closed, yield* two.closed]).toEqual(["ECONNRESET", "ECONNRESET"])

      // A client that comes meanwhile waits, and what it has sent with it.
      const three = yield* client(port)
      three.socket.end("from three")
      yield* program.stderr.until('"client":3,"attempt":3')
      yield* server.heal
      yield* three.until("from three")
      expect(yield* three.closed).toBe("clean")
      yield* program.stderr.until(`"event":"closed","service":"tcp://127.0.0.1:${server.port}","client":3}`)

      // One that leaves takes its connection with it.
      const four = yield* client(port)
      four.socket.write("x")
      yield* four.until("x")
      four.socket.resetAndDestroy()
      yield* program.stderr.until('"client":4}')
      const five = yield* client(port)
      five.socket.write("y")
      yield* five.until("y")
      yield* program.signal("SIGTERM")
      expect(yield* program.ended).toBe(143)
      // What it has received may lack its end.
      expect(yield* five.closed).toBe("ECONNRESET")
      expect(program.stderr.text()).toMatch(/"event":"exit","code":143}\n$/)
      expect(yield* server.open).toBe(0)
    })
  )

  it.scopedLive("closes a client that waits for longer than --max-wait, or whose service gives up", () =>
    Effect.gen(function* () {
      const away = `tcp://127.0.0.1:${yield* closedPort}`
      const waiting = yield* runHere([away, "--listen", "127.0.0.1:0", "--max-wait", "50ms"])
      const givingUp = yield* runHere([away, "--listen", "0", "--give-up-after", "1"])
      for (const [program, why] of [
        [waiting, "no connection within 0.05 s"],
        [givingUp, "gave up after 1 failure in a row, the last: refused"]
      ] as const) {
        yield* program.stderr.until("listening")
        const { closed } = yield* client(yield* portOf(program.stderr.text()))
        expect(yield* closed).toBe("ECONNRESET")
        yield* program.stderr.until(why)
        yield* program.stderr.until("#1 closed: ")
      }
    })
  )

  it.scopedLive("carries each direction to its end, and gives the peer the end of a client", () =>
    Effect.gen(function* () {
      const server = yield* listening({ port: 0, host: "127.0.0.1" }, (socket) => {
        let bytes = 0
        socket.on("data", (chunk: Buffer) => {
          bytes += chunk.length
        })
        socket.on("end", () => socket.end(`got ${bytes}`))
      })
      const program = yield* runHere([`tcp://127.0.0.1:${server.port}`, "--listen", "0"])
      yield* program.stderr.until("listening")
      const { closed, socket, text } = yield* client(yield* portOf(program.stderr.text()))
      socket.end(Buffer.alloc(3_000_000))
      expect(yield* closed).toBe("clean")
      expect(text()).toBe("got 3000000")
    })
  )

  it.scopedLive("gives a server that has ended first all that its client still sends", () =>
    Effect.gen(function* () {
      const heard = yield* Deferred.make<number>()
      const server = yield* listening({ port: 0, host: "127.0.0.1" }, (socket) => {
        let bytes = 0
        socket.end("bye")
        socket.on("data", (chunk: Buffer) => {
          bytes += chunk.length
        })
        socket.on("end", () => Deferred.unsafeDone(heard, Effect.succeed(bytes)))
      })
      const program = yield* runHere([`tcp://127.0.0.1:${server.port}`, "--listen", "0", "--json"])
      yield* program.stderr.until("listening")
      const { closed, socket, text } = yield* client(Number(/"port":(\d+)/.exec(program.stderr.text())?.[1]))
      expect(yield* closed).toBe("clean")
      // Longer than whoever has read to the end has to act on it.
      yield* Effect.sleep("50 millis")
      socket.write(Buffer.alloc(2_000_000))
      yield* Effect.sleep("50 millis")
      socket.end(Buffer.alloc(1_000_000))
      expect(yield* Deferred.await(heard)).toBe(3_000_000)
      expect(text()).toBe("bye")
      yield* program.stderr.until('"event":"closed"')
      const events = program.stderr.events().map(({ event }) => event)
      expect(events.slice(events.indexOf("connected"))).toEqual(["connected", "disconnecting", "stopped", "closed"])
    })
  )

  it.scopedLive("closes a client that is silent for --half-open after its server has ended", () =>
    Effect.gen(function* () {
      const ended = yield* Deferred.make<void>()
      const server = yield* listening({ port: 0, host: "127.0.0.1" }, (socket) => {
        socket.end("bye").resume()
        socket.on("end", () => Deferred.unsafeDone(ended, Effect.void))
      })
      const program = yield* runHere([`tcp://127.0.0.1:${server.port}`, "--listen", "0", "--half-open", "100ms"])
      yield* program.stderr.until("listening")
      const { closed, socket } = yield* client(yield* portOf(program.stderr.text()))
      expect(yield* closed).toBe("clean")
      for (let i = 0; i < 4; i++) {
        yield* Effect.sleep("50 millis")
        socket.write("still here")
        expect(yield* Deferred.isDone(ended)).toBe(false)
      }
      yield* Deferred.await(ended)
      yield* program.stderr.until("#1 closed\n")
    })
  )

  it.scoped("waits for a server that has ended first to take what its client has sent, which is not silent then", () =>
    Effect.gen(function* () {
      const isWriting = yield* Deferred.make<void>()
      const takes = yield* Deferred.make<void>()
      const heard: Array<number> = []
      const endpoint = Endpoint.make({
        name: "server",
        connect: () =>
          Effect.map(Incoming.make<never>({ lost: () => {}, linger: 0, capacity: 1 }), (incoming): Transport => {
            let bytes = 0
            incoming.end()
            return {
              remote: "server",
              incoming: incoming.stream,
              write: (chunk) =>
                Effect.gen(function* () {
                  yield* Deferred.succeed(isWriting, undefined)
                  yield* Deferred.await(takes)
                  bytes += chunk.length
                }),
              end: Effect.sync(() => void heard.push(bytes))
            }
          })
      })
      const { closed, port } = yield* listenFor(endpoint)
      const { closed: ended, socket } = yield* client(port)
      expect(yield* ended).toBe("clean")
      socket.write("all there is")
      yield* Deferred.await(isWriting)
      for (let minute = 0; minute < 5; minute++) yield* TestClock.adjust("1 minute")
      yield* Deferred.succeed(takes, undefined)
      yield* Effect.raceFirst(closed, Effect.forever(TestClock.adjust("1 minute")))
      expect(heard).toEqual(["all there is".length])
    })
  )

  it.scopedLive("hears a client after a stall of its own that was longer than --half-open", () =>
    Effect.gen(function* () {
      const heard = yield* Deferred.make<string>()
      const server = yield* listening({ port: 0, host: "127.0.0.1" }, (socket) => {
        let text = ""
        socket.end("bye").on("data", (chunk: Buffer) => {
          text += chunk.toString()
        })
        socket.on("end", () => Deferred.unsafeDone(heard, Effect.succeed(text)))
      })
      const program = yield* runHere([`tcp://127.0.0.1:${server.port}`, "--listen", "0", "--half-open", "50ms"])
      yield* program.stderr.until("listening")
      const { closed, socket } = yield* client(yield* portOf(program.stderr.text()))
      expect(yield* closed).toBe("clean")
      socket.write("still here")
      const until = performance.now() + 100
      while (performance.now() < until) {}
      expect(yield* Deferred.await(heard)).toBe("still here")
    })
  )

  it.scopedLive("goes on with a process that has closed its output", () =>
    Effect.gen(function* () {
      const folder = mkdtempSync(join(tmpdir(), "keepalive-"))
      yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true })))
      const file = join(folder, "heard")
      const program = yield* runHere([`exec:sh -c 'echo bye; exec 1>&-; cat > "${file}"'`, "--listen", "0"])
      yield* program.stderr.until("listening")
      const { closed, socket, text } = yield* client(yield* portOf(program.stderr.text()))
      expect(yield* closed).toBe("clean")
      expect(text()).toBe("bye\n")
      socket.end("and you?")
      yield* program.stderr.until("#1 closed")
      expect(readFileSync(file, "utf8")).toBe("and you?")
    })
  )

  it.scopedLive("gives a client that is slow to read all that its server has sent before it ended", () =>
    Effect.gen(function* () {
      const lost = yield* Deferred.make<void>()
      // More than the system holds for a client that does not read.
      const endpoint = Endpoint.make({
        name: "server",
        connect: (signal: Endpoint.ConnectionSignal<TransportError>) =>
          Effect.map(
            Effect.acquireRelease(
              Incoming.make<never>({
                lost: (error) => {
                  signal.lost(error)
                  Deferred.unsafeDone(lost, Effect.void)
                },
                linger: 10,
                capacity: 100_000_000
              }),
              (incoming) => Effect.sync(() => incoming.close())
            ),
            (incoming): Transport => {
              const send = Effect.sync(() => {
                for (let block = 0; block < 30; block++) incoming.offer(Buffer.alloc(1_000_000))
                incoming.end()
                return incoming.stream
              })
              return { remote: "server", incoming: Stream.unwrap(send), write: () => Effect.void, end: Effect.void }
            }
          )
      })
      const { port } = yield* listenFor(endpoint)
      const { closed, socket, text } = yield* client(port)
      socket.pause()
      yield* Deferred.await(lost)
      socket.resume()
      expect(yield* closed).toBe("clean")
      expect(text().length).toBe(30_000_000)
    })
  )

  it.scopedLive("holds either side back while the other does not read", () =>
    Effect.gen(function* () {
      const server = yield* flood
      const program = yield* runHere([`tcp://127.0.0.1:${server.port}`, "--listen", "0"])
      yield* program.stderr.until("listening")
      const { socket } = yield* client(yield* portOf(program.stderr.text()))
      socket.pause()
      socket.write(Buffer.alloc(60_000_000))
      expect(yield* server.heldBack).toBeLessThan(100_000_000)
      expect(socket.writableLength).toBeGreaterThan(0)
    })
  )

  it.scopedLive("gives each client a process of its own", () =>
    Effect.gen(function* () {
      const program = yield* runHere(["exec:sh -c 'echo $$; cat'", "--listen", "0"])
      yield* program.stderr.until("listening")
      const port = yield* portOf(program.stderr.text())
      const clients = yield* Effect.all([client(port), client(port)])
      for (const { socket, until } of clients) {
        socket.write("hello\n")
        yield* until("hello\n")
      }
      const [one, two] = clients.map(({ text }) => /^\d+\nhello\n$/.exec(text())?.[0])
      expect(one).toBeDefined()
      expect(two).not.toBe(one)
    })
  )
})

const portOf = (text: string) => Effect.sync(() => Number(/listening on 127\.0\.0\.1:(\d+)/.exec(text)?.[1]))
