import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { expect } from "@effect/vitest"
import { Deferred, Duration, Effect, type Scope } from "effect"

export interface Exited {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A process of a fixture, which tells what happens in it by lines. */
export interface Child {
  readonly process: ChildProcess
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Waits for the next line that begins so, after those that were waited for before, and gives the rest of it. */
  readonly line: (start: string) => Effect.Effect<string>
  /** Forgets the lines so far. */
  readonly forget: Effect.Effect<void>
  readonly isRunning: () => boolean
  readonly exited: Effect.Effect<Exited>
  /** All that it has written to its standard error. */
  readonly errors: () => string
}

export const run = (
  fixture: string,
  args: ReadonlyArray<string> = [],
  env: Record<string, string> = {}
): Effect.Effect<Child, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.gen(function* () {
      const exited = yield* Deferred.make<Exited>()
      // As it is bundled, since a program takes a third of the processor to start then.
      const compiled = join(import.meta.dirname, "../../build/bundled", fixture.replace(/\.ts$/, ".js"))
      const child = spawn(process.execPath, ["--conditions=compiled", compiled, ...args], {
        env: { ...process.env, ...env },
        stdio: ["ignore", "pipe", "pipe"]
      })
      child.on("exit", (code, signal) => Deferred.unsafeDone(exited, Effect.succeed({ code, signal })))

      let errors = ""
      child.stderr.on("data", (chunk: Buffer) => {
        errors += chunk.toString()
      })

      let lines: Array<string> = []
      const waiting = new Set<() => void>()
      // What it wrote may be read after its exit.
      const hasSaidAll = yield* Deferred.make<void>()
      createInterface({ input: child.stdout })
        .on("line", (line) => {
          lines.push(line)
          for (const look of waiting) look()
        })
        .on("close", () => Deferred.unsafeDone(hasSaidAll, Effect.void))

      const handle: Child = {
        process: child,
        signal: (signal) => Effect.sync(() => child.kill(signal)),
        line: (start) =>
          Effect.async<string>((resume) => {
            const look = () => {
              const index = lines.findIndex((line) => line.startsWith(start))
              const found = lines[index]
              if (found === undefined) return
              lines = lines.slice(index + 1)
              waiting.delete(look)
              resume(Effect.succeed(found.slice(start.length).trim()))
            }
            waiting.add(look)
            look()
            return Effect.sync(() => waiting.delete(look))
          }).pipe(
            Effect.raceFirst(
              Effect.flatMap(Effect.zipLeft(Deferred.await(exited), Deferred.await(hasSaidAll)), (exited) =>
                Effect.dieMessage(`${fixture} exited (${JSON.stringify(exited)}) before "${start}": ${errors}`)
              )
            )
          ),
        forget: Effect.sync(() => {
          lines = []
        }),
        isRunning: () => child.exitCode === null && child.signalCode === null,
        exited: Deferred.await(exited),
        errors: () => errors
      }
      return handle
    }),
    (child) =>
      Effect.suspend(() => {
        child.process.kill("SIGKILL")
        return child.exited
      })
  )

/** A server of lines, at a port. */
export const startServer = (port = 0, args: ReadonlyArray<string> = [], env: Record<string, string> = {}) =>
  Effect.gen(function* () {
    const server = yield* run("server.ts", [String(port), ...args], env)
    return { ...server, port: Number(yield* server.line("listening")) }
  })

/** Closes the Scope of a client, after which its process has a second to end by itself. */
export const endsByItself = (client: Child) =>
  Effect.gen(function* () {
    yield* client.signal("SIGTERM")
    yield* client.line("closed")
    const [elapsed, exited] = yield* Effect.timed(client.exited)
    expect({ ...exited, errors: client.errors() }).toEqual({ code: 0, signal: null, errors: "" })
    expect(Duration.toMillis(elapsed)).toBeLessThan(1000)
  })
