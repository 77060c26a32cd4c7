import { PassThrough, Writable } from "node:stream"
import { expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { main } from "../src/internal/main.js"
import * as Output from "../src/internal/terminal/output.js"
import { listening } from "./support/server.js"

it.live("a reader who reads no more does not hold up the end", () =>
  Effect.gen(function* () {
    const written: Array<() => void> = []
    const stream = new Writable({ highWaterMark: 1, write: (_chunk, _encoding, done) => void written.push(done) })
    const output = yield* Output.make(stream)
    const write = yield* Effect.fork(Effect.uninterruptible(output.write("held up")))
    yield* Effect.yieldNow()
    output.hurry()
    yield* Fiber.join(write)
    yield* output.write("dropped")
    expect(written).toHaveLength(1)
  })
)

const failing = (code: string) =>
  new Writable({ write: (_chunk, _encoding, done) => done(Object.assign(new Error(code), { code })) })

it.scopedLive.each([
  ["EPIPE", 0, ""],
  ["ENOSPC", 1, "keepalive: the standard output cannot be written (ENOSPC)\n"]
] as const)("an output that fails with %s ends the command with %i", ([code, exitCode, says]) =>
  Effect.gen(function* () {
    const { port } = yield* listening({ port: 0, host: "127.0.0.1" }, (socket) => void socket.write("hello"))
    const told = new PassThrough()
    const stdin = () => new PassThrough()
    const [stdout, stderr] = yield* Effect.all([Output.make(failing(code)), Output.make(told)])
    const args = [`tcp://127.0.0.1:${port}`, "--no-input"]
    expect(yield* main(args, { stdin, stdout, stderr }, () => undefined)).toBe(exitCode)
    expect(String(told.read()).split(/Stopped\n/)[1]).toBe(says)
  })
)

it.live.each(["--help", "--version", "--completions bash", "--tour"])(
  "%s ends with 1, and says why, when it cannot be written",
  (line) =>
    Effect.gen(function* () {
      const told = new PassThrough()
      const [stdout, stderr] = yield* Effect.all([Output.make(failing("ENOSPC")), Output.make(told)])
      const stdin = () => new PassThrough()
      expect(yield* main(line.split(" "), { stdin, stdout, stderr }, () => undefined)).toBe(1)
      expect(String(told.read())).toBe("keepalive: the standard output cannot be written (ENOSPC)\n")
    })
)
