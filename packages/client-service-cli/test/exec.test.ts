import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import type * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Queue } from "effect"
import { run, runHere, runToEnd } from "./support/keepalive.js"
import { echo, faulty, listening } from "./support/server.js"

describe("a command at each connection", () => {
  it.scopedLive("has the connection as its input and output, and is ended with all that it has started", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const log = join(folder, "log")
      const server = yield* faulty(echo)
      const command = [
        `echo "$KEEPALIVE_SERVICE $KEEPALIVE_ADDRESS $KEEPALIVE_GENERATION"`,
        `read line; echo "$line" >> '${log}'`,
        `sleep 600 & echo $! >> '${log}'`,
        "echo started >&2",
        "wait"
      ].join("; ")
      const program = yield* run([server.address, "--exec", command, "--name", "mine", "--max-delay", "20ms"])
      yield* program.stderr.until("started\n")
      yield* server.shut
      yield* program.stderr.until("attempt 2")
      yield* server.heal
      yield* program.stderr.until("started\n", 2)
      yield* program.signal("SIGHUP")
      expect(yield* program.ended).toBe(129)
      expect(program.stdout.text()).toBe("")

      const [first, one, second, two] = readFileSync(log, "utf8").split("\n")
      expect([first, second]).toEqual([`mine ${server.address} 1`, `mine ${server.address} 2`])
      for (const pid of [one, two]) expect(isRunning(Number(pid)), `process ${pid}`).toBe(false)
    })
  )

  it.scopedLive("that ends with 0 has ended it all, once what it has written is sent", () =>
    Effect.gen(function* () {
      const received = yield* Queue.unbounded<Buffer>()
      const { port } = yield* listening({ port: 0, host: "127.0.0.1" }, collect(received))
      const { code, stderr, stdout } = yield* runToEnd([
        `tcp://127.0.0.1:${port}`,
        "--exec",
        "head -c 1000000 /dev/zero"
      ])
      expect({ code, stdout }).toEqual({ code: 0, stdout: "" })
      expect((yield* Queue.take(received)).length).toBe(1_000_000)
      expect(stderr).toMatch(/Disconnecting\n.*Stopped\n$/)
    })
  )

  it.scopedLive("that ends with anything else is run again, on another connection, until it is given up", () =>
    Effect.gen(function* () {
      const server = yield* faulty(echo)
      const { code, stderr } = yield* runToEnd([
        server.address,
        "--exec",
        "echo secret; echo how >&2; printf why >&2; exit 3",
        "--give-up-after",
        "2",
        "--max-delay",
        "10ms",
        "--json"
      ])
      expect(code).toBe(1)
      expect(yield* server.accepted).toBe(2)
      const events: ReadonlyArray<Record<string, unknown>> = stderr
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line))
      expect(events.filter(({ event }) => event === "stderr").map(({ text }) => text)).toEqual([
        ...["how", "why"],
        ...["how", "why"]
      ])
      expect(events.find(({ event }) => event === "waiting")?.["error"]).toEqual({
        tag: "ChildProcessError",
        message: "sh: the process ended with exit code 3: why",
        reason: "Exited"
      })
      expect(stderr).not.toContain("secret")
    })
  )

  it.scopedLive("may read nothing and close its input, and still writes", () =>
    Effect.gen(function* () {
      const received = yield* Queue.unbounded<Buffer>()
      const { port } = yield* listening({ port: 0, host: "127.0.0.1" }, (socket) => {
        socket.write(Buffer.alloc(3_000_000))
        collect(received)(socket)
      })
      const { code, stderr } = yield* runToEnd([
        `tcp://127.0.0.1:${port}`,
        "--exec",
        // Longer than a process has that closes its input, and is no transport of half a connection.
        "exec 0<&-; sleep 1.5; echo late"
      ])
      expect({ code, attempts: stderr.split("attempt").length - 1 }).toEqual({ code: 0, attempts: 1 })
      expect(String(yield* Queue.take(received))).toBe("late\n")
    })
  )

  it.scopedLive("that reads nothing holds up neither another attempt nor the end", () =>
    Effect.gen(function* () {
      const server = yield* faulty((socket) => {
        socket.write(Buffer.alloc(300_000))
        socket.on("end", () => socket.end()).resume()
      })
      const program = yield* runHere([server.address, "--exec", "exec sleep 600", "--max-delay", "10ms"])
      yield* program.stderr.until("connection 1\n")
      yield* server.shut
      yield* server.heal
      yield* program.stderr.until("connection 2\n")
      const before = Date.now()
      yield* program.interrupt
      expect(Date.now() - before).toBeLessThan(9_000)
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => Effect.map(server.open, (open) => open === 0) })
    })
  )

  it.scopedLive("is given the end of the connection, and is run again though it then ends with 0", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const { port } = yield* listening({ port: 0, host: "127.0.0.1" }, (socket) => socket.end("all\n"))
      const program = yield* runHere([
        `tcp://127.0.0.1:${port}`,
        "--exec",
        `cat > '${folder}/'$KEEPALIVE_GENERATION`,
        "--max-delay",
        "10ms"
      ])
      yield* program.stderr.until("connection 3")
      expect(readFileSync(join(folder, "1"), "utf8")).toBe("all\n")
      expect(readFileSync(join(folder, "2"), "utf8")).toBe("all\n")
    })
  )
})

describe("a process as what is connected to", () => {
  it.scopedLive("is replaced when it ends, and its errors are told", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const script = join(folder, "a script.sh")
      writeFileSync(script, `read line; echo "$line, says $$"; echo dying >&2; exit 1`)
      const program = yield* runHere([`exec:sh '${script}'`, "--max-delay", "10ms"])
      program.stdin.write("one\n")
      yield* program.stdout.until("says", 1)
      yield* program.stderr.until("dying\n")
      yield* program.stderr.until("connection 2")
      program.stdin.write("two\n")
      yield* program.stdout.until("says", 2)
      const [, first, second] = /^one, says (\d+)\ntwo, says (\d+)\n$/.exec(program.stdout.text()) ?? []
      expect(first).not.toBe(second)
      expect(program.stderr.text()).toContain("sh: the process ended with exit code 1: dying")
    })
  )

  it.live("that cannot be started is told", () =>
    Effect.gen(function* () {
      const { code, stderr } = yield* runToEnd(["exec:/no/such --password secret", "--give-up-after", "1"])
      expect(code).toBe(1)
      expect(stderr).toContain("there is no such command")
      expect(stderr).not.toContain("secret")
    })
  )
})

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "keepalive-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    // One that has ended and that nobody has waited for is there, too.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return false
  }
}

const collect = (received: Queue.Enqueue<Buffer>) => (socket: Net.Socket) => {
  const chunks: Array<Buffer> = []
  socket.on("data", (chunk: Buffer) => chunks.push(chunk))
  socket.on("end", () => {
    received.unsafeOffer(Buffer.concat(chunks))
    socket.end()
  })
}
