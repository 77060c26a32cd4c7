import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Data, Effect, Exit, Fiber, Logger, LogLevel, Scope, Stream } from "effect"
import { ClientService, RetryPolicy, type Transport } from "effect-client-service"
import { ChildProcessEndpoint } from "effect-client-service-node"
import { run } from "../support/child.js"
import { connect, folder, inGroup, node, running, shell } from "../support/processes.js"
import { connectOnce, readText, startService, stateOf } from "../support/service.js"
import { turns, until } from "../support/turns.js"
import { nothingUncaught } from "../support/uncaught.js"

const MiB = 1024 * 1024

const linesOf = ({ incoming }: Transport.Transport) => incoming.pipe(Stream.decodeText(), Stream.splitLines)

const textOf = (transport: Transport.Transport) => Stream.mkString(Stream.decodeText(transport.incoming))

describe("a process is a connection", () => {
  // Kind 15: A child process dies, hangs or is left behind, and so is whoever waits for its answer.
  it.scopedLive("what is written is its input, and what comes is its output", () =>
    Effect.gen(function* () {
      const { transport } = yield* connect(shell("cat"))
      yield* transport.write("hello, ")
      yield* transport.write(new TextEncoder().encode("world"))
      yield* transport.end
      expect(yield* textOf(transport)).toBe("hello, world")
      expect(transport.remote).toBe(`sh (pid ${transport.pid})`)
    })
  )

  // Kind 15
  it.scopedLive("all that it wrote before its exit is the reader's, then the end, and then the loss", () =>
    Effect.gen(function* () {
      const lines = Array.from({ length: 200 }, (_, i) => `${i}`)
      const { isLost, loss, transport } = yield* connect(shell(`for i in $(seq 0 199); do echo $i; done`))
      const seen = yield* linesOf(transport).pipe(
        Stream.tap(() => turns(2)),
        Stream.tap(() => Effect.map(isLost, (isLost) => expect(isLost).toBe(false))),
        Stream.runCollect
      )
      expect(Chunk.toReadonlyArray(seen)).toEqual(lines)
      expect(yield* loss).toMatchObject({ reason: "Exited", exitCode: 0 })
    })
  )

  // Kind 15
  it.scopedLive("more than fits into any buffer is the reader's too, though the process has ended", () =>
    Effect.gen(function* () {
      const { loss, transport } = yield* connect(shell("head -c 700000 /dev/zero"))
      // Held back by now, and by then ended.
      yield* Stream.runHead(transport.incoming)
      yield* until(() => inGroup(transport.pid).length === 0)
      const first = yield* Effect.flatten(Stream.runHead(transport.incoming))
      const length = yield* Stream.runFold(transport.incoming, first.length, (sum, { length }) => sum + length)
      expect(length).toBeGreaterThan(600_000)
      expect(yield* loss).toMatchObject({ reason: "Exited", exitCode: 0 })
    })
  )

  // Kind 15
  it.scopedLive("where nobody reads, it is lost at its exit, though it was held back before", () =>
    Effect.gen(function* () {
      const { loss } = yield* connect(shell("head -c 100000 /dev/zero; exit 4", { receiveBuffer: 1000 }))
      expect(yield* loss).toMatchObject({ reason: "Exited", exitCode: 4 })
    })
  )

  // Kind 15
  it.scopedLive("its exit code, and the last of its standard error, are in the error", () =>
    Effect.gen(function* () {
      const { loss, transport } = yield* connect(
        shell("echo out; echo first >&2; echo 'no \x1b[1mlicense' >&2; exit 3")
      )
      const read = yield* Effect.exit(Stream.runCollect(linesOf(transport)))
      const error = yield* loss
      expect(error).toMatchObject({
        _tag: "ChildProcessError",
        reason: "Exited",
        exitCode: 3,
        stderr: "first\nno \x1b[1mlicense\n"
      })
      expect(error?.message).toBe("sh: the process ended with exit code 3: no  [1mlicense")
      expect(read).toEqual(Exit.fail(expect.objectContaining({ reason: "Read", cause: error })))
      expect(yield* Effect.flip(transport.write("more"))).toMatchObject({ reason: "Write", cause: { exitCode: 3 } })
    })
  )

  // Kind 15
  it.scopedLive("the signal that killed it is in the error", () =>
    Effect.gen(function* () {
      const { loss, transport } = yield* connect(shell("echo ready; exec sleep 600", { linger: 50 }))
      yield* readText(transport, 6)
      process.kill(transport.pid, "SIGKILL")
      const error = yield* loss
      expect(error).toMatchObject({ reason: "Killed", signal: "SIGKILL" })
      expect(error?.message).toBe("sh: the process was killed by SIGKILL")
    })
  )

  // Kind 15
  it.scopedLive("the loss is told though its children have its output, write to it, and live on", () =>
    Effect.gen(function* () {
      const { loss, transport } = yield* connect(shell("yes & sleep 600 & echo ready >&2; exit 5"))
      const reader = yield* Effect.fork(Effect.exit(Stream.runDrain(transport.incoming)))
      expect(yield* loss).toMatchObject({ reason: "Exited", exitCode: 5, stderr: "ready\n" })
      expect(Exit.isFailure(yield* Fiber.join(reader))).toBe(true)
    })
  )

  // Kind 15
  it.scopedLive("one that refuses in prepare is retried, or not, by what it said", () =>
    Effect.gen(function* () {
      class Refused extends Data.TaggedError("Refused")<{ readonly line: string }> {}
      const service = yield* startService(shell("echo auth_invalid; exit 1"), {
        prepare: (transport) =>
          turns(20).pipe(
            Effect.zipRight(Effect.flatten(Stream.runHead(linesOf(transport)))),
            Effect.tap(() => turns(20)),
            Effect.flatMap((line) => new Refused({ line }))
          ),
        retryPolicy: RetryPolicy.fromFunction(() => 1).pipe(
          RetryPolicy.whileError((error: unknown) => !(error instanceof Refused))
        )
      })
      const { cause, failures } = yield* stateOf(service, "Exhausted")
      expect([failures, String(cause)]).toEqual([1, expect.stringContaining("Refused")])
    })
  )
})

