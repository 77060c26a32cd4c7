/**
 * A program that is compiled, as a process of its own.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process"
import type { Readable, Writable } from "node:stream"
import { Deferred, Effect, type Scope } from "effect"

export interface Program {
  readonly stdin: Writable
  readonly stdout: Printed
  readonly stderr: Printed
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Waits for the end: the exit code, or the signal that ended it. */
  readonly ended: Effect.Effect<number | NodeJS.Signals | null>
}

export interface Printed {
  readonly stream: Readable
  readonly text: () => string
  readonly bytes: () => Buffer
  /** Waits until this is printed, or so many times, and dies if the program ends without having done so. */
  readonly until: (text: string, times?: number) => Effect.Effect<void>
}

/** Runs a file of JavaScript with the packages of the workspace as they are compiled. */
export const run = (
  file: string,
  args: ReadonlyArray<string> = [],
  env: Readonly<Record<string, string>> = {}
): Effect.Effect<Program, never, Scope.Scope> =>
  Effect.gen(function* () {
    const ended = yield* Deferred.make<number | NodeJS.Signals | null>()
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => start(file, args, env)),
      (child) =>
        Effect.suspend(() => {
          child.kill("SIGKILL")
          return Deferred.await(ended)
        })
    )
    const stdout = printed(child.stdout, child)
    const stderr = printed(child.stderr, child)
    child.stdin.on("error", () => {})
    child.once("close", (code, signal) => Deferred.unsafeDone(ended, Effect.succeed(signal ?? code)))
    return {
      stdin: child.stdin,
      stdout,
      stderr,
      signal: (signal) => Effect.sync(() => void child.kill(signal)),
      ended: Deferred.await(ended)
    }
  })

type Child = ChildProcessByStdio<Writable, Readable, Readable>

const start = (file: string, args: ReadonlyArray<string>, env: Readonly<Record<string, string>>): Child => {
  const { FORCE_COLOR: _force, NO_COLOR: _no, ...inherited } = process.env
  return spawn(process.execPath, ["--conditions=compiled", file, ...args], {
    env: { ...inherited, ...env },
    stdio: ["pipe", "pipe", "pipe"]
  })
}

const printed = (stream: Readable, child: Child): Printed => {
  const chunks: Array<Buffer> = []
  stream.on("data", (chunk: Buffer) => chunks.push(chunk))
  const text = () => Buffer.concat(chunks).toString()
  return {
    stream,
    text,
    bytes: () => Buffer.concat(chunks),
    until: (awaited, times = 1) =>
      Effect.async<void>((resume) => {
        const look = () => {
          if (text().split(awaited).length > times) resume(Effect.void)
        }
        const onClose = () => resume(Effect.dieMessage(`ended without "${awaited}", but:\n${text()}`))
        look()
        stream.on("data", look)
        child.once("close", onClose)
        return Effect.sync(() => {
          stream.off("data", look)
          child.off("close", onClose)
        })
      })
  }
}
