import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { Deferred, Effect, Queue, type Scope } from "effect"
import { build } from "esbuild"

/** A server in a process of its own. */
export interface Child {
  readonly port: number
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Waits until the process has ended. */
  readonly exited: Effect.Effect<void>
  /** Waits for the next line that it prints. */
  readonly line: Effect.Effect<string>
}

/** A directory that is gone when the Scope closes. */
export const temporaryDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "client-service-rpc-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
)

/** Starts a server, and waits until it listens. */
export const serve = (options: {
  readonly port?: number
  readonly transport?: "tcp" | "websocket"
  readonly serialization?: "ndjson" | "msgpack"
  readonly file?: string
}): Effect.Effect<Child, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { port = 0, transport = "tcp", serialization = "ndjson", file = "/dev/null" } = options
    const code = yield* program
    const lines = yield* Queue.unbounded<string>()
    const exited = yield* Deferred.make<void>()
    let errors = ""
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn(process.execPath, ["-", String(port), transport, serialization, file])
        child.stdin.on("error", () => {}).end(code)
        child.once("exit", () => Deferred.unsafeDone(exited, Effect.void))
        child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()))
        createInterface({ input: child.stdout }).on("line", (line) => lines.unsafeOffer(line))
        return child
      }),
      (child) =>
        Effect.suspend(() => {
          child.kill("SIGKILL")
          return Deferred.await(exited)
        })
    )
    const line = Effect.raceFirst(
      Queue.take(lines),
      Effect.flatMap(Deferred.await(exited), () => Effect.dieMessage(`the server ended: ${errors}`))
    )
    const listening = yield* line
    return {
      port: Number(listening.replace("listening ", "")),
      signal: (signal) => Effect.sync(() => void child.kill(signal)),
      exited: Deferred.await(exited),
      line
    }
  })

// In one file, a server starts in a fraction of the time.
const program = Effect.runSync(
  Effect.cached(
    Effect.promise(async () => {
      const { outputFiles } = await build({
        entryPoints: [join(import.meta.dirname, "../fixtures/server.ts")],
        bundle: true,
        platform: "node",
        external: ["bufferutil", "utf-8-validate"],
        write: false
      })
      return outputFiles.map(({ text }) => text).join()
    })
  )
)