describe("a process that can't be started", () => {
  // Kind 15
  it.scopedLive("is a failed attempt, with its reason", () =>
    Effect.gen(function* () {
      yield* nothingUncaught
      const directory = yield* folder
      const plain = join(directory, "plain")
      writeFileSync(plain, "#!/bin/sh\n", { mode: 0o644 })
      const orphan = join(directory, "orphan")
      writeFileSync(orphan, "#!/nowhere/interpreter\n", { mode: 0o755 })
      const reasonOf = (command: string, cwd?: string) =>
        Effect.map(
          Effect.flip(Effect.scoped(connect(ChildProcessEndpoint.make(command, ["secret"], { cwd })))),
          ({ code, reason }) => [reason, code]
        )
      expect(yield* reasonOf("no-such-command")).toEqual(["NotFound", "ENOENT"])
      expect(yield* reasonOf(join(directory, "nothing"))).toEqual(["NotFound", "ENOENT"])
      expect(yield* reasonOf(join(plain, "nothing"))).toEqual(["NotFound", "ENOTDIR"])
      expect(yield* reasonOf(orphan)).toEqual(["NotFound", "ENOENT"])
      expect(yield* reasonOf(plain)).toEqual(["NotPermitted", "EACCES"])
      expect(yield* reasonOf(directory)).toEqual(["NotPermitted", "EACCES"])
      expect(yield* reasonOf("sh", join(directory, "nothing"))).toEqual(["WorkingDirectory", "ENOENT"])
      expect(yield* reasonOf("sh", plain)).toEqual(["WorkingDirectory", "ENOTDIR"])
      expect(yield* reasonOf("no-such-command", directory)).toEqual(["NotFound", "ENOENT"])
      const tooLong = ChildProcessEndpoint.make("sh", ["x".repeat(4 * MiB)])
      expect(yield* Effect.flip(Effect.scoped(connect(tooLong)))).toMatchObject({ reason: "Spawn", code: "E2BIG" })
    })
  )

  // Kind 15
  it.scopedLive("takes no descriptors of files that others need, when there are too few", () =>
    Effect.gen(function* () {
      const program = yield* run("fewDescriptors.ts")
      expect(yield* program.line("few ")).toBe("Spawn EMFILE 6 enough started")
      expect(yield* program.exited).toMatchObject({ code: 0 })
    })
  )

  // Kind 15
  it.scopedLive("is tried again, and started once it can be", () =>
    Effect.gen(function* () {
      const command = join(yield* folder, "late")
      const service = yield* startService(ChildProcessEndpoint.make(command))
      yield* stateOf(service, "Waiting")
      expect(yield* Effect.flip(service.whenConnected({ failAfterFailures: 1 }))).toMatchObject({ reason: "NotFound" })
      writeFileSync(command, "#!/bin/sh\nexec cat\n")
      chmodSync(command, 0o755)
      const transport = yield* service.whenConnected()
      yield* transport.write("hello")
      expect(yield* readText(transport, 5)).toBe("hello")
    })
  )
})

describe("a process that lives on", () => {
  // Kind 15
  it.scopedLive("is not taken for dead while it sends a long answer, if the heartbeat counts what comes in", () =>
    Effect.gen(function* () {
      const service = yield* ClientService.make({
        endpoint: shell("while :; do echo more; sleep 0.02; done", { killTimeout: 0 }),
        heartbeat: {
          probe: () => Effect.never,
          lastReceived: (transport) => transport.lastReceived,
          interval: 1,
          timeout: 500
        }
      })
      yield* service.start
      const transport = yield* service.whenConnected()
      // More than the timeout takes.
      expect((yield* readText(transport, 5 * 40)).length).toBeGreaterThanOrEqual(5 * 40)
      expect(yield* service.whenConnected()).toBe(transport)
    })
  )

  // Kind 15
  it.scopedLive("without its output is lost, once it had the time to end", () =>
    Effect.gen(function* () {
      const { loss, transport } = yield* connect(
        shell("echo last; exec 1>&-; exec sleep 600", { killTimeout: 0, linger: 50 })
      )
      expect(yield* textOf(transport)).toBe("last\n")
      expect(yield* loss).toMatchObject({ reason: "OutputClosed" })
    })
  )

  // Kind 15
  it.scopedLive("without its output for a while ends with its exit code", () =>
    Effect.gen(function* () {
      const { loss } = yield* connect(shell("exec 1>&-; sleep 0.1; exit 6", { linger: "20 seconds" }))
      expect(yield* loss).toMatchObject({ reason: "Exited", exitCode: 6 })
    })
  )

  // Kind 15
  it.scopedLive("without its input is lost when it is written to, and what it sends till then arrives", () =>
    Effect.gen(function* () {
      yield* nothingUncaught
      const script = "exec 0<&-; echo closed; sleep 0.1; echo last; exec sleep 600"
      const { isLost, loss, transport } = yield* connect(shell(script, { killTimeout: 0, linger: 500 }))
      expect(yield* readText(transport, 7)).toBe("closed\n")
      expect(yield* isLost).toBe(false)
      yield* transport.write("anybody?\n")
      const [error, rest] = yield* Effect.all([loss, Effect.exit(readText(transport, 1000))], {
        concurrency: "unbounded"
      })
      expect(error).toMatchObject({ reason: "InputClosed" })
      expect(rest).toEqual(Exit.fail(expect.objectContaining({ reason: "Read", cause: error })))
      expect(yield* Effect.flip(transport.write("anybody?\n"))).toMatchObject({ reason: "Write" })
    })
  )

  // Kind 15
  it.scopedLive("but is stopped, is replaced when the heartbeat finds out, and is not left behind", () =>
    Effect.gen(function* () {
      const ask = (transport: Transport.Transport) =>
        Effect.zipRight(transport.write("ping\n"), Effect.flatten(Stream.runHead(linesOf(transport))))
      const service = yield* ClientService.make({
        endpoint: shell("exec cat", { killTimeout: 50 }),
        heartbeat: { probe: ask, interval: 20, timeout: 200 },
        retryPolicy: RetryPolicy.fromFunction(() => 1)
      })
      yield* service.start
      const first = yield* service.whenConnected()
      process.kill(first.pid, "SIGSTOP")
      yield* stateOf(service, "Waiting")
      const second = yield* service.whenConnected()
      expect(second.pid).not.toBe(first.pid)
      expect(inGroup(first.pid)).toEqual([])
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )
})

describe("what a process writes is bounded", () => {
  // Kind 15
  it.scopedLive("output that is read slowly holds it back", () =>
    Effect.gen(function* () {
      let written = 0
      const mebibyte = "head -c 1048576 /dev/zero; printf x >&2"
      const { loss, transport } = yield* connect(
        shell(`for i in $(seq 50); do ${mebibyte}; done`, {
          onStderr: ({ length }) => {
            written += length * MiB
          }
        })
      )
      let read = 0
      let ahead = 0
      yield* Stream.runForEach(transport.incoming, (chunk) => {
        read += chunk.length
        ahead = Math.max(ahead, written - read)
        return turns(2)
      })
      expect(read).toBe(50 * MiB)
      expect(ahead).toBeLessThan(1.5 * MiB)
      expect(yield* loss).toMatchObject({ exitCode: 0 })
    })
  )

  // Kind 15
  it.scopedLive("a flood of errors is read, and its last is kept", () =>
    Effect.gen(function* () {
      const script = `process.stderr.write("é".repeat(${10 * MiB}) + " the end", () => console.log("done"))
        process.stdin.on("end", () => process.exit(2)).resume()`
      const { loss, transport } = yield* connect(node(script, { stderrTail: 21 }))
      expect(yield* readText(transport, 5)).toBe("done\n")
      yield* transport.end
      // Of twelve bytes and the last of a letter.
      expect(yield* loss).toMatchObject({ exitCode: 2, stderr: `${"é".repeat(6)} the end` })
    })
  )

  // Kind 15
  it.scopedLive("a write waits while it does not read, and owns its bytes", () =>
    Effect.gen(function* () {
      const script = `process.once("SIGUSR2", () => process.stdin.pipe(process.stdout))
        console.log("ready")`
      const { transport } = yield* connect(node(`setInterval(() => {}, 1000);${script}`, { killTimeout: 50 }))
      expect(yield* readText(transport, 6)).toBe("ready\n")
      const chunk = new Uint8Array(64 * 1024)
      let written = 0
      const writer = yield* Effect.fork(
        Effect.repeatN(
          Effect.suspend(() => {
            chunk.fill(written % 251)
            return Effect.map(transport.write(chunk), () => {
              written += 1
            })
          }),
          159
        )
      )
      yield* turns(500)
      expect(written).toBeLessThan(20)
      process.kill(transport.pid, "SIGUSR2")
      let read = 0
      yield* Stream.runForEachWhile(transport.incoming, (received) =>
        Effect.sync(() => {
          received.forEach((byte, index) => {
            const expected = Math.floor((read + index) / chunk.length) % 251
            if (byte !== expected) throw new Error(`${byte} at ${read + index}`)
          })
          read += received.length
          return read < 160 * chunk.length
        })
      )
      yield* Fiber.join(writer)
      expect(read).toBe(160 * chunk.length)
    })
  )
})

describe("closing leaves no process", () => {
  // Kind 15
  it.scopedLive("its input is ended, after what was written, and it ends in its own time", () =>
    Effect.gen(function* () {
      const file = join(yield* folder, "kept")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { transport } = yield* connect(shell(`cat > ${file}; sleep 0.1; echo end >> ${file}`))
          yield* transport.write("x".repeat(100_000))
        })
      )
      expect(readFileSync(file, "utf8")).toBe(`${"x".repeat(100_000)}end\n`)
    })
  )

  // Kind 15
  it.scopedLive("one that waits for room for its output sees the end of its input", () =>
    Effect.gen(function* () {
      const file = join(yield* folder, "kept")
      yield* Effect.scoped(connect(shell(`head -c ${MiB} /dev/zero; cat; echo end > ${file}`)))
      expect(existsSync(file)).toBe(true)
    })
  )

  // Kind 15
  it.scopedLive("one that does not mind that gets the signal, and so do its children", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      const script = `trap 'echo > ${directory}/parent; exit' INT
        sh -c 'trap "echo > ${directory}/child; exit" INT; echo ready; while :; do sleep 0.01; done' &
        while :; do sleep 0.01; done`
      const group = yield* Effect.scoped(
        Effect.gen(function* () {
          const { transport } = yield* connect(
            node(
              `require("node:child_process").spawn("sh", ["-c", ${JSON.stringify(script)}], { stdio: "inherit" })
               process.on("SIGINT", () => {})`,
              { killSignal: "SIGINT", killTimeout: "1 second" }
            )
          )
          yield* readText(transport, 6)
          return transport.pid
        })
      )
      expect(existsSync(join(directory, "parent"))).toBe(true)
      expect(inGroup(group)).toEqual([])
    })
  )

  // Kind 15
  it.scopedLive("what minds neither, and what it has started, is killed", () =>
    Effect.gen(function* () {
      const script = `trap '' TERM INT HUP; sh -c 'trap "" TERM; echo ready; while :; do sleep 0.01; done' & while :; do sleep 0.01; done`
      const pid = yield* Effect.scoped(
        Effect.gen(function* () {
          const { transport } = yield* connect(shell(script, { killTimeout: 100 }))
          yield* readText(transport, 6)
          expect(inGroup(transport.pid).length).toBeGreaterThan(1)
          return transport.pid
        })
      )
      expect(inGroup(pid)).toEqual([])
    })
  )

  // Kind 15
  it.scopedLive("what a process that is dead had started is not left behind, and ends in order", () =>
    Effect.gen(function* () {
      const file = join(yield* folder, "kept")
      const script = `sh -c 'trap "echo end > ${file}; exit" TERM; echo ready; while :; do sleep 0.01; done' & exec sleep 600`
      const service = yield* ClientService.make({
        endpoint: shell(script, { killTimeout: 500, linger: 50 }),
        prepare: (transport) => readText(transport, 6),
        retryPolicy: RetryPolicy.fromFunction(() => 1)
      })
      yield* service.start
      const { pid } = yield* service.whenConnected()
      process.kill(pid, "SIGKILL")
      yield* stateOf(service, "Waiting")
      yield* service.whenConnected()
      expect(inGroup(pid)).toEqual([])
      expect(existsSync(file)).toBe(true)
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  // Kind 15
  it.scopedLive("an attempt that is interrupted leaves none, wherever it is", () =>
    Effect.gen(function* () {
      yield* nothingUncaught
      const marker = `never ${process.pid} ${Date.now()}`
      const started = () => running().filter(({ command }) => command.includes(marker))
      const endpoint = shell(`: ${marker}; exec 0<&-; while :; do sleep 0.01; done`, { killTimeout: 0 })
      for (let steps = 0; steps < 60; steps++) {
        const attempt = yield* Effect.fork(
          Effect.scoped(Effect.zipRight(endpoint.connect({ lost: () => {} }), Effect.never))
        )
        yield* Effect.repeatN(Effect.yieldNow(), steps)
        yield* Fiber.interrupt(attempt)
      }
      expect(started()).toEqual([])
    })
  )

  // Kind 15
  it.scopedLive("a process that is stopped is closed in the time that it has", () =>
    Effect.gen(function* () {
      const file = join(yield* folder, "kept")
      const script = `trap 'echo end > ${file}; exit' TERM; echo ready; while :; do sleep 0.01; done`
      const scope = yield* Scope.make()
      const { transport } = yield* Scope.extend(connect(shell(script, { killTimeout: "1 second" })), scope)
      yield* readText(transport, 6)
      process.kill(-transport.pid, "SIGSTOP")
      yield* Scope.close(scope, Exit.void)
      expect(inGroup(transport.pid)).toEqual([])
      expect(existsSync(file)).toBe(true)
    })
  )

  // Kind 15
  it.scopedLive("nothing of many processes remains in this one", () =>
    Effect.gen(function* () {
      yield* nothingUncaught
      const ours = () =>
        process
          .getActiveResourcesInfo()
          .filter((name) => /^(Process|Pipe)Wrap$/.test(name))
          .sort()
      // Those of other tests.
      yield* until(() => !ours().includes("ProcessWrap"))
      const before = [ours(), process.listenerCount("exit")]
      const warnings: Array<Error> = []
      const warned = (warning: Error) => void warnings.push(warning)
      process.on("warning", warned)
      yield* Effect.scoped(
        Effect.forEach(Array.from({ length: 20 }), () => connect(shell("cat")), { concurrency: "unbounded" })
      )
      yield* until(() => !ours().includes("ProcessWrap"))
      process.off("warning", warned)
      expect([ours(), process.listenerCount("exit")]).toEqual(before)
      expect(warnings).toEqual([])
    })
  )
})

describe("the environment of a process", () => {
  const environmentOf = <E>(options: ChildProcessEndpoint.Options<E>) =>
    Effect.scoped(
      Effect.flatMap(
        connectOnce(ChildProcessEndpoint.make("sh", ["-c", "echo $GIVEN; echo $HOME; pwd"], options)),
        (t) => Effect.map(textOf(t), (text) => text.trimEnd().split("\n"))
      )
    )

  // Kind 15
  it.scopedLive("is that of this one, with what is added and without what is taken away", () =>
    Effect.gen(function* () {
      const cwd = yield* folder
      expect(yield* environmentOf({ cwd, env: { GIVEN: "given" } })).toEqual(["given", process.env["HOME"], cwd])
      expect(yield* environmentOf({ cwd, env: { GIVEN: "given", HOME: undefined } })).toEqual(["given", "", cwd])
      const { PATH } = process.env
      expect(yield* environmentOf({ cwd, env: { PATH }, extendEnv: false })).toEqual(["", "", cwd])
    })
  )

  // Kind 15
  it.scopedLive("is made afresh for each, and may fail or be refused", () =>
    Effect.gen(function* () {
      let made = 0
      const env = Effect.sync((): ChildProcessEndpoint.Environment => ({ GIVEN: `${++made}` }))
      expect((yield* environmentOf({ env }))[0]).toBe("1")
      expect((yield* environmentOf({ env }))[0]).toBe("2")
      expect(yield* Effect.flip(environmentOf({ env: Effect.fail("no token") }))).toBe("no token")
      const bad = environmentOf({ env: Effect.succeed({ GIVEN: "hunter2\0" }) })
      expect(yield* Effect.flip(bad)).toMatchObject({ reason: "InvalidOption", command: "sh" })
    })
  )
})
